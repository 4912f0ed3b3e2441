"""MLflow stores for the tests of tracking, and two fits that are tracked once."""

import shutil
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import pytest
from mlflow import MlflowClient
from mlflow.entities import Run

from model.fit import FitResults
from schemas.parameters import Filters, FitParameters
from tasks.tracking.registry import CHAMPION
from tasks.tracking.run import FitRun
from tests.tasks.fits import KNOWN, convergence_of, design_of, influence_of, results_of
from tests.tasks.stores import track


@pytest.fixture(scope="session")
def fresh_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty store after its migrations, which take a second each time."""
    store = tmp_path_factory.mktemp("store") / "mlflow.db"
    MlflowClient(f"sqlite:///{store}").search_experiments()
    return store


@pytest.fixture
def working_folder(fresh_store, tmp_path, monkeypatch) -> Path:
    """An empty working folder with an empty default store, and a folder for temporary files."""
    monkeypatch.chdir(tmp_path)
    shutil.copy(fresh_store, tmp_path / "mlflow.db")
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    return tmp_path


class Tracked(NamedTuple):
    results: FitResults
    run: FitRun
    stored: Run

    @property
    def files(self) -> Path:
        return Path(self.run.client.download_artifacts(self.run.run_id, ""))


@pytest.fixture(scope="session")
def tracked_fits(fresh_store, tmp_path_factory) -> tuple[Tracked, Tracked]:
    """A sampled fit for review, then the champion, and an integrated one that passes."""
    folder = tmp_path_factory.mktemp("tracked") / "my screen"
    folder.mkdir()
    shutil.copy(fresh_store, folder / "mlflow.db")
    nuts = results_of(
        FitParameters(model="m4", filters=Filters(genes=tuple(f"G{n} ({n})" for n in range(1000)))),
        status="review",
        convergence=convergence_of(rhat_max=float("nan"), mcse_mean_max_ratio=float("inf")),
        known_genes=KNOWN,
        influence=influence_of(),
    )
    tables = nuts.validation.tables
    moved = tables[0].model_copy(update={"location": "s3://screens/guide_map.csv"})
    validation = nuts.validation.model_copy(update={"tables": (moved, *tables[1:])})
    exact = results_of(
        FitParameters(model="m4_zero_mean", engine="auto"),
        engine="exact",
        design=design_of(rna_is_log2=False),
        influence=influence_of(n_lineages=0),
    )
    found = []
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for results in (replace(nuts, validation=validation), exact):
            run, stored = track(results)
            found.append(Tracked(results, run, stored))
            if len(found) == 1:
                run.client.set_registered_model_alias(results.dataset.name, CHAMPION, "1")
    return found[0], found[1]


@pytest.fixture
def nuts_fit(tracked_fits: tuple[Tracked, Tracked], monkeypatch: pytest.MonkeyPatch) -> Tracked:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", tracked_fits[0].run.uri)
    return tracked_fits[0]


@pytest.fixture
def exact_fit(tracked_fits: tuple[Tracked, Tracked], monkeypatch: pytest.MonkeyPatch) -> Tracked:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", tracked_fits[1].run.uri)
    return tracked_fits[1]
