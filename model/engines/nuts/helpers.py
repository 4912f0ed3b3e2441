"""Parts shared by the PyMC models: labels, hyperpriors, deviations that sum to zero."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pymc as pm
from pytensor.configdefaults import config
from pytensor.tensor.variable import TensorVariable

from model.screen.design import Cells, GuideLines, ScreenDesign
from schemas.model_spec import ModelSpec
from schemas.parameters import Distribution, Priors

# Otherwise each compiled function leaves its source in the folder for temporary files. In its cache
# PyTensor keeps one file per source, and removes unused ones.
if not config.generated_src_dir:
    config.generated_src_dir = str(config.base_compiledir / "generated_source")


def coords(design: ScreenDesign, **observed: int) -> dict[str, object]:
    """Return labels of genes and cell lines, and running numbers for each other dim."""
    return {
        "gene": list(design.genes),
        "cell_line": list(design.cell_lines),
        **{dim: np.arange(size) for dim, size in observed.items()},
    }


def prior(name: str, distribution: Distribution) -> TensorVariable:
    """Add a variable with this prior to the current model."""
    family: Callable[..., TensorVariable] = getattr(pm, distribution.family)
    return family(name, *distribution.arguments)


def slopes(spec: ModelSpec, priors: Priors) -> dict[str, TensorVariable]:
    """Add the slopes of genes, with their means and SDs, to the current model; by name."""
    return {
        effect.name: pm.Normal(
            effect.name,
            prior(effect.mean, getattr(priors, effect.mean)),
            prior(effect.sd, getattr(priors, effect.sd)),
            dims="gene",
        )
        for effect in spec.slopes
    }


def squares_within(name: str, pairs: Cells | GuideLines, sigma: TensorVariable) -> None:
    """Add the pooled squared deviations within pairs, sigma^2 ChiSquared(df), to the model."""
    if pairs.within_df > 0:
        pm.Gamma(name, alpha=pairs.within_df / 2, beta=1 / (2 * sigma**2), observed=pairs.within_ss)


def zero_sum(name: str, sd: TensorVariable | float, dim: str, size: int) -> TensorVariable:
    """Add the deviations of `size` independent Normal(., sd) from their own mean (size,)."""
    # A single item equals its mean, and PyMC has no zero-sum vector of length one.
    if size == 1:
        return pm.Deterministic(name, pm.math.zeros((1,)), dims=dim)
    return pm.ZeroSumNormal(name, sigma=sd, dims=dim)
