"""A fit as a model in MLflow: saved with its draws, logged to the run, registered as a version.

What the model does when loaded is `tasks.effect_model`; what the aliases stand for is
`tasks.registry`.
"""

from __future__ import annotations

from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path

import mlflow.pyfunc
import numpy as np
import pandas as pd
import xarray as xr
from mlflow.entities import LoggedModel, LoggedModelOutput
from mlflow.exceptions import MlflowException
from mlflow.models import Model, ModelSignature
from mlflow.protos.databricks_pb2 import RESOURCE_ALREADY_EXISTS, ErrorCode
from mlflow.types import ColSpec, DataType, Schema

from model import prediction
from model.design import ScreenDesign
from tasks.artifacts import FitResults
from tasks.registry import CHALLENGER, CHAMPION, move_challenger
from tasks.tracking_run import FitRun

NAME = "effects"
SIGNATURE = ModelSignature(
    inputs=Schema(
        [
            ColSpec(DataType.string, "gene"),
            ColSpec(DataType.string, "cell_line"),
            ColSpec(DataType.double, "rna"),
        ]
    ),
    outputs=Schema(
        [
            ColSpec(DataType.double, "logfc_mean"),
            ColSpec(DataType.double, "logfc_low"),
            ColSpec(DataType.double, "logfc_high"),
        ]
    ),
)
REQUIREMENTS = ("mlflow", "numpy", "pandas", "scipy")


def log_effect_model(
    run: FitRun, posterior: xr.Dataset, design: ScreenDesign, folder: Path, tags: dict[str, str]
) -> LoggedModel:
    """Log the posterior as a model of the run and return it; `folder` (new) is for the files.

    `posterior` is the group of that name; `tags` are put on the model.
    """
    logged = run.client.create_logged_model(
        run.experiment_id, name=NAME, source_run_id=run.run_id, tags=tags, model_type="pyfunc"
    )
    folder.mkdir(parents=True)
    draws = _draws(posterior, design)
    np.savez(folder / "draws.npz", **asdict(draws))
    mlflow.pyfunc.save_model(
        path=folder / "model",
        python_model=Path(__file__).with_name("effect_model.py"),
        artifacts={
            "draws": str(folder / "draws.npz"),
            "prediction": str(Path(prediction.__file__)),
        },
        signature=SIGNATURE,
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
    """Return the units of the RNA a logged model is asked about, as a dataset names them."""
    return "log2_tpm" if design.rna_is_log2 else "z_score"


def register_version(
    run: FitRun, model: LoggedModel, results: FitResults, tags: dict[str, str]
) -> None:
    """Register a logged model as the next version under the name of the dataset.

    The alias `challenger` moves to it, `champion` stays where it is. `tags` are put on the version.
    """
    dataset = results.dataset
    try:
        run.client.create_registered_model(
            dataset.name,
            tags={"dataset": dataset.name, "library": dataset.library},
            description=(
                f"How strongly a gene's own expression drives the dependency on it, in the screen "
                f"{dataset.name} ({dataset.library}). One version a fit. `{CHAMPION}` is the "
                f"version in use, which only the gate moves (`screenbayes promote`); "
                f"`{CHALLENGER}` is the newest."
            ),
        )
    except MlflowException as error:
        if error.error_code != ErrorCode.Name(RESOURCE_ALREADY_EXISTS):
            raise
    size = results.preparation
    run.client.create_model_version(
        dataset.name,
        source=model.artifact_location,  # `models:/...` is looked up in MLflow's global store
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


def _draws(posterior: xr.Dataset, design: ScreenDesign) -> prediction.EffectDraws:
    if design.rna_is_log2:
        return prediction.thin_draws(posterior, design.rna_mean, design.rna_sd)
    n_genes = len(design.genes)
    return prediction.thin_draws(posterior, np.zeros(n_genes), np.ones(n_genes))


def _example(draws: prediction.EffectDraws) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "gene": draws.genes[:1].repeat(2),
            "cell_line": [draws.cell_lines[0], "a new cell line"],
            "rna": draws.rna_mean[:1].repeat(2),
        }
    )
