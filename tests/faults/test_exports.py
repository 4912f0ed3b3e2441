"""Runs that are asked for and are not there, or not whole: exported, compared, promoted."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from deployments.exit_codes import BAD_INPUT
from schemas.calibration import CalibrationSettings
from tasks.registry import CHAMPION
from tasks.tracking_run import connect, tracking_uri
from tests.faults.catalogue import Area, Left, fault
from tests.faults.commands import InThisProcess
from tests.tasks.stores import calibrated, fitted

pytestmark = [pytest.mark.integration]

DATASET = "Avana sample"


@dataclass(frozen=True)
class Store:
    """A store with runs of several kinds, and where it keeps their files."""

    uri: str
    runs: dict[str, str]
    """Ids, by what they are."""

    def files(self, name: str) -> Path:
        run = connect(self.uri).get_run(self.runs[name])
        return Path(run.info.artifact_uri.removeprefix("file://"))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    folder = tmp_path_factory.mktemp("store")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        first, second = fitted(release="24Q2"), fitted(release="24Q4")
        runs = {
            "champion": first.run_id,
            "fit": second.run_id,
            "calibration": calibrated(CalibrationSettings(), Counter(exact=100)),
            "failed": first.client.create_run(first.experiment_id).info.run_id,
            "deleted": first.client.create_run(first.experiment_id).info.run_id,
        }
        first.client.set_terminated(runs["failed"], "FAILED")
        first.client.delete_run(runs["deleted"])
        first.client.set_registered_model_alias(DATASET, CHAMPION, "1")
        yield Store(tracking_uri(), runs)


@pytest.fixture
def store(made: Store, at_once: InThisProcess, monkeypatch: pytest.MonkeyPatch) -> Store:
    """The store of the commands of a test."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", made.uri)
    return made


def bad_run(what: str, made: str, *told: str) -> pytest.MarkDecorator:
    return fault(Area.EXPORTS, what, made=made, code=BAD_INPUT, told=told, left=Left.AS_BEFORE)


NO_RUNS: tuple[tuple[str, str, str], ...] = (
    ("a path", "../../etc", "got '../../etc'"),
    ("an absolute path", "/etc/passwd", "got '/etc/passwd'"),
    ("a search", "' OR tags.release LIKE '%", "or a release of Avana sample"),
    ("a pattern", "%", "got '%'"),
    ("an address", "runs:/0123/posterior.nc", "got 'runs:/0123"),
    ("the beginning of an id", "0123456789abcdef", "got '0123456789abcdef'"),
    ("the id of no run", "0" * 32, f"there is no '{'0' * 32}'"),
    ("an alias that nobody has", "challengers", "24Q4, 24Q2"),
    ("an escape sequence", "\x1b[2J", r"got '\x1b[2J'"),
)
COMMANDS = (
    ("export", "RUN", "--out", "out"),
    ("compare", "champion", "RUN"),
    ("promote", "RUN"),
)


@pytest.mark.parametrize("words", [pytest.param(words, id=words[0]) for words in COMMANDS])
@pytest.mark.parametrize(
    "name",
    [
        pytest.param(
            name,
            marks=bad_run(
                f"{what} in place of a run, to export, compare or promote",
                f"`{name if name.isprintable() else repr(name)}`",
                told,
            ),
            id=what,
        )
        for what, name, told in NO_RUNS
    ],
)
def test_a_name_of_no_run(
    name: str, words: tuple[str, ...], store: Store, at_once: InThisProcess, prefect_server: None
) -> None:
    done = at_once(*(name if word == "RUN" else word for word in words), "--dataset", DATASET)
    assert "\x1b[2J" not in done.err


@pytest.mark.parametrize(
    "words",
    [
        *COMMANDS,
        ("fit", "RUN"),
        ("validate", "RUN"),
        ("import-trace", "RUN", "--dataset", "screen.yaml"),
    ],
    ids=lambda words: words[0],
)
@bad_run("nothing in place of a run or a file", "an argument that is empty", "got nothing")
def test_nothing_in_place_of_a_name(
    words: tuple[str, ...], store: Store, at_once: InThisProcess
) -> None:
    at_once(*("" if word == "RUN" else word for word in words))


@bad_run(
    "one fit under two names, to compare",
    "`compare champion` and the id of the champion",
    "are one fit",
    "expected two",
)
def test_one_fit_under_two_names(
    store: Store, at_once: InThisProcess, prefect_server: None
) -> None:
    at_once("compare", "champion", store.runs["champion"], "--dataset", DATASET)


