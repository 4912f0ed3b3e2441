"""Invented posterior draws of standard deviations, which is all that leaving lines out reads."""

from typing import Any

import numpy as np
import xarray as xr

from schemas.model_spec import MODEL_SPECS
from schemas.parameters import ModelName


def drawn_sds(name: ModelName, seed: int = 1) -> xr.Dataset:
    """Two chains of twenty draws of every SD of a model, around values of their own."""
    random = np.random.default_rng(seed)
    draws: dict[str, Any] = {
        sd: (("chain", "draw"), random.uniform(0.4, 1.2) * np.exp(random.normal(0, 0.1, (2, 20))))
        for sd in MODEL_SPECS[name].sds
    }
    return xr.Dataset(draws)


def typical(posterior: xr.Dataset) -> dict[str, float]:
    """Return the geometric mean of every SD: where one point stands for all."""
    return {str(name): float(np.exp(np.log(posterior[name]).mean())) for name in posterior}
