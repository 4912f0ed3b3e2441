"""Files and folders that commands write for others: asked for before the work, whole after it.

What is written is the business of each command.
"""

from __future__ import annotations

import errno
import os
import tempfile
from pathlib import Path

from schemas.errors import UserError

TEMPORARY = "screenbayes-"
"""Beginning of the names of folders for files on their way: who is killed leaves one behind."""


class FolderInUse(UserError):
    """A folder to write into that holds files, or is none."""


def require_folder(folder: Path) -> None:
    """Raise FolderInUse where something is there that is no folder."""
    if folder.exists() and not folder.is_dir():
        raise FolderInUse(f"expected a folder to write into, {folder} is a file; name another")


def require_empty(folder: Path) -> None:
    """Raise FolderInUse unless the folder is empty or not there."""
    require_folder(folder)
    held = sorted(file.name for file in folder.iterdir()) if folder.exists() else []
    if held:
        shown = ", ".join(held[:5]) + (", ..." if len(held) > 5 else "")
        raise FolderInUse(
            f"expected an empty folder, {folder} holds {shown}; name another folder, or empty it"
        )


def temporary_folder(where: Path | None = None) -> tempfile.TemporaryDirectory[str]:
    """Return a folder for files on their way, known as ours by its name; beside others `where`."""
    return tempfile.TemporaryDirectory(prefix=TEMPORARY, dir=where)


def require_room(folder: Path, size: int) -> None:
    """Raise OSError unless the disk of a folder has room for a file of this size, in bytes."""
    disk = os.statvfs(folder)
    if disk.f_bavail * disk.f_frsize <= size or (disk.f_files and not disk.f_favail):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(folder))


def write_whole(path: Path, content: bytes) -> None:
    """Write a file that appears whole or not at all; what was there before stays until then."""
    unfinished = path.with_name(f".{path.name}.unfinished")
    try:
        unfinished.write_bytes(content)
        unfinished.replace(path)
    except OSError as error:
        if error.filename:
            raise
        raise OSError(error.errno, error.strerror, str(path)) from None  # of a write
    finally:
        unfinished.unlink(missing_ok=True)
