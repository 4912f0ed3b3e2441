"""The standard deviations of a model, and posterior draws of them out of the air.

The draws are all that leaving lines out reads.
"""

from typing import Any

import numpy as np
import xarray as xr

from schemas.parameters import ModelName
from schemas.posterior import CONTRACTS


def sds_of(name: ModelName) -> list[str]:
    """Return the names of the SDs of a model, in the order of its variables."""
    return [variable for variable in CONTRACTS[name].variables if variable.startswith("sigma")]


def drawn_sds(name: ModelName, seed: int = 1) -> xr.Dataset:
    """Two chains of twenty draws of every SD of a model, around values of their own."""
    random = np.random.default_rng(seed)
    draws: dict[str, Any] = {
        sd: (("chain", "draw"), random.uniform(0.4, 1.2) * np.exp(random.normal(0, 0.1, (2, 20))))
        for sd in sds_of(name)
    }
    return xr.Dataset(draws)


def typical(posterior: xr.Dataset) -> dict[str, float]:
    """Return the geometric mean of every SD: where one point stands for all."""
    return {str(name): float(np.exp(np.log(posterior[name]).mean())) for name in posterior}
