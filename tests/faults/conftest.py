"""What tests of faults share: the command under test, small screens, a disk that is soon full."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from deployments.demo import write_demo_dataset
from tests.faults.catalogue import Fault
from tests.faults.commands import Command, InThisProcess


@pytest.fixture
def fault(request: pytest.FixtureRequest) -> Fault:
    """The fault the test is marked with."""
    mark = request.node.get_closest_marker("fault")
    assert mark is not None, "a test in this folder says which fault it makes"
    return mark.args[0]


@pytest.fixture
def command(fault: Fault, tmp_path: Path) -> Command:
    """The command `screenbayes` in an empty working folder, held against the fault of the test."""
    folder = tmp_path / "work"
    folder.mkdir()
    return Command(fault, folder)


@pytest.fixture
def at_once(
    fault: Fault,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> InThisProcess:
    """The same in this process, in seconds less; its tables so wide that no cell is folded."""
    folder = tmp_path / "work"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.setenv("COLUMNS", "1000")
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    return InThisProcess(fault, folder, capsys)


@pytest.fixture
def screen(tmp_path: Path) -> Path:
    """The dataset file of the simulated screen, in a folder of its own."""
    folder = tmp_path / "screen"
    folder.mkdir()
    return write_demo_dataset(folder)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Callable[[int], Path]]:
    """Make a disk of so many MB; skips where this process may not mount one."""
    mounted: list[Path] = []

    def make(megabytes: int) -> Path:
        folder = tmp_path / f"disk-{len(mounted)}"
        folder.mkdir()
        if os.geteuid() != 0:
            pytest.skip("a small disk is mounted by root only")
        mount = ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(folder)]
        done = subprocess.run(mount, capture_output=True, text=True, check=False)
        if done.returncode:
            pytest.skip(f"no small disk here: {done.stderr.strip()}")
        mounted.append(folder)
        return folder

    yield make
    for folder in mounted:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)
