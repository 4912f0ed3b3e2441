"""Files that appear whole or not at all."""

from __future__ import annotations

import pytest

from tasks.out_files import FolderInUse, require_empty, require_folder, require_room, write_whole


def test_a_file_takes_the_place_of_the_one_before(tmp_path) -> None:
    path = tmp_path / "report.json"
    for content in (b"one", b"two"):
        write_whole(path, content)
        assert path.read_bytes() == content
    assert list(tmp_path.iterdir()) == [path]


def test_of_a_file_that_cannot_be_written_nothing_is_left(tmp_path) -> None:
    path = tmp_path / "a folder"
    path.mkdir()
    with pytest.raises(IsADirectoryError):
        write_whole(path, b"content")
    assert list(tmp_path.iterdir()) == [path]


def test_room_is_that_of_the_disk(tmp_path) -> None:
    require_room(tmp_path, 1)
    with pytest.raises(OSError, match="No space left on device"):
        require_room(tmp_path, 10**18)


def test_folders_that_cannot_be_written_into(tmp_path) -> None:
    require_folder(tmp_path / "not there")
    require_empty(tmp_path)
    (tmp_path / "file").touch()
    require_folder(tmp_path)
    with pytest.raises(FolderInUse, match=r"holds file; name another folder"):
        require_empty(tmp_path)
    with pytest.raises(FolderInUse, match=r"file is a file; name another"):
        require_folder(tmp_path / "file")
