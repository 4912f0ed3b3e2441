"""The SDs of a measurement around the linear predictor, given a draw of the parameters.

Nothing else in the project multiplies SDs by the factors of genes and lines, but the compiled sums
(`model.likelihood.pair_sums`). Arrays may be NumPy's or PyTensor's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from model.likelihood.linear_predictor import Positions
from schemas.model_spec import ModelSpec


@dataclass(frozen=True, eq=False)
class Spreads:
    """SDs at some positions, log2; of S draws (S, positions), (S, 1) where all are alike.

    Of a single draw without that dim, as PyMC models have it, (positions) or (1,).
    """

    noise: Any
    """Of one measurement around the mean of its guide-line pair."""
    gene_line: Any
    """Of the effect of the gene-line pair; 0 in a model without."""
    guide_line: Any
    """Of the effect of the guide-line pair; 0 in a model without."""


def spreads(spec: ModelSpec, draws: Mapping[str, Any], at: Positions) -> Spreads:
    """Return the SDs at some positions: scalars of S draws are (S,), vectors (S, items).

    noise sigma f_c, gene-line s_c omega_g, guide-line s_c sigma_guide_line; factors that a model
    lacks are 1, and omega_g is then the SD of all genes.
    """
    noise = draws[spec.noise_sd][..., None]
    if spec.line_noise:
        noise = noise * draws[spec.line_noise.name][..., at.cell_line]
    gene_line, guide_line = (
        draws[name][..., None] if name else np.zeros((1, 1))
        for name in (spec.gene_line_sd, spec.guide_line_sd)
    )
    if spec.pair_spread:
        gene_line = draws[spec.pair_spread.name][..., at.gene]
    if spec.line_scale:
        scale = draws[spec.line_scale.name][..., at.cell_line]
        gene_line, guide_line = gene_line * scale, guide_line * scale
    return Spreads(noise, gene_line, guide_line)


def noise_by_line(spec: ModelSpec, draws: Mapping[str, Any], n_lines: int) -> Any:
    """Return the SD of one measurement by line, (S, C)."""
    noise = draws[spec.noise_sd][..., None]
    if spec.line_noise:
        noise = noise * draws[spec.line_noise.name]
    return noise * np.ones(n_lines)
