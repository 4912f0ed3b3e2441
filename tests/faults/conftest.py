"""What tests of faults share: the command under test, small screens, a disk that is soon full."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import h5py
import numpy as np
import pytest

from deployments.demo import write_demo_dataset
from tests.faults.catalogue import Fault
from tests.faults.commands import Command, InThisProcess
from tests.faults.nursery import NurseryCommand, open_nursery


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
    import tasks.validate  # noqa: F401  # the first test would be charged with seconds of imports

    return InThisProcess(fault, folder, capsys)


@pytest.fixture
def begun(fault: Fault, tmp_path: Path, nursery: str) -> Command:
    """The same with its imports done, at a running Prefect server: where neither is the point."""
    folder = tmp_path / "work"
    folder.mkdir()
    command = NurseryCommand(fault, folder)
    command.environment["PREFECT_API_URL"] = nursery
    return command


@pytest.fixture
def screen(tmp_path: Path) -> Path:
    """The dataset file of the simulated screen, in a folder of its own."""
    folder = tmp_path / "screen"
    folder.mkdir()
    return write_demo_dataset(folder)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Callable[..., Path]]:
    """Make a disk of so many MB, and inodes; skips where this process may not mount one."""
    mounted: list[Path] = []

    def make(megabytes: int, inodes: int = 10_000) -> Path:
        folder = tmp_path / f"disk-{len(mounted)}"
        folder.mkdir()
        if os.geteuid() != 0:
            pytest.skip("a small disk is mounted by root only")
        room = f"size={megabytes}m,nr_inodes={inodes}"
        mount = ["mount", "-t", "tmpfs", "-o", room, "tmpfs", str(folder)]
        done = subprocess.run(mount, capture_output=True, text=True, check=False)
        if done.returncode:
            pytest.skip(f"no small disk here: {done.stderr.strip()}")
        mounted.append(folder)
        return folder

    yield make
    for folder in mounted:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


@pytest.fixture(scope="session")
def api(prefect_server: None) -> str:
    """Address of a running Prefect server, where the embedded one is not the point."""
    from prefect.settings import PREFECT_API_URL

    return str(PREFECT_API_URL.value())


@pytest.fixture(scope="session")
def nursery(api: str) -> str:
    """Address of the Prefect server at which commands are begun with their imports done."""
    open_nursery(api)
    return api


@pytest.fixture(scope="session")
def stored_run(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """Address of an MLflow store, and the id of the finished run of 3 MB that it holds."""
    from tasks.tracking_run import connect

    folder = tmp_path_factory.mktemp("stored")
    files = folder / "files"
    files.mkdir()
    with h5py.File(files / "posterior.nc", "w") as draws:
        draws["beta_g"] = np.zeros(3_000_000, np.uint8)
    (files / "gene_effects.csv").write_text("gene,beta_mean\nSOX10,-1\n")
    store = f"sqlite:///{folder / 'mlflow.db'}"
    client = connect(store)
    experiment = client.create_experiment("stored", (folder / "mlruns").as_uri())
    run = client.create_run(experiment).info.run_id
    client.log_artifacts(run, str(files))
    client.set_terminated(run)
    return store, run
