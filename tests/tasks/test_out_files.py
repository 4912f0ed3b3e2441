"""Files appear whole or not at all, in folders that are free."""

from __future__ import annotations

import pytest

from tasks.out_files import FolderInUse, require_empty, require_folder, require_room, write_whole


def test_a_file_is_replaced_whole_or_stays(tmp_path) -> None:
    path = tmp_path / "report.json"
    for content in (b"one", b"two"):
        write_whole(path, content)
        assert path.read_bytes() == content
    (tmp_path / "a folder").mkdir()
    with pytest.raises(IsADirectoryError):
        write_whole(tmp_path / "a folder", b"content")
    assert {file.name for file in tmp_path.iterdir()} == {"report.json", "a folder"}


def test_room_is_that_of_the_disk(tmp_path) -> None:
    require_room(tmp_path, 1)
    with pytest.raises(OSError, match="No space left on device"):
        require_room(tmp_path, 10**18)


def test_a_folder_in_use_is_named(tmp_path) -> None:
    require_folder(tmp_path / "not there")
    require_empty(tmp_path)
    (tmp_path / "file").touch()
    require_folder(tmp_path)
    with pytest.raises(FolderInUse, match=r"holds file; name another folder"):
        require_empty(tmp_path)
    with pytest.raises(FolderInUse, match=r"file is a file; name another"):
        require_folder(tmp_path / "file")
