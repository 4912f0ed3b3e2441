"""Logs a fit as an MLflow model with its draws, and registers it as a version."""

from __future__ import annotations

import ast
import inspect
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

import mlflow.pyfunc
import numpy as np
import pandas as pd
import xarray as xr
from mlflow.entities import LoggedModel, LoggedModelOutput
from mlflow.exceptions import MlflowException
from mlflow.models import Model, ModelSignature
from mlflow.protos.databricks_pb2 import RESOURCE_ALREADY_EXISTS, ErrorCode
from mlflow.types import ColSpec, DataType, Schema

from model.likelihood import linear_predictor, spreads
from model.prediction import portable
from model.screen.design import ScreenDesign
from schemas import model_spec
from tasks.tracking.registry import CHALLENGER, CHAMPION, move_challenger
from tasks.tracking.run import FitRun

if TYPE_CHECKING:
    from model.fit import FitResults

NAME = "effects"
SOURCES = (model_spec, linear_predictor, spreads, portable)
"""Modules that a logged model carries, each after those it imports."""
INPUTS = [ColSpec(DataType.string, "gene"), ColSpec(DataType.string, "cell_line")]
OUTPUTS = Schema(
    [
        ColSpec(DataType.double, "logfc_mean"),
        ColSpec(DataType.double, "logfc_low"),
        ColSpec(DataType.double, "logfc_high"),
    ]
)
REQUIREMENTS = ("mlflow", "numpy", "pandas", "scipy")


def log_effect_model(
    run: FitRun, posterior: xr.Dataset, design: ScreenDesign, folder: Path, tags: dict[str, str]
) -> LoggedModel:
    """Log the posterior as a model of the run, with `tags`, and return it.

    `posterior` is the group of that name; `folder` is a new folder for the files.
    """
    logged = run.client.create_logged_model(
        run.experiment_id, name=NAME, source_run_id=run.run_id, tags=tags, model_type="pyfunc"
    )
    folder.mkdir(parents=True)
    draws = portable.thin_draws(posterior, design)
    np.savez(folder / "draws.npz", **draws.arrays())  # type: ignore[arg-type]
    (folder / "prediction.py").write_text(joined_source(), encoding="utf-8")
    mlflow.pyfunc.save_model(
        path=folder / "model",
        python_model=Path(__file__).with_name("effect_model.py"),
        artifacts={
            "draws": str(folder / "draws.npz"),
            "prediction": str(folder / "prediction.py"),
        },
        signature=ModelSignature(Schema([*INPUTS, *_covariates(draws)]), OUTPUTS),
        input_example=_example(draws),
        pip_requirements=[f"{name}=={version(name)}" for name in REQUIREMENTS],
        metadata={"rna_units": rna_units(design)},
        mlflow_model=Model(
            artifact_path=logged.artifact_location,
            run_id=run.run_id,
            model_uuid=logged.model_id,
            model_id=logged.model_id,
        ),
    )
    run.client.log_model_artifacts(logged.model_id, str(folder / "model"))
    run.client.finalize_logged_model(logged.model_id, "READY")
    run.client.log_outputs(run.run_id, [LoggedModelOutput(logged.model_id, step=0)])
    return logged


def rna_units(design: ScreenDesign) -> str:
    """Return the units of RNA in the input of a logged model, named as in dataset files."""
    return "log2_tpm" if design.rna_is_log2 else "z_score"


def register_version(
    run: FitRun, model: LoggedModel, results: FitResults, tags: dict[str, str]
) -> None:
    """Register a logged model, with `tags`, as the next version under the name of the dataset.

    Moves the alias `challenger` to it; `champion` does not change.
    """
    dataset = results.dataset
    try:
        run.client.create_registered_model(
            dataset.name,
            tags={"dataset": dataset.name, "library": dataset.library},
            description=(
                f"Effects of a gene's own expression on the dependency on it, in the screen "
                f"{dataset.name} ({dataset.library}). One version per fit. `{CHAMPION}` is the "
                f"version in use, set by `screenbayes promote`; `{CHALLENGER}` is the newest."
            ),
        )
    except MlflowException as error:
        if error.error_code != ErrorCode.Name(RESOURCE_ALREADY_EXISTS):
            raise
    size = results.preparation
    run.client.create_model_version(
        dataset.name,
        source=model.artifact_location,  # MLflow resolves `models:/...` in its global store
        run_id=run.run_id,
        model_id=model.model_id,
        tags=tags,
        description=(
            f"{dataset.release}, {tags['model']} by {tags['engine']}: {size.n_genes:,} genes, "
            f"{size.n_cell_lines:,} cell lines; verdict {tags['verdict']}. Predicts the log fold "
            "change (log2) of one measurement, with an 89 % interval, from gene, cell line and "
            f"RNA. Column `rna` is in `{rna_units(results.design)}`."
        ),
    )
    move_challenger(run.client, dataset.name)


def joined_source() -> str:
    """Return the code of `SOURCES` as one module, without what they import from each other."""
    ours = {name.split(".")[0] for name in (module.__name__ for module in SOURCES)}
    dropped = {*ours, "__future__"}
    body = [
        node
        for module in SOURCES
        for node in ast.parse(inspect.getsource(module)).body
        if not (isinstance(node, ast.ImportFrom) and str(node.module).split(".")[0] in dropped)
    ]
    return "from __future__ import annotations\n" + ast.unparse(ast.Module(body, []))


def _covariates(draws: portable.EffectDraws) -> list[ColSpec]:
    """Return the columns of the covariates; only RNA must be given."""
    return [
        ColSpec(DataType.double, name, required=name == "rna") for name in draws.covariate_means
    ]


def _example(draws: portable.EffectDraws) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "gene": draws.genes[:1].repeat(2),
            "cell_line": [draws.cell_lines[0], "a new cell line"],
            "rna": draws.covariate_means["rna"][:1].repeat(2),
        }
    )
