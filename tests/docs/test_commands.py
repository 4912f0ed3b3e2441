"""Every page followed word by word: its files written, its commands typed, its snippets run.

Each page has a fresh clone of the working tree. Its `.venv` is that of the running environment and
its `bootstrap.sh` does nothing: setting up from nothing is what continuous integration begins with.
What is typed otherwise than it is written, and what is not typed at all, says `tests.docs.walks`.
"""

from __future__ import annotations

import os
import re
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
import requests
import yaml
from mlflow import MlflowClient
from prefect.settings import PREFECT_API_URL

from tests.docs.pages import ROOT, Block, blocks
from tests.docs.shell import Shell
from tests.docs.walks import WALKS, Walk, in_place, not_run, server
from tests.integration.processes import PATIENCE, free_port, postgres, prefect_server, s3_settings

pytestmark = [pytest.mark.slow, pytest.mark.integration]

BUCKETS = ("bucket", "depmap")
RELEASES = ("24Q2", "24Q4")
RUN = re.compile(r"MLflow run: ([0-9a-f]{32})")


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


def dataset_text(release: str) -> str:
    dataset = {"name": "avana", "release": release, "library": "Avana"}
    return yaml.safe_dump(dataset | {"folder": f"/data/depmap/{release}"})


class Reader:
    down: ExitStack

    def __init__(self, folder: Path, shell: Shell, places: dict[str, Any]) -> None:
        self.folder, self.shell, self.places = folder, shell, places

    def write(self, name: str, text: str) -> None:
        (self.folder / name).write_text(in_place(text, self.places) + "\n", encoding="utf-8")

    def type(self, command: str, right: tuple[int, ...] = (0,)) -> str:
        """Type a command, with places and runs as they are here; return what it said."""
        typed = in_place(command, self.places)
        for placeholder, run in self._runs().items():
            typed = re.sub(rf"\b{placeholder}\b", run, typed)
        if sign := server(command):
            return self.shell.serve(typed, self._is_up(sign), PATIENCE)
        code, said = self.shell.run(typed)
        assert code in right, f"{typed}\nended with {code}:\n{said[-6000:]}"
        return said

    def _runs(self) -> dict[str, str]:
        """Fits of the page: the first, the last (`RUN_OF_M4_SCREEN`) and the one before that."""
        runs = RUN.findall(self.shell.said)
        last = dict(zip(("RUN_OF_M4_SCREEN", "RUN_OF_M4_NESTED"), reversed(runs), strict=False))
        return last | {"FIRST_RUN": runs[0]} if runs else {}

    def _is_up(self, sign: str) -> Any:
        if sign.startswith("http"):
            return lambda said: requests.get(sign.format(**self.places), timeout=5).ok
        return lambda said: sign in said

    def prepare(self, walk: Walk, request: pytest.FixtureRequest) -> None:
        """Provide what the page takes as given."""
        if not {"embedded", "server", "stack"} & set(walk.needs):
            # Set before the others: a fit that is made for the page uses it too.
            self.type(f"export PREFECT_API_URL={PREFECT_API_URL.value()}")
        if "fits" in walk.needs:
            self._fits()
        if "trace" in walk.needs:
            from deployments.cli.demo import write_demo_dataset

            trace = request.getfixturevalue("shared") / "data" / "pymc3_m4_seed103.nc"
            shutil.copy(trace, self.folder / "old.nc")
            write_demo_dataset(self.folder).rename(self.folder / "avana.yaml")
        if "server" in walk.needs:
            port = self.places["prefect"]
            database = f"sqlite+aiosqlite:///{self.folder}/prefect.db"
            self.down.callback(prefect_server(self.folder, port, database).stop)
            self.type(f"export PREFECT_API_URL=http://127.0.0.1:{port}/api")
        if "stack" in walk.needs:
            self._databases()

    def _fits(self) -> None:
        """Two fitted releases and a calibration: made once, and laid before every other reader."""
        home = self.folder.parent
        kept, said = home.with_name("reader-with-fits"), home / "said"
        if kept.exists():
            shutil.rmtree(home)
            shutil.copytree(kept, home, symlinks=True)
            self.shell.said = said.read_text(encoding="utf-8")
            return
        for release in RELEASES:
            self.write("avana.yaml", dataset_text(release))
            self.type("screenbayes fit avana.yaml --model m4_nested --draws 1000")
        self.type("screenbayes calibrate --model m4_nested --simulations 60")
        # The gate needs 1,000, which take minutes.
        store = MlflowClient(f"sqlite:///{self.folder}/mlflow.db")
        experiment = store.get_experiment_by_name("calibration")
        assert experiment is not None
        (run,) = store.search_runs([experiment.experiment_id])
        store.log_metric(run.info.run_id, "n_simulations", 1000)
        said.write_text(self.shell.said, encoding="utf-8")
        shutil.copytree(home, kept, symlinks=True)

    def _databases(self) -> None:
        """What docs/production.md says to set, in one environment: all run on this machine."""
        port = self.places["postgres"]
        home = self.folder / "database"
        home.mkdir()
        self.down.callback(postgres(home, port).stop)
        where = f"postgres@127.0.0.1:{port}"
        for name, value in {
            "PREFECT_API_DATABASE_CONNECTION_URL": f"postgresql+asyncpg://{where}/prefect",
            "PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE": (
                "prefect.server.concurrency.lease_storage.filesystem"
            ),
            "MLFLOW_BACKEND_STORE_URI": f"postgresql+psycopg://{where}/mlflow",
            "MLFLOW_ARTIFACTS_DESTINATION": "s3://bucket/mlflow",
            "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
            "MLFLOW_S3_ENDPOINT_URL": os.environ["AWS_ENDPOINT_URL"],
            "PREFECT_API_URL": f"http://127.0.0.1:{self.places['prefect']}/api",
            "MLFLOW_TRACKING_URI": f"http://127.0.0.1:{self.places['mlflow']}",
            "SCREENBAYES_WORK": str(self.folder),
            "SCREENBAYES_PREFIX": "s3://depmap",
            "PREFECT_FLOWS_HEARTBEAT_FREQUENCY": "30",
            "PREFECT_CLIENT_RETRY_EXTRA_CODES": "500",
            "PREFECT_LOGGING_LOGGERS_PREFECT_TASK_RUNS_LEVEL": "WARNING",
        }.items():
            self.type(f"export {name}='{value}'")

    def follow(self, page: str, block: Block, walk: Walk, said: str) -> str:
        """Do what a block says; return what has been printed since the last one of output."""
        if block.file:
            self.write(block.file, block.text)
        elif block.commands:
            said = ""
            for command in block.commands:
                if not not_run(page, command):
                    said += self.type(command, walk.exits.get(command, (0,)))
        elif block.language == "python":
            self.write("snippet.py", walk.before + block.text)
            said = self.type("python snippet.py")
        elif block.language == "text" and said:
            assert not missing(block.text, said), f"{page}:{block.line}\nprinted:\n{said[-6000:]}"
        return said


