"""The linear predictor: the expected value of a measurement, given the effects.

Nothing else in the project adds up effects. Works on anything that is indexed and multiplied as
NumPy arrays are, PyTensor's variables included. Logged models carry this module
(`model.prediction.portable`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from schemas.model_spec import ModelSpec

if TYPE_CHECKING:
    from model.screen.design import ScreenDesign


class Positions(Protocol):
    """Where measurements are: index arrays that broadcast against each other, and covariates.

    Attributes `gene`, `cell_line` and, where the model has effects of guides, `guide`.
    """

    @property
    def gene(self) -> Any: ...  # noqa: D102

    @property
    def cell_line(self) -> Any: ...  # noqa: D102

    @property
    def covariates(self) -> Mapping[str, Any]: ...  # noqa: D102


def linear_predictor(spec: ModelSpec, effects: Mapping[str, Any], at: Positions) -> Any:
    """Return the expected log fold change, log2, of measurements at some positions.

        effect of the line + s_c x sum over other effects of effect[..., item] x covariate

    (docs/models.md), where s_c is 1 in a model without scales of lines. Effects of pairs (eps,
    zeta) are at 0. `effects` are by name, (..., items); what is not among them counts as 0, a
    scale as 1. The result has their leading dims, then those of the positions.
    """
    scale: Any = 1.0
    if spec.line_scale and spec.line_scale.name in effects:
        scale = effects[spec.line_scale.name][..., at.cell_line]
    total: Any = 0.0
    for effect in spec.effects:
        if effect.name in effects:
            values = effects[effect.name][..., getattr(at, effect.dim)]
            factor = at.covariates[effect.covariate] if effect.covariate else 1.0
            total = total + values * (factor if effect.dim == "cell_line" else factor * scale)
    return total


def gene_columns(spec: ModelSpec, design: ScreenDesign, genes: np.ndarray) -> np.ndarray:
    """Return the design matrix columns of the q effects of genes (q, g, C): 1, then covariates."""
    shape = (len(genes), len(design.cell_lines))
    return np.stack(
        [
            design.covariate(effect.covariate)[genes] if effect.covariate else np.ones(shape)
            for effect in spec.gene_effects
        ]
    )


def predictor_gradient(
    spec: ModelSpec, effects: Mapping[str, np.ndarray], at: Positions, by_expected: np.ndarray
) -> dict[str, np.ndarray]:
    """Return the derivative by each effect of a sum over measurements, by name, (items,).

    `by_expected` is its derivative by what is expected of each measurement.
    """
    gradient = {}
    for effect in spec.effects:
        weights = by_expected * at.covariates[effect.covariate] if effect.covariate else by_expected
        gradient[effect.name] = np.bincount(
            getattr(at, effect.dim), weights, effects[effect.name].size
        )
    return gradient
