"""Disks that are small or full, folders that are read-only, databases that others hold."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

_HOLD = """
import sqlite3, sys
sqlite3.connect(sys.argv[1], isolation_level=None).execute("BEGIN EXCLUSIVE")
print("held", flush=True)
sys.stdin.read()
"""


@contextmanager
def mounted(folder: Path, *mounts: str) -> Iterator[Path]:
    """Have a folder mounted in these steps; skip where this process may not."""
    folder.mkdir(exist_ok=True)
    for options in mounts:
        command = ["mount", *options.split(), str(folder)]
        if subprocess.run(command, capture_output=True, check=False).returncode:
            pytest.skip("no disk can be mounted here")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def small_disk(folder: Path, kilobytes: int, inodes: int = 10_000):
    """Have a folder on a disk of its own, of this size."""
    return mounted(folder, f"-t tmpfs -o size={kilobytes}k,nr_inodes={inodes} tmpfs")


def read_only(folder: Path):
    """Have a folder read-only, for root too: mounted onto itself."""
    return mounted(folder, f"--bind {folder}", "-o remount,bind,ro")


def fill(folder: Path) -> None:
    with (folder / "filling").open("wb", buffering=0) as file, pytest.raises(OSError):
        while True:
            file.write(bytes(65536))


@contextmanager
def full_disk(folder: Path) -> Iterator[Path]:
    """Have a folder on a disk of its own without a byte left."""
    with small_disk(folder, 1000):
        fill(folder)
        yield folder


@contextmanager
def held(database: Path) -> Iterator[None]:
    """Have another process hold a SQLite database: this one would lose its lock by reading it."""
    command = [sys.executable, "-c", _HOLD, str(database)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None and holder.stdout.readline() == b"held\n"
        yield
        holder.communicate(b"let go")
