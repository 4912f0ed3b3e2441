"""The releases under a prefix: which there are, whether they are whole and at rest, their content.

What is done with a release is `flows.refresh_releases`; reading one for a fit is `tasks.validate`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from schemas.dataset import Dataset
from schemas.errors import UserError
from schemas.identity import content_digest
from tasks.read_dataset import CONTROLS, TABLES, DatasetError, load_dataset
from tasks.storage import Stamp, StorageError, StoredFile, find_files, stamp

ENDING = "dataset.yaml"
"""Files with a name that ends so are releases: `dataset.yaml`, `avana.dataset.yaml`."""
LEVELS = 3
"""How deep under the prefix they are looked for."""


class NoSuchPrefix(UserError):
    """A prefix under which nothing can be looked for."""


@dataclass(frozen=True)
class Release:
    """A release whose tables are all there."""

    dataset_file: str
    dataset: Dataset
    stamps: dict[str, Stamp]
    """By name of the table."""

    @property
    def changed_at(self) -> datetime:
        """When the last of its files changed."""
        return max(stamp.changed_at for stamp in self.stamps.values())


@dataclass(frozen=True)
class Unready:
    """A dataset file that does not make a release, or not yet."""

    dataset_file: str
    why: str


def look_under(prefix: str) -> list[Release | Unready]:
    """Return all releases under a prefix, a local folder or s3:// address.

    Raises:
        NoSuchPrefix: there is no such folder.
        StorageError: the storage cannot be reached.
    """
    try:
        files = find_files(prefix, ENDING, LEVELS)
    except FileNotFoundError:
        raise NoSuchPrefix(
            f"expected a folder or s3:// address with releases, there is nothing at {prefix}; "
            "correct the prefix, or put the first release there"
        ) from None
    return [_look_at(file) for file in files]


def _look_at(dataset_file: str) -> Release | Unready:
    try:
        dataset = load_dataset(dataset_file)
    # One that cannot be read must not keep the others from being looked at.
    except (DatasetError, StorageError) as error:
        return Unready(dataset_file, str(error))
    given = {name: getattr(dataset, name) for name in TABLES}
    given |= {name: getattr(dataset.controls, name) for name in CONTROLS}
    places = {str(name): place for name, place in given.items() if place}
    try:
        stamps = {name: stamp(place) for name, place in places.items()}
        # The dataset file says what the tables mean, and may itself be still on its way.
        stamps["dataset"] = stamp(dataset_file)
    except FileNotFoundError as error:
        return Unready(dataset_file, f"{error}; it may be still on its way")
    except StorageError as error:
        return Unready(dataset_file, str(error))
    return Release(dataset_file, dataset, stamps)


def at_rest_in(release: Release, settle: timedelta, now: datetime) -> timedelta:
    """Return how long until no file of the release has changed for `settle`; zero if it is so."""
    return max(release.changed_at + settle - now, timedelta(0))


def digest_of(
    release: Release, contents_of: Callable[[tuple[tuple[str, str], ...]], Sequence[str]]
) -> str | Unready:
    """Return a digest that changes with the content of the tables; Unready if one cannot be read.

    `contents_of` returns the SHA-256 of files, given location and version of each; it is asked only
    for those of which the storage keeps no digest itself.
    """
    tables = {name: found for name, found in sorted(release.stamps.items()) if name != "dataset"}
    contents = {name: found.version for name, found in tables.items() if found.is_of_content}
    unread = {name: found for name, found in tables.items() if name not in contents}
    if unread:
        asked = tuple((found.location, found.version) for found in unread.values())
        try:
            contents |= dict(zip(unread, contents_of(asked), strict=True))
        except (FileNotFoundError, StorageError) as error:
            return Unready(release.dataset_file, str(error))
    return content_digest(contents)


def content_digests(files: tuple[tuple[str, str], ...]) -> list[str]:
    """Return the SHA-256, in hex, of files: (location, version), by which a cache knows them.

    Raises FileNotFoundError or StorageError.
    """
    return [StoredFile(location).sha256 for location, _ in files]