def missing(shown: str, printed: str) -> list[str]:
    """Return the lines of some output of a page that were not printed, in this order.

    A line is there where its words are, one after the other; `...` stands for anything.
    Numbers that are not counts may differ by 2 %: a time or a Monte Carlo error of another machine.
    """
    words = iter(_words(printed))
    lost, here = [], list(words)
    for line in shown.splitlines():
        wanted = _words(line)
        at = next((n for n in range(len(here)) if _begins(here[n:], wanted)), None)
        if wanted and at is None:
            lost.append(line)
        elif wanted and at is not None:
            here = here[at + 1 :]
    return lost


def _words(text: str) -> list[str]:
    return re.sub(r"[┃│━╇║|]", " ", text).split()


def _begins(here: list[str], wanted: list[str]) -> bool:
    if len(here) < len(wanted):
        return False
    return all(
        want == "..." or have == want or _near(have, want)
        for have, want in zip(here, wanted, strict=False)
    )


def _near(have: str, want: str) -> bool:
    try:
        a, b = float(have.strip(",")), float(want.strip(","))
    except ValueError:
        return False
    return "." in want and abs(a - b) <= max(0.02 * abs(b), 0.02)


@pytest.mark.parametrize("page", WALKS)
def test_the_page_can_be_followed(page: str, reader: Reader, request) -> None:
    walk, said = WALKS[page], ""
    reader.prepare(walk, request)
    for block in blocks((ROOT / page).read_text(encoding="utf-8")):
        said = reader.follow(page, block, walk, said)
