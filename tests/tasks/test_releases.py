"""Which releases are under a prefix, whether they are whole, at rest, and the same as before."""

from __future__ import annotations

import os
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from deployments.demo import write_demo_dataset
from schemas.dataset import Dataset
from tasks import releases
from tasks.read_dataset import load_dataset
from tasks.releases import (
    NoSuchPrefix,
    Release,
    Unready,
    at_rest_in,
    content_digests,
    digest_of,
    look_under,
)
from tasks.storage import StorageError

SETTLE = timedelta(seconds=60)


def put(folder: Path, name: str = "dataset.yaml") -> Path:
    path = write_demo_dataset(folder)
    return path.rename(folder / name)


def only(prefix: Path) -> Release:
    (found,) = look_under(str(prefix))
    assert isinstance(found, Release)
    return found


def test_releases_are_found_by_the_name_of_their_dataset_file(tmp_path: Path) -> None:
    put(tmp_path / "24Q2")
    put(tmp_path / "deep" / "24Q4", "avana.dataset.yaml")
    put(tmp_path / "other", "notes.yaml")
    found = [Path(one.dataset_file).relative_to(tmp_path) for one in look_under(str(tmp_path))]
    assert list(map(str, found)) == ["24Q2/dataset.yaml", "deep/24Q4/avana.dataset.yaml"]


def test_a_prefix_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(NoSuchPrefix, match=r"nowhere.*correct the prefix"):
        look_under(str(tmp_path / "nowhere"))


def test_a_release_without_its_table_is_not_ready(tmp_path: Path) -> None:
    put(tmp_path / "a")
    (tmp_path / "a" / "simulated_screen.csv").unlink()
    (found,) = look_under(str(tmp_path))
    assert isinstance(found, Unready)
    assert "simulated_screen.csv" in found.why


def test_a_release_of_links_is_that_of_the_files_they_lead_to(tmp_path: Path) -> None:
    path = put(tmp_path / "store")
    (tmp_path / "releases").mkdir()
    table = path.parent / "simulated_screen.csv"
    for file in (path, table):
        (tmp_path / "releases" / file.name).symlink_to(file)
    before = only(tmp_path / "releases").stamps["logfc"]
    time.sleep(0.01)
    table.write_text(table.read_text().replace("-1.187443", "-1.187444", 1))  # of the same size
    after = only(tmp_path / "releases").stamps["logfc"]
    assert after.version != before.version and after.changed_at > before.changed_at


def test_a_release_is_at_rest_once_nothing_has_changed_for_a_while(tmp_path: Path) -> None:
    put(tmp_path / "a")
    release = only(tmp_path)
    assert timedelta(0) < at_rest_in(release, SETTLE, datetime.now(UTC)) <= SETTLE
    assert at_rest_in(release, SETTLE, datetime.now(UTC) + SETTLE) == timedelta(0)


@pytest.mark.parametrize("date", [0, 4e9], ids=["long ago", "still to come"])
def test_the_date_a_file_says_it_has_does_not_count(tmp_path: Path, date: float) -> None:
    put(tmp_path / "a")
    for path in (tmp_path / "a").iterdir():
        os.utime(path, (date, date))
    assert timedelta(0) < at_rest_in(only(tmp_path), SETTLE, datetime.now(UTC)) <= SETTLE


def test_one_that_cannot_be_read_does_not_hide_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a", "b"):
        put(tmp_path / name)

    def reads(location: str) -> Dataset:
        if "/a/" in location:
            raise StorageError(location, PermissionError(13, "Permission denied"))
        return load_dataset(location)

    monkeypatch.setattr(releases, "load_dataset", reads)
    first, second = look_under(str(tmp_path))
    assert isinstance(first, Unready) and "check that you may read it" in first.why
    assert isinstance(second, Release)

    def gone(files: tuple[tuple[str, str], ...]) -> list[str]:
        raise FileNotFoundError(f"no file {files[0][0]}")

    found = digest_of(second, gone)
    assert isinstance(found, Unready) and "no file" in found.why


def test_the_digest_is_of_the_content_and_reads_only_what_has_changed(tmp_path: Path) -> None:
    put(tmp_path / "a")
    table = tmp_path / "a" / "simulated_screen.csv"
    asked: list[str] = []

    def content(files: tuple[tuple[str, str], ...]) -> list[str]:
        asked.extend(version for _, version in files)
        return content_digests(files)

    first = digest_of(only(tmp_path), content)
    assert digest_of(only(tmp_path), content) == first
    assert len(set(asked)) == 1  # a cache would be asked for the same twice
    time.sleep(0.01)
    table.touch()
    assert digest_of(only(tmp_path), content) == first
    assert len(set(asked)) == 2
    table.write_text(table.read_text().replace("-1.187443", "-1.187444", 1))
    assert digest_of(only(tmp_path), content) != first
