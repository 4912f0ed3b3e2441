"""Every page followed word by word: its files written, its commands typed, its snippets run.

Each page has a fresh clone of the working tree. Its `.venv` is that of the running environment and
its `bootstrap.sh` does nothing: setting up from nothing is what continuous integration begins with.
What is typed otherwise than it is written, and what is not typed at all, says `tests.docs.walks`.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import boto3
import pandas as pd
import pytest

from tests.docs.pages import ROOT
from tests.docs.reader import RELEASES, Reader, dataset_text
from tests.docs.shell import Shell
from tests.integration.processes import PATIENCE, free_port, s3_settings

BUCKETS = ("bucket", "depmap")


def clone(folder: Path, screenbayes: Path) -> Path:
    """Make a fresh clone of the working tree, changes that are not committed included.

    Its `screenbayes` is this program.
    """
    listed = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(listed, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    for name in filter(None, names.split("\0")):
        if (ROOT / name).exists():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    (folder / "bootstrap.sh").write_text("exit 0\n")
    # Folders of links: nothing in a clone can change the environment itself.
    (folder / ".venv" / "bin").mkdir(parents=True)
    own = folder / ".venv"
    for part in [*Path(sys.prefix).iterdir(), *Path(sys.prefix, "bin").iterdir()]:
        if part.name not in ("bin", ".complete", "screenbayes", "activate"):
            (own / part.relative_to(sys.prefix)).symlink_to(part)
    (own / "bin" / "screenbayes").symlink_to(screenbayes)
    activate = Path(sys.prefix, "bin", "activate").read_text(encoding="utf-8")
    (own / "bin" / "activate").write_text(activate.replace(sys.prefix, str(own)))
    return folder


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two releases that were simulated, under the names of published tables.

    The first gene is SOX10, whom the pages name. In 24Q2 one line has failed quality control.
    """
    from model.simulation.release import simulate_release
    from schemas.simulation import Simulation
    from tasks.write_simulation import write_release

    folder = tmp_path_factory.mktemp("depmap")
    settings = Simulation(model="m4_nested", genes=40, cell_lines=16, guides=3)
    for release in RELEASES:
        dataset = write_release(simulate_release(settings), folder / release)
        dataset.unlink()  # it would be a release of its own where releases land
        for table in (folder / release).glob("*.csv"):
            text = table.read_text().replace("SIM1 (900001)", "SOX10 (6663)")
            table.write_text(text)
        gene = pd.read_csv(folder / release / "AvanaGuideMap.csv").set_index("sgRNA")["Gene"]
        logfc = pd.read_csv(folder / release / "AvanaLogfoldChange.csv", index_col=0)
        genes = logfc.mean(axis=1).groupby(gene).mean().sort_values().index
        for kind, part in (("CommonEssential", genes[:5]), ("Nonessential", genes[-5:])):
            path = folder / release / f"Achilles{kind}Controls.csv"
            pd.DataFrame({"Gene": part}).to_csv(path, index=False)
    table = folder / "24Q2" / "ScreenSequenceMap.csv"
    maps = pd.read_csv(table)
    maps.loc[maps["ModelID"] == maps["ModelID"].iloc[-1], "PassesQC"] = False
    maps.to_csv(table, index=False)
    return folder


@pytest.fixture(scope="session")
def screenbayes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The command, its imports done."""
    folder = tmp_path_factory.mktemp("forks")
    program, address = folder / "screenbayes", folder / "socket"
    command = [sys.executable, "-m", "tests.forks", str(address), str(program)]
    with subprocess.Popen(command, cwd=ROOT) as server:
        while not program.exists():
            assert server.poll() is None
            time.sleep(0.1)
        yield program
        server.kill()


@pytest.fixture
def reader(
    data, screenbayes, prefect_server, s3_endpoint, tmp_path_factory, monkeypatch
) -> Iterator[Reader]:
    """A reader in a fresh clone, with a shell, the releases, and buckets that have them too.

    All readers are in one place, one after the other: MLflow keeps whole paths, so fits that were
    made for one can be laid before another there alone.
    """
    home = tmp_path_factory.getbasetemp() / "reader"
    shutil.rmtree(home, ignore_errors=True)
    home.mkdir()
    programs = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    environment = {
        **s3_settings(s3_endpoint),
        "PYTHONPATH": str(home / "clone"),
        "PREFECT_HOME": str(home / "prefect"),
        "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": str(int(PATIENCE)),
        "PATH": os.pathsep.join(
            [str(home / "clone" / ".venv" / "bin"), os.environ["PATH"], *map(str, programs)]
        ),
        "COLUMNS": "200",
        # What a server of one page compiled is used again by the next: files keep their times.
        "NUMBA_CACHE_DIR": str(tmp_path_factory.getbasetemp() / "compiled"),
        # `mlflow ui` would start twelve processes; nothing here needs more than the one.
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        "MLFLOW_WORKERS": "1",
    }
    for name, value in environment.items():
        if name.startswith("AWS_"):
            monkeypatch.setenv(name, value)
    for name in ("PREFECT_API_URL", "VIRTUAL_ENV", "SCREENBAYES_PREFIX"):
        monkeypatch.delenv(name, raising=False)
    s3 = boto3.client("s3")
    for bucket in BUCKETS:
        s3.create_bucket(Bucket=bucket)
        for table in data.rglob("*.csv"):
            s3.upload_file(str(table), bucket, str(table.relative_to(data)))
    folder = clone(home / "clone", screenbayes)
    places: dict[str, Any] = {
        name: free_port() for name in ("mlflow", "prefect", "workbench", "postgres", "dask")
    } | {"data": data}
    shell = Shell(folder, home / "shell", environment)
    reader = Reader(folder, shell, places)
    reader.write("avana.yaml", dataset_text("24Q4"))
    with ExitStack() as down:
        down.callback(shell.stop_servers)
        reader.down = down
        yield reader
