"""A reader of a page, who types its commands and looks at what is printed."""

from __future__ import annotations

import os
import re
import shutil
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import requests
import yaml
from mlflow import MlflowClient
from prefect.settings import PREFECT_API_URL

from tests.docs.pages import ROOT, Block, blocks
from tests.docs.shell import Shell
from tests.docs.walks import WALKS, Walk, in_place, not_run, server
from tests.integration.processes import PATIENCE, postgres, prefect_server

RELEASES = ("24Q2", "24Q4")
RUN = re.compile(r"MLflow run: ([0-9a-f]{32})")


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

    def walk_through(self, page: str, request: pytest.FixtureRequest) -> None:
        """Do what a page says, from its first line to its last."""
        walk, said = WALKS[page], ""
        self.prepare(walk, request)
        for block in blocks((ROOT / page).read_text(encoding="utf-8")):
            said = self.follow(page, block, walk, said)

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
