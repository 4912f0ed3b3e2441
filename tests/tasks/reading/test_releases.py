"""Releases under a prefix are found, and known to be whole, at rest and changed or not."""

import os
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from deployments.cli.demo import write_demo_dataset
from schemas.dataset import Dataset
from tasks.reading import releases
from tasks.reading.dataset_file import load_dataset
from tasks.reading.releases import Release, digest_of, list_releases
from tasks.reading.storage import StorageError

SETTLE = timedelta(seconds=60)
TABLE = "simulated_screen.csv"


def put(folder: Path, name: str = "dataset.yaml") -> Path:
    return write_demo_dataset(folder).rename(folder / name)


def only(prefix: Path) -> Release:
    (found,) = list_releases(str(prefix))
    assert isinstance(found, Release)
    return found


def change(table: Path) -> None:
    """Change a digit, and not the size."""
    time.sleep(0.01)
    table.write_text(table.read_text().replace("-1.187443", "-1.187444", 1))


def test_releases_are_found_by_the_name_of_their_dataset_file(tmp_path: Path) -> None:
    put(tmp_path / "24Q2")
    put(tmp_path / "deep" / "24Q4", "avana.dataset.yaml")
    put(tmp_path / "other", "notes.yaml")
    found = [one.dataset_file.removeprefix(f"{tmp_path}/") for one in list_releases(str(tmp_path))]
    assert found == ["24Q2/dataset.yaml", "deep/24Q4/avana.dataset.yaml"]
    with pytest.raises(releases.NoSuchPrefix, match=r"nowhere.*correct the prefix"):
        list_releases(str(tmp_path / "nowhere"))


@pytest.mark.parametrize("date", [0, 4e9], ids=["long ago", "in the future"])
def test_a_release_is_at_rest_once_nothing_has_changed_for_a_while(tmp_path: Path, date) -> None:
    """The date that a file says it has does not count."""
    put(tmp_path / "a")
    for path in (tmp_path / "a").iterdir():
        os.utime(path, (date, date))
    release = only(tmp_path)
    assert timedelta(0) < releases.time_until_settled(release, SETTLE, datetime.now(UTC)) <= SETTLE
    assert releases.time_until_settled(release, SETTLE, datetime.now(UTC) + SETTLE) == timedelta(0)


def test_a_release_that_is_not_ready_does_not_hide_the_others(tmp_path, monkeypatch) -> None:
    for name in ("a", "b", "c"):
        put(tmp_path / name)
    (tmp_path / "c" / TABLE).unlink()

    def reads(location: str) -> Dataset:
        if "/a/" in location:
            raise StorageError(location, PermissionError(13, "Permission denied"))
        return load_dataset(location)

    monkeypatch.setattr(releases, "load_dataset", reads)
    first, second, third = list_releases(str(tmp_path))
    assert isinstance(first, releases.IncompleteRelease) and "may read it" in first.why
    assert isinstance(second, Release)
    assert isinstance(third, releases.IncompleteRelease) and TABLE in third.why


def test_the_digest_is_of_the_content_and_reads_only_changed_files(tmp_path: Path) -> None:
    put(tmp_path / "a")
    asked: list[str] = []

    def content(files: tuple[tuple[str, str], ...]) -> list[str]:
        asked.extend(version for _, version in files)
        return releases.content_digests(files)

    first = digest_of(only(tmp_path), content)
    assert digest_of(only(tmp_path), content) == first
    assert len(set(asked)) == 1  # a cache would be asked for the same twice
    time.sleep(0.01)
    (tmp_path / "a" / TABLE).touch()
    assert digest_of(only(tmp_path), content) == first
    assert len(set(asked)) == 2
    change(tmp_path / "a" / TABLE)
    assert digest_of(only(tmp_path), content) != first
