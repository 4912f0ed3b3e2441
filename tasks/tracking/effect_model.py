"""The logged model of a fit (models from code): predicts log fold changes with uncertainty.

MLflow copies this file into each logged model and runs it where the model is loaded, so it must not
import other modules of ScreenBayes. The code of the prediction (`model.prediction.portable`) is an
artifact of the model, and each loaded model imports its own copy: `code_paths` would put it on
`sys.path`, where the first of two loaded models would determine the code of both.
"""

import sys
from importlib.util import module_from_spec, spec_from_file_location
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd
from mlflow.models import set_model
from mlflow.pyfunc.model import PythonModel, PythonModelContext


class EffectModel(PythonModel):
    """Predict the log fold change of one measurement for each row of a table.

    Input columns: `gene` (as labelled in the fit), `cell_line` (one that was not fitted counts as a
    new one), `rna` (in the units of the model's metadata `rna_units`: `log2_tpm`, log2(TPM+1), or
    `z_score`), and optionally the other covariates of the model, such as `copy_number`, log2(ratio
    + 1); where it is missing, the mean of the gene.
    Output columns: `logfc_mean`, `logfc_low`, `logfc_high`, the mean and the 89 % interval.
    """

    def load_context(self, context: PythonModelContext) -> None:
        """Load the draws and the prediction code from the artifacts of the model."""
        self._prediction = _module_at(context.artifacts["prediction"])
        with np.load(context.artifacts["draws"], allow_pickle=False) as arrays:
            self._draws = self._prediction.EffectDraws.from_arrays(arrays)

    def predict(
        self,
        context: PythonModelContext,
        model_input: pd.DataFrame,
        params: dict[str, Any] | None = None,
    ) -> pd.DataFrame:
        """Return one row of predictions per row of `model_input`, with the same index."""
        mean, low, high = self._prediction.predict_logfc(
            self._draws,
            model_input["gene"].tolist(),
            model_input["cell_line"].tolist(),
            {
                name: model_input[name].to_numpy(dtype=np.float64)
                for name in self._draws.covariate_means
                if name in model_input
            },
        )
        return pd.DataFrame(
            {"logfc_mean": mean, "logfc_low": low, "logfc_high": high}, index=model_input.index
        )


def _module_at(path: str) -> ModuleType:
    spec = spec_from_file_location(f"screenbayes_prediction {path}", path)
    assert spec is not None and spec.loader is not None
    module = sys.modules[spec.name] = module_from_spec(spec)  # dataclasses look themselves up
    spec.loader.exec_module(module)
    return module


set_model(EffectModel())
