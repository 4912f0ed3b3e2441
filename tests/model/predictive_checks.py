"""Made-up predictive checks, and the expectation of measurements by plain xarray."""

from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from schemas.reports import PredictiveCheck, Stage


def check_of(
    name: str = "sd", p_value: float = 0.5, stage: Stage = "posterior", **more: Any
) -> PredictiveCheck:
    """Return a check of data of 1 beside replicates from 1.9 to 2.1; `more` are other fields."""
    fields = {"name": name, "p_value": p_value, "stage": stage}
    fields |= {"description": f"What {name} shows.", "observed": 1, "n_draws": 500}
    fields |= {"replicated_mean": 2, "replicated_low": 1.9, "replicated_high": 2.1}
    return PredictiveCheck.model_validate(fields | more)


def expectation(of: xr.Dataset, rows: pd.DataFrame) -> np.ndarray:
    """Return the expectation of every measurement (..., row) under draws of the parameters."""
    gene, line, guide = (
        xr.DataArray(rows[name].to_numpy(), dims="row") for name in ("gene", "cell_line", "guide")
    )
    found = of["alpha_g"].sel(gene=gene) + of["gamma_c"].sel(cell_line=line)
    found = found + of["beta_g"].sel(gene=gene) * xr.DataArray(rows.rna.to_numpy(), dims="row")
    return (found + of["delta_k"].sel(guide=guide) if "delta_k" in of else found).to_numpy()
