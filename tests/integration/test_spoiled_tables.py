"""Ways of spoiling the tables of the real sample: each is answered by its own rule.

Every way is a function that changes a copy of the sample, under the rule it must break; they are in
`tests.integration.spoilt`. The copy is then given to the validation and to `screenbayes fit`, which
must refuse it (exit code 2) and leave no finished run in MLflow.
"""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pandas as pd
import pytest
from prefect.settings import PREFECT_FLOWS_HEARTBEAT_FREQUENCY, temporary_settings
from prefect.testing.utilities import prefect_test_harness

from deployments.command_line import main
from deployments.exit_codes import BAD_INPUT
from schemas.parameters import FitParameters
from schemas.reports import ValidationReport
from tasks.read_dataset import load_dataset
from tasks.validate import validate
from tests.integration.spoilt import files, joins, maps, values  # noqa: F401  they register ways
from tests.integration.spoilt.copies import (
    CASES,
    CONTROLS,
    FILES,
    Case,
    Copy,
    as_long,
    with_profiles,
)

pytestmark = pytest.mark.integration

N_CONTROLS = 25


@pytest.fixture(scope="session")
def small_sample(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sample with all its sequences and RNA, but only the guides of RNA and some controls."""
    sample = shared / "data" / "avana_sample"
    folder = tmp_path_factory.mktemp("sample")
    for table in ("sequence_map", "rna", *CONTROLS):
        shutil.copyfile(sample / FILES[table], folder / FILES[table])
    rna = pd.read_csv(folder / FILES["rna"], nrows=0).columns
    guide_map = pd.read_csv(sample / FILES["guide_map"], dtype="object", keep_default_na=False)
    genes = set(rna)
    for table in CONTROLS:
        controls = pd.read_csv(folder / FILES[table])["Gene"]
        genes |= set(controls[controls.isin(guide_map["Gene"])][:N_CONTROLS])
    guide_map = guide_map[guide_map["Gene"].isin(genes)]
    guide_map.to_csv(folder / FILES["guide_map"], index=False)
    logfc = pd.read_csv(
        sample / f"{FILES['logfc']}.gz", index_col=0, dtype="object", keep_default_na=False
    )
    logfc.loc[guide_map["sgRNA"]].to_csv(folder / FILES["logfc"], index_label="")
    return folder


@pytest.fixture
def copy(small_sample: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Copy:
    folder = tmp_path / "release"
    shutil.copytree(small_sample, folder)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    return Copy(folder)


@pytest.fixture(scope="module")
def prefect_server() -> Iterator[None]:
    """A server for all fits of this module, their heartbeat off: ending it takes half a second."""
    with (
        prefect_test_harness(server_startup_timeout=180),
        temporary_settings({PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None}),
    ):
        yield


def report_of(copy: Copy) -> ValidationReport:
    validated = validate(load_dataset(copy.dataset_file()), FitParameters())
    assert (validated.statistics is None) == bool(validated.report.errors)
    return validated.report


def finished_runs(folder: Path) -> list[str]:
    """Return the finished runs of MLflow's default store in a folder."""
    store = folder / "mlflow.db"
    if not store.exists():
        return []
    with closing(sqlite3.connect(store)) as database:
        rows = database.execute("select run_uuid from runs where status = 'FINISHED'")
        return [run for (run,) in rows]


def test_the_sound_sample_has_no_error(copy: Copy):
    report = report_of(copy)
    assert report.errors == ()
    assert {finding.rule for finding in report.warnings} == {
        "genes_lost",
        "guides_per_gene",
        "logfc_missing",
    }


def test_the_whole_sample_has_no_error(shared: Path, tmp_path: Path):
    sample = shared / "data" / "avana_sample"
    packed = FILES | {"logfc": f"{FILES['logfc']}.gz"}
    shutil.copytree(sample, tmp_path / "whole")
    report = report_of(Copy(tmp_path / "whole", files=packed))
    assert report.errors == ()
    assert {finding.rule: finding.found for finding in report.warnings} == {
        "genes_lost": ("C8orf37 (157657)",),
        "guides_per_gene": ("DTX2 (113878): 1", "MPRIP (23164): 1"),
        "logfc_missing": ("0.23 % of 319,608 values",),
    }


def test_sound_later_and_long_layouts_have_no_error(copy: Copy):
    with_profiles(copy, lambda rna: rna["IsDefaultEntryForModel"])
    assert report_of(copy).errors == ()
    as_long(copy, lambda long: long)
    assert report_of(copy).errors == ()


def test_there_are_many_ways():
    assert len({case.spoil.__name__ for case in CASES}) == len(CASES) >= 45


@pytest.mark.usefixtures("prefect_server")
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.spoil.__name__)
def test_spoiled_tables_are_refused_by_their_rule(
    case: Case, copy: Copy, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    case.spoil(copy)
    report = report_of(copy)
    assert (case.rule, case.table) in {(error.rule, error.table) for error in report.errors}
    assert {error.rule for error in report.errors} == {case.rule, *case.also}
    assert main(["fit", copy.dataset_file()]) == BAD_INPUT
    assert case.rule in capsys.readouterr().err
    assert finished_runs(tmp_path) == []
