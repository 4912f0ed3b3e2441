"""What tests of faults share: commands, a screen, a stored run."""

from pathlib import Path

import h5py
import numpy as np
import pytest

from deployments.cli.demo import write_demo_dataset
from tests.faults.catalogue import Fault
from tests.faults.commands import Command, OwnProcess, prepare_forks


@pytest.fixture
def fault(request) -> Fault:
    return request.node.get_closest_marker("fault").args[0]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "work").mkdir()
    return tmp_path / "work"


@pytest.fixture
def command(fault, folder, monkeypatch, capsys) -> Command:
    """The command `screenbayes` in this process; its tables so wide that no cell is folded."""
    monkeypatch.chdir(folder)
    monkeypatch.setenv("COLUMNS", "1000")
    return Command(fault, folder, capsys)


@pytest.fixture(scope="session")
def api(prefect_server) -> str:
    """The address of a running Prefect server, with which forks are ready."""
    from prefect.settings import PREFECT_API_URL

    prepare_forks(str(PREFECT_API_URL.value()))
    return str(PREFECT_API_URL.value())


@pytest.fixture
def forked(fault, folder, api):
    """The same in a process of its own with its imports done, at a running Prefect server."""
    command = OwnProcess(fault, folder, api=api)
    yield command
    command.kill()


@pytest.fixture
def fresh(fault, folder):
    """The same in a fresh process, with Prefect's embedded server."""
    command = OwnProcess(fault, folder, fresh=True)
    yield command
    command.kill()


@pytest.fixture
def screen(tmp_path: Path) -> Path:
    """The dataset file of the simulated screen, in a folder of its own."""
    return write_demo_dataset(tmp_path / "screen")


@pytest.fixture(scope="session")
def stored_run(tmp_path_factory) -> tuple[Path, str]:
    """An MLflow store, and the id of the finished run of 3 MB that it holds."""
    from tasks.tracking.store import connect

    folder = tmp_path_factory.mktemp("stored")
    (folder / "files").mkdir()
    with h5py.File(folder / "files" / "posterior.nc", "w") as draws:
        draws["beta_g"] = np.zeros(3_000_000, np.uint8)
    client = connect(f"sqlite:///{folder / 'mlflow.db'}")
    experiment = client.create_experiment("stored", (folder / "mlruns").as_uri())
    run = client.create_run(experiment).info.run_id
    client.log_artifacts(run, str(folder / "files"))
    client.set_terminated(run)
    return folder / "mlflow.db", run
