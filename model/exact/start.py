"""A first guess of the standard deviations, and the screen less what its effects make of it.

Squares between units are taken after the effects have been taken off, not as differences of large
sums: a screen with very little noise keeps its digits. Those within units come as such a difference
(the design holds sums), good to about 1e-12 of all squares.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from model.design import ScreenDesign
from model.exact.blocks import GeneBlock, cut, recentred, squares
from model.exact.collapse import CommonDraws, collapse, gene_effects
from model.exact.effect_nodes import EffectNodes
from model.exact.marginal import Marginal
from model.exact.workers import side_by_side, sum_of
from schemas.parameters import ModelName, Priors

MOST_ROUNDS = 8
SETTLED = 0.02
"""Share of the residual squares by which a round must still lower them for another to follow."""
SMALLEST_SHARE = 1e-7
"""Smallest SD the search starts from, as a share of that of the measurements."""


def start(
    name: ModelName, design: ScreenDesign, priors: Priors, theta: np.ndarray | None = None
) -> tuple[list[GeneBlock], Marginal, np.ndarray]:
    """Return the centred blocks, the rest of the model, and a first theta (log SDs).

    Alternates between the effects given the SDs and the SDs given the effects; with `theta` given,
    only the effects are found.
    """
    nested = name == "m4_nested"
    blocks = cut(design, nested=nested)
    marginal = Marginal(
        model=name,
        priors=priors,
        n_measurements=design.n_measurements,
        within_ss=_within_ss(design, blocks),
        gamma_reference=np.zeros(len(design.cell_lines)),
    )
    given = theta is not None
    if theta is None:
        theta = np.full(len(marginal.hyperparameters), np.log(_spread(design)) - np.log(2))
    between = np.inf
    for _ in range(MOST_ROUNDS):
        blocks, marginal, effects = _centred(blocks, marginal, theta)
        before, between = between, sum(map(squares, blocks))
        if not given:
            theta = _moments(blocks, marginal, effects, between, design)
        if not between + marginal.within_ss < (1 - SETTLED) * (before + marginal.within_ss):
            break
    return blocks, marginal, theta


def _within_ss(design: ScreenDesign, blocks: list[GeneBlock]) -> float:
    """Sum of squares within units; rounding may leave a few ulp below zero."""
    return max(0.0, design.total_sum_of_squares - sum(map(squares, blocks)))


def _spread(design: ScreenDesign) -> float:
    mean = design.total.sum() / design.n_measurements
    variance = design.total_sum_of_squares / design.n_measurements - mean**2
    return float(np.sqrt(max(variance, np.finfo(float).tiny)))


def _centred(
    blocks: list[GeneBlock], marginal: Marginal, theta: np.ndarray
) -> tuple[list[GeneBlock], Marginal, list[np.ndarray]]:
    """Take the best effects, given the SDs, off the blocks; return the effects (p, g) too."""
    log_ratios = (marginal.to_ratios() @ theta)[None]
    sums = sum_of(side_by_side(lambda block: collapse(block, log_ratios), blocks))
    factored = marginal.factored(theta[None], sums)
    common = marginal.draw_common(factored, theta[None], None)
    n_lines = len(marginal.gamma_reference)
    gamma = common[:, :n_lines]
    draws = CommonDraws(log_ratios, np.zeros(1), gamma, common[:, n_lines : n_lines + 2].T)
    nodes = EffectNodes(log_ratios[:, 3:], None)

    def centre(block: GeneBlock) -> tuple[GeneBlock, np.ndarray]:
        found = gene_effects(block, draws, nodes, np.random.SeedSequence(0))[:, 0]
        return recentred(block, found - block.reference, gamma[0]), found

    centred, effects = zip(*side_by_side(centre, blocks), strict=True)
    reference = marginal.gamma_reference + gamma[0]
    return list(centred), replace(marginal, gamma_reference=reference), list(effects)


def _moments(
    blocks: list[GeneBlock],
    marginal: Marginal,
    effects: list[np.ndarray],
    between: float,
    design: ScreenDesign,
) -> np.ndarray:
    """Return theta as the spread of the effects and of the residuals has it."""
    spread = _spread(design)
    n = design.n_measurements
    n_units = sum(int(np.count_nonzero(block.count)) for block in blocks)
    sds: dict[str, Any] = {
        "sigma_alpha": _sd(np.concatenate([found[0] for found in effects]), spread),
        "sigma_beta": _sd(np.concatenate([found[1] for found in effects]), spread),
        "sigma_gamma": _sd(marginal.gamma_reference, spread),
        "sigma": np.sqrt((marginal.within_ss + between) / n),
    }
    if "sigma_guide" in marginal.hyperparameters:
        sigma2 = marginal.within_ss / max(n - n_units, 1)
        # What the units differ by beyond noise, shared equally between gene-line and guide-line.
        rest = np.sqrt(max(between / n - sigma2 * n_units / n, 0.1 * sigma2) / 2)
        sds |= {
            "sigma": np.sqrt(sigma2),
            "sigma_guide": _sd(np.concatenate([found[2:].ravel() for found in effects]), spread),
            "sigma_gene_line": rest,
            "sigma_guide_line": rest,
        }
    floor = SMALLEST_SHARE * spread
    return np.log([max(sds[name], floor) for name in marginal.hyperparameters])


def _sd(effects: np.ndarray, spread: float) -> float:
    """SD of some effects; of a single one, which has none, that of the measurements."""
    return float(effects.std()) if effects.size > 1 else spread