@pytest.mark.parametrize("words", [pytest.param(words, id=words[0]) for words in COMMANDS])
@bad_run(
    "a dataset that is not there, to export, compare or promote of",
    "`--dataset ../x`",
    "has none of '../x'; there are: Avana sample",
)
def test_a_dataset_that_is_not_there(
    words: tuple[str, ...], store: Store, at_once: InThisProcess, prefect_server: None
) -> None:
    words = tuple("latest" if word in ("RUN", "champion") else word for word in words)
    at_once(*words, "--dataset", "../x")


@pytest.mark.parametrize(
    ("words", "kind"),
    [
        pytest.param(
            words,
            kind,
            marks=bad_run(f"a {kind} run is to be {done}", f"`{words[0]}` with its id", *told),
            id=f"{words[0]} {kind}",
        )
        for words, done, kind, told in (
            (COMMANDS[0], "exported", "failed", ("is FAILED; take another",)),
            (COMMANDS[0], "exported", "deleted", ("has been deleted", "mlflow runs restore")),
            (COMMANDS[1], "compared", "failed", ("is FAILED", "take another run")),
            (COMMANDS[1], "compared", "calibration", ("no fit of this version",)),
            (COMMANDS[2], "promoted", "deleted", ("has been deleted", "mlflow runs restore")),
            (COMMANDS[2], "promoted", "calibration", ("no fit of this version",)),
        )
    ],
)
def test_a_run_that_is_no_finished_fit(
    words: tuple[str, ...],
    kind: str,
    store: Store,
    at_once: InThisProcess,
    prefect_server: None,
) -> None:
    at_once(*(store.runs[kind] if word == "RUN" else word for word in words))


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def empty(path: Path) -> None:
    path.write_bytes(b"")


def remove(path: Path) -> None:
    path.unlink()


def overwrite(path: Path) -> None:
    path.write_bytes(b"\xff" * path.stat().st_size)


@contextmanager
def spoilt(path: Path, spoil: Callable[[Path], None]) -> Iterator[None]:
    """Spoil a file, and put it back."""
    kept = path.with_name(f"{path.name} kept")
    shutil.copy(path, kept)
    spoil(path)
    yield
    kept.replace(path)


SPOILT: tuple[tuple[str, str, Callable[[Path], None]], ...] = (
    # the command, the file, what happened to it
    ("export", "posterior.nc", cut),
    ("export", "gene_effects.parquet", cut),
    ("export", "screen/design.nc", empty),
    ("compare", "gene_effects.parquet", cut),
    ("compare", "gene_effects.parquet", overwrite),
    ("compare", "screen/design.nc", cut),
    ("compare", "screen/genes.parquet", remove),
    ("compare", "parameters.json", cut),
    ("compare", "predictive_checks.json", empty),
    ("compare", "summary.csv", empty),
    ("promote", "gene_effects.parquet", remove),
    ("promote", "preparation.json", cut),
)
HAPPENED: dict[Callable[[Path], None], str] = {
    cut: "cut",
    empty: "emptied",
    remove: "removed",
    overwrite: "overwritten",
}


@pytest.mark.parametrize(
    ("name", "file", "spoil"),
    [
        pytest.param(
            name,
            file,
            spoil,
            marks=bad_run(
                f"`{name}` of a run whose `{file}` is damaged",
                f"the file {HAPPENED[spoil]} in the store",
                "damaged or gone",
                "put it back from a backup",
            ),
            id=f"{name} {file} {HAPPENED[spoil]}",
        )
        for name, file, spoil in SPOILT
    ],
)
def test_a_run_with_a_damaged_file(
    name: str,
    file: str,
    spoil: Callable[[Path], None],
    store: Store,
    at_once: InThisProcess,
    prefect_server: None,
) -> None:
    (words,) = (words for words in COMMANDS if words[0] == name)
    with spoilt(store.files("fit") / file, spoil):
        done = at_once(*(store.runs["fit"] if word == "RUN" else word for word in words))
    assert store.runs["fit"] in done.err


@bad_run(
    "a fit is to take the place of a champion whose files are damaged",
    "`gene_effects.parquet` of the champion cut in the store",
    "the champion of Avana sample, version 1",
    "damaged or gone",
    "take the alias champion away",
)
def test_a_champion_that_is_damaged(
    store: Store, at_once: InThisProcess, prefect_server: None
) -> None:
    with spoilt(store.files("champion") / "gene_effects.parquet", cut):
        at_once("promote", store.runs["fit"])
