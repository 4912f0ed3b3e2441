"""Output files and folders: checks before the work, atomic writing after it."""

from __future__ import annotations

import errno
import os
import tempfile
from pathlib import Path

from schemas.errors import UserError

TEMPORARY = "screenbayes-"
"""Prefix of temporary folders: a killed process leaves one behind."""


class FolderInUse(UserError):
    """The output folder is not empty, or is a file."""


def require_folder(folder: Path) -> None:
    """Raise FolderInUse if `folder` is a file."""
    if folder.exists() and not folder.is_dir():
        raise FolderInUse(f"expected a folder to write into, {folder} is a file; name another")


def require_empty(folder: Path) -> None:
    """Raise FolderInUse unless the folder is empty or does not exist."""
    require_folder(folder)
    held = sorted(file.name for file in folder.iterdir()) if folder.exists() else []
    if held:
        shown = ", ".join(held[:5]) + (", ..." if len(held) > 5 else "")
        raise FolderInUse(
            f"expected an empty folder, {folder} holds {shown}; name another folder, or empty it"
        )


def temporary_folder(where: Path | None = None) -> tempfile.TemporaryDirectory[str]:
    """Return a temporary folder, named with our prefix, inside `where` if given."""
    return tempfile.TemporaryDirectory(prefix=TEMPORARY, dir=where)


def require_room(folder: Path, size: int) -> None:
    """Raise OSError unless the disk of a folder has `size` free bytes."""
    disk = os.statvfs(folder)
    if disk.f_bavail * disk.f_frsize <= size or (disk.f_files and not disk.f_favail):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(folder))


def write_atomic(path: Path, content: bytes) -> None:
    """Write a file atomically: it is replaced once the new content is complete."""
    unfinished = path.with_name(f".{path.name}.unfinished")
    try:
        unfinished.write_bytes(content)
        unfinished.replace(path)
    except OSError as error:
        if error.filename:
            raise
        raise OSError(error.errno, error.strerror, str(path)) from None  # a write names no file
    finally:
        unfinished.unlink(missing_ok=True)
