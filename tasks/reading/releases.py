"""Releases under a prefix: whether they are complete and settled, and digests of their content."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from schemas.dataset import Dataset
from schemas.digests import content_digest
from schemas.errors import UserError
from tasks.reading.dataset_file import CONTROLS, TABLES, DatasetError, load_dataset
from tasks.reading.storage import Stamp, StorageError, StoredFile, find_files, stamp

ENDING = "dataset.yaml"
"""End of the names of dataset files: `dataset.yaml`, `avana.dataset.yaml`."""
LEVELS = 3
"""Depth of the search under the prefix."""


class NoSuchPrefix(UserError):
    """The prefix does not exist."""


@dataclass(frozen=True)
class Release:
    """A release with all of its tables."""

    dataset_file: str
    dataset: Dataset
    stamps: dict[str, Stamp]
    """Stamps by table name."""

    @property
    def changed_at(self) -> datetime:
        """Time of the last change of any of its files."""
        return max(stamp.changed_at for stamp in self.stamps.values())


@dataclass(frozen=True)
class IncompleteRelease:
    """A dataset file that is unusable, or whose tables are not all there yet."""

    dataset_file: str
    why: str


def list_releases(prefix: str) -> list[Release | IncompleteRelease]:
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
    return [_read_release(file) for file in files]


def _read_release(dataset_file: str) -> Release | IncompleteRelease:
    try:
        dataset = load_dataset(dataset_file)
    # An unreadable release must not hide the others.
    except (DatasetError, StorageError) as error:
        return IncompleteRelease(dataset_file, str(error))
    given = {name: getattr(dataset, name) for name in TABLES}
    given |= {name: getattr(dataset.controls, name) for name in CONTROLS}
    places = {str(name): place for name, place in given.items() if place}
    try:
        stamps = {name: stamp(place) for name, place in places.items()}
        # The dataset file may itself still be uploading.
        stamps["dataset"] = stamp(dataset_file)
    except FileNotFoundError as error:
        return IncompleteRelease(dataset_file, f"{error}; it may still be uploading")
    except StorageError as error:
        return IncompleteRelease(dataset_file, str(error))
    return Release(dataset_file, dataset, stamps)


def time_until_settled(release: Release, settle: timedelta, now: datetime) -> timedelta:
    """Return the time until no file of the release has changed for `settle`; at least zero."""
    return max(release.changed_at + settle - now, timedelta(0))


def digest_of(
    release: Release, contents_of: Callable[[tuple[tuple[str, str], ...]], Sequence[str]]
) -> str | IncompleteRelease:
    """Return a digest of the content of the tables; IncompleteRelease if one is unreadable.

    `contents_of` returns the SHA-256 of files, given location and version of each; it is called for
    files without a digest in the storage.
    """
    tables = {name: found for name, found in sorted(release.stamps.items()) if name != "dataset"}
    contents = {name: found.version for name, found in tables.items() if found.is_digest}
    unread = {name: found for name, found in tables.items() if name not in contents}
    if unread:
        asked = tuple((found.location, found.version) for found in unread.values())
        try:
            contents |= dict(zip(unread, contents_of(asked), strict=True))
        except (FileNotFoundError, StorageError) as error:
            return IncompleteRelease(release.dataset_file, str(error))
    return content_digest(contents)


def content_digests(files: tuple[tuple[str, str], ...]) -> list[str]:
    """Return the SHA-256, in hex, of files given as (location, version); caches use both as key.

    Raises FileNotFoundError or StorageError.
    """
    return [StoredFile(location).sha256 for location, _ in files]
