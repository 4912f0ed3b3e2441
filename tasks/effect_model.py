"""The logged model of a fit, models-from-code: predicts log fold changes with their uncertainty.

MLflow copies this file into each logged model and runs it wherever the model is loaded, so it may
import nothing of ours. The arithmetic, `model/prediction.py`, travels beside the draws as an
artifact, and each loaded model runs its own copy: with `code_paths` MLflow would put it on
`sys.path`, where the first of two loaded models decides for both. Logging is `tasks.logged_model`.
"""

from importlib.util import module_from_spec, spec_from_file_location
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd
from mlflow.models import set_model
from mlflow.pyfunc.model import PythonModel, PythonModelContext


class EffectModel(PythonModel):
    """Predict the log fold change of one measurement for each row of a table.

    Columns in: `gene` (as labelled in the fit), `cell_line` (any that was not fitted stands for a
    new one), `rna` (RNA in the units of the screen, which the model's metadata name: `rna_units` is
    `log2_tpm`, log2(TPM+1), or `z_score`).
    Columns out: `logfc_mean`, `logfc_low`, `logfc_high`, the mean and the 89 % interval.
    """

    def load_context(self, context: PythonModelContext) -> None:
        """Read the draws and the arithmetic from the artifacts of the model."""
        self._prediction = _module_at(context.artifacts["prediction"])
        with np.load(context.artifacts["draws"], allow_pickle=False) as arrays:
            self._draws = self._prediction.EffectDraws(**arrays)

    def predict(
        self,
        context: PythonModelContext,
        model_input: pd.DataFrame,
        params: dict[str, Any] | None = None,
    ) -> pd.DataFrame:
        """Return one row of predictions for each row of `model_input`, with the same index."""
        mean, low, high = self._prediction.predict_logfc(
            self._draws,
            model_input["gene"].tolist(),
            model_input["cell_line"].tolist(),
            model_input["rna"].to_numpy(dtype=np.float64),
        )
        return pd.DataFrame(
            {"logfc_mean": mean, "logfc_low": low, "logfc_high": high}, index=model_input.index
        )


def _module_at(path: str) -> ModuleType:
    spec = spec_from_file_location("screenbayes_prediction", path)
    assert spec is not None and spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


set_model(EffectModel())
