"""Pieces that the PyMC models share: labels, hyperpriors, deviations that sum to zero.

Whole models are `model.hierarchy` and `model.nested`.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pymc as pm
from pytensor.configdefaults import config
from pytensor.tensor.variable import TensorVariable

from model.design import ScreenDesign
from schemas.parameters import Distribution

# Else each function that is compiled leaves its source in the folder for temporary files, for good.
# Beside the compiled code PyTensor keeps one file a source, and removes what is long unused.
if not config.generated_src_dir:
    config.generated_src_dir = str(config.base_compiledir / "generated_source")


def coords(design: ScreenDesign, **observed: int) -> dict[str, object]:
    """Return the labels of genes and cell lines, and numbers for the entries of each other dim."""
    return {
        "gene": list(design.genes),
        "cell_line": list(design.cell_lines),
        **{dim: np.arange(size) for dim, size in observed.items()},
    }


def prior(name: str, distribution: Distribution) -> TensorVariable:
    """Add a variable with a prior of the settings to the model being built."""
    family: Callable[..., TensorVariable] = getattr(pm, distribution.family)
    return family(name, *distribution.arguments)


def zero_sum(name: str, sd: TensorVariable, dim: str, size: int) -> TensorVariable:
    """Add the deviations of `size` independent Normal(., sd) from their own mean (size,)."""
    # One group is its own mean, and PyMC has no zero-sum vector of length one.
    if size == 1:
        return pm.Deterministic(name, pm.math.zeros((1,)), dims=dim)
    return pm.ZeroSumNormal(name, sigma=sd, dims=dim)
