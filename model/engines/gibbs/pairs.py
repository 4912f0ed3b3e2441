"""Draws of the SDs of gene-line pairs, by gene or one for all, their effects integrated out."""

from __future__ import annotations

import numpy as np

from model.engines.gibbs.metropolis import Expansion, expand_prior, joint_step, mixed_steps
from model.engines.gibbs.state import GibbsData, State
from model.likelihood.pair_sums import spread_sums

STEPS = 3
"""Of log omega in a sweep: cheap beside the rest, and the slowest of all to mix."""


def draw_spreads(data: GibbsData, state: State, random: np.random.Generator) -> float:
    """Draw omega_g of each gene, or one for all; return the share that moved."""
    weight, total = state.pair_sums(data)
    moved = np.empty(0)
    if data.spec.pair_spread:
        own = np.log(state.shared[data.spec.gene_line_sd])
        precision = state.shared[data.spec.pair_spread.sd] ** -2

        def expand(log_omega: np.ndarray) -> Expansion:
            value, gradient, information = spread_sums(weight, total, log_omega)
            deviation = log_omega - own
            return (
                value - 0.5 * precision * deviation**2,
                gradient - precision * deviation,
                information + precision,
            )

        for _ in range(STEPS):
            state.log_omega, moved = mixed_steps(state.log_omega, expand, random)
    moved_sds = _draw_sds(data, state, weight, total, random)
    return float(moved.mean()) if moved.size else moved_sds


def _draw_sds(
    data: GibbsData,
    state: State,
    weight: np.ndarray,
    total: np.ndarray,
    random: np.random.Generator,
) -> float:
    """Draw the common SD of pairs and its spread over genes, with standardised spreads kept.

    As `model.engines.gibbs.line_sds`, and for the same reason. Returns the share of steps that
    moved them.
    """
    spread = data.spec.pair_spread
    names = [data.spec.gene_line_sd, *([spread.sd] if spread else [])]
    present = np.log([state.shared[name] for name in names])
    standard = state.log_omega - present[0]
    if spread:
        standard /= state.shared[spread.sd]

    def omegas(log_sds: np.ndarray) -> np.ndarray:
        return log_sds[0] + (np.exp(log_sds[1]) if spread else 1.0) * standard

    def expand(log_sds: np.ndarray) -> Expansion:
        log_omega = omegas(log_sds)
        value, gradient, information = spread_sums(weight, total, log_omega)
        along = np.stack([np.ones_like(log_omega), log_omega - log_sds[0]])[: len(names)]
        priors = [
            expand_prior(getattr(data.priors, name), log_sd)
            for name, log_sd in zip(names, log_sds, strict=True)
        ]
        of_prior, by_prior = np.array(priors).T
        return (
            value.sum() + of_prior.sum(),
            along @ gradient + by_prior,
            (along * information) @ along.T + np.eye(len(names)),
        )

    expanded, n_moved = expand(present), 0
    for _ in range(STEPS):
        present, expanded, moved = joint_step(present, expand, random, expanded)
        n_moved += moved
    state.log_omega = omegas(present)
    state.shared |= dict(zip(names, map(float, np.exp(present)), strict=True))
    return n_moved / STEPS
