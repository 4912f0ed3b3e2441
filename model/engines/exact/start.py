"""Starting values of the standard deviations, and the screen centred on its effects.

Squares between units are computed after subtraction of the effects, not as differences of large
sums: a screen with very little noise keeps its digits. Squares within units are such a difference
(the design has sums), accurate to about 1e-12 of all squares.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from model.engines.exact.blocks import GeneBlock, make_blocks, squares, subtract_effects
from model.engines.exact.collapse import SharedDraws, collapse, gene_effects, pair_ratios
from model.engines.exact.effect_nodes import EffectNodes
from model.engines.exact.marginal import Marginal
from model.runtime.executors import sum_of, threaded_map
from model.screen.design import ScreenDesign
from schemas.model_spec import ModelSpec
from schemas.parameters import Priors

MOST_ROUNDS = 8
SETTLED = 0.02
"""Smallest relative decrease of the residual squares for another round."""
SMALLEST_SHARE = 1e-7
"""Smallest starting value of an SD, as a share of the SD of the measurements."""


def start(
    spec: ModelSpec, design: ScreenDesign, priors: Priors, theta: np.ndarray | None = None
) -> tuple[list[GeneBlock], Marginal, np.ndarray]:
    """Return the centred blocks, the rest of the model, and a starting theta (log SDs).

    Alternates between the effects given the SDs and the SDs given the effects; with `theta` given,
    only the effects are updated.
    """
    blocks = make_blocks(spec, design)
    marginal = Marginal(
        spec=spec,
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
    """Return the sum of squares within units; rounding may leave a few ulp below zero."""
    return max(0.0, design.total_sum_of_squares - sum(map(squares, blocks)))


def _spread(design: ScreenDesign) -> float:
    mean = design.total.sum() / design.n_measurements
    variance = design.total_sum_of_squares / design.n_measurements - mean**2
    return float(np.sqrt(max(variance, np.finfo(float).tiny)))


def _centred(
    blocks: list[GeneBlock], marginal: Marginal, theta: np.ndarray
) -> tuple[list[GeneBlock], Marginal, list[np.ndarray]]:
    """Return the blocks minus the best effects given the SDs, the marginal, the effects (p, g)."""
    log_ratios = (marginal.to_ratios() @ theta)[None]
    sums = sum_of(threaded_map(lambda block: collapse(block, log_ratios), blocks))
    factored = marginal.factored(theta[None], sums)
    common = marginal.draw_common(factored, theta[None], None)
    n_lines = len(marginal.gamma_reference)
    gamma = common[:, :n_lines]
    means = common[:, n_lines:][:, : marginal.n_gene_means].T
    draws = SharedDraws(log_ratios, np.zeros(1), gamma, means)
    nodes = EffectNodes(pair_ratios(blocks[0], log_ratios), None)

    def centre(block: GeneBlock) -> tuple[GeneBlock, np.ndarray]:
        found = gene_effects(block, draws, nodes, np.random.SeedSequence(0))[:, 0]
        return subtract_effects(block, found - block.reference, gamma[0]), found

    centred, effects = zip(*threaded_map(centre, blocks), strict=True)
    reference = marginal.gamma_reference + gamma[0]
    return list(centred), replace(marginal, gamma_reference=reference), list(effects)


def _moments(
    blocks: list[GeneBlock],
    marginal: Marginal,
    effects: list[np.ndarray],
    between: float,
    design: ScreenDesign,
) -> np.ndarray:
    """Return theta from the SDs of effects and residuals."""
    spread, spec = _spread(design), marginal.spec
    n = design.n_measurements
    n_units = sum(int(np.count_nonzero(block.count)) for block in blocks)
    sds: dict[str, Any] = {
        effect.sd: _sd(np.concatenate([found[at] for found in effects]), spread)
        for at, effect in enumerate(spec.gene_effects)
    }
    sds[spec.line_effect.sd] = _sd(marginal.gamma_reference, spread)
    sds[spec.noise_sd] = np.sqrt((marginal.within_ss + between) / n)
    if spec.guide_effect is not None:
        of_guides = [found[len(spec.gene_effects) :].ravel() for found in effects]
        sigma2 = marginal.within_ss / max(n - n_units, 1)
        # Variance of units beyond noise, in equal parts for gene-line and guide-line pairs.
        rest = np.sqrt(max(between / n - sigma2 * n_units / n, 0.1 * sigma2) / 2)
        sds |= {
            spec.noise_sd: np.sqrt(sigma2),
            spec.guide_effect.sd: _sd(np.concatenate(of_guides), spread),
            **dict.fromkeys(spec.pair_sds, rest),
        }
    floor = SMALLEST_SHARE * spread
    return np.log([max(sds[name], floor) for name in marginal.hyperparameters])


def _sd(effects: np.ndarray, spread: float) -> float:
    """Return the SD of the effects; `spread` for a single effect, which has none."""
    return float(effects.std()) if effects.size > 1 else spread
