"""The exact engine: draws of the full posterior of a design, without MCMC.

    1. find the mode of the density of the standard deviations (for a part of a large screen first),
    2. make passes over the screen at the nodes of a polynomial, until it is accurate near the mode,
    3. weight points of a proposal by the density, and resample them,
    4. draw all other parameters given the standard deviations from their normal distribution.

Draws are not autocorrelated, and a point of large weight may be drawn twice; chains are batches
with separate points. Steps 1 and 2 are in `search`, 3 in `proposal`, 4 in `collapse` and
`marginal`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import xarray as xr
from scipy import special

from model.engines.exact.collapse import SharedDraws, gene_effects, pair_ratios
from model.engines.exact.density import Density
from model.engines.exact.effect_nodes import effect_nodes
from model.engines.exact.proposal import Proposal, Weights, adapt, psis_weights, resampled
from model.engines.exact.search import IntegrationTarget, locate
from model.engines.exact.workload import PILOT_POINTS, ProgressEstimator, points_per_chain
from model.runtime.executors import Executor, LocalExecutor, one_blas_thread
from model.runtime.progress import ProgressCallback, no_progress
from model.screen.design import ScreenDesign
from schemas.model_spec import model_spec
from schemas.parameters import FitParameters

PILOT_ROUNDS = 3
GOOD_EFFICIENCY = 0.8
MOST_ROUNDS = 3
FRESH_POINTS = 8
"""Number of draws at which the final error of the interpolation is measured."""
MOST_POINTS_PER_DRAW = 16


@dataclass(frozen=True, eq=False)
class WeightedPoints:
    """WeightedPoints points of all chains."""

    theta: np.ndarray
    """Logs of the SDs (chain, P, d)."""
    log_density: np.ndarray
    """(chain, P)."""
    log_ratio: np.ndarray
    """Log density minus that of the proposal (chain, P)."""
    common: np.ndarray
    """A draw of the parameters shared by genes at each point (chain, P, n)."""
    overall: Weights
    """Weights of all points together."""


def sample(
    design: ScreenDesign,
    parameters: FitParameters,
    seed: int,
    progress: ProgressCallback = no_progress,
    workers: Executor = LocalExecutor(),
) -> xr.DataTree:
    """Return draws from the posterior of a linear-Gaussian model.

    Returns a tree with groups `posterior` (the variables of the contract, float64, dims chain, draw
    and their own) and `sample_stats` (`log_density` by chain and draw; scalars `pareto_k`,
    `importance_efficiency`, `n_points`, `log_evidence`, `log_evidence_mcse`, `interpolation_error`,
    `n_passes`). Equal arguments give equal draws.

    Raises NotIntegrable where the density of the standard deviations cannot be integrated.
    """
    estimator = ProgressEstimator(design, parameters, progress)
    with one_blas_thread():
        tree = _sample(design, parameters, seed, workers, estimator)
    estimator.finish()
    return tree


def _sample(
    design: ScreenDesign,
    parameters: FitParameters,
    seed: int,
    workers: Executor,
    estimator: ProgressEstimator,
) -> xr.DataTree:
    pilot_seed, final_seed, effect_seed = np.random.SeedSequence(seed).spawn(3)
    located = locate(design, parameters, workers, estimator)
    proposal = _pilot_proposal(located, pilot_seed)
    weighted = _weigh_points(located.density, proposal, parameters, final_seed.spawn(1)[0])
    for _ in range(MOST_ROUNDS):
        if weighted.overall.pareto_k <= parameters.thresholds.pareto_k_max:
            break
        points = weighted.theta.reshape(-1, weighted.theta.shape[-1])
        proposal = adapt(proposal, points, weighted.log_ratio.ravel(), located.proposal.df)
        weighted = _weigh_points(located.density, proposal, parameters, final_seed.spawn(1)[0])
    return _draw_posterior(design, parameters, located, weighted, effect_seed)


def _pilot_proposal(located: IntegrationTarget, seed: np.random.SeedSequence) -> Proposal:
    """Return the best of a few proposals, each adapted to the weights of the one before."""
    proposal, best, best_efficiency = located.proposal, located.proposal, 0.0
    for one in seed.spawn(PILOT_ROUNDS):
        points = proposal.points(PILOT_POINTS, one)
        log_ratio = located.density(points).log_density - proposal.log_density(points)
        efficiency = psis_weights(log_ratio).efficiency
        if efficiency > best_efficiency:
            best, best_efficiency = proposal, efficiency
        if not efficiency < GOOD_EFFICIENCY:
            break
        proposal = adapt(proposal, points, log_ratio, located.proposal.df)
    return best


def _weigh_points(
    density: Density, proposal: Proposal, parameters: FitParameters, seed: np.random.SeedSequence
) -> WeightedPoints:
    """Return at least as many points per chain as draws, more where the efficiency is low."""
    sampling = parameters.sampling
    n_points = points_per_chain(sampling)
    most = n_points * MOST_POINTS_PER_DRAW
    while True:
        weighted = _weigh_chains(density, proposal, sampling.chains, n_points, seed)
        enough = weighted.overall.efficiency * n_points >= sampling.n_draws / 2
        if enough or n_points >= most or np.isnan(weighted.overall.efficiency):
            return weighted
        n_points *= 4


def _weigh_chains(
    density: Density,
    proposal: Proposal,
    n_chains: int,
    n_points: int,
    seed: np.random.SeedSequence,
) -> WeightedPoints:
    theta, log_density, common = [], [], []
    n_common = len(density.marginal.gamma_reference) + len(density.marginal.means)
    for place, noise in (one.spawn(2) for one in seed.spawn(n_chains)):
        points = proposal.points(n_points, place)
        normal = np.random.default_rng(noise).standard_normal((n_points, n_common))
        found = density(points, normal)
        theta.append(points)
        log_density.append(found.log_density)
        common.append(found.common)
    stacked = np.array(log_density)
    log_ratio = stacked - proposal.log_density(np.concatenate(theta)).reshape(stacked.shape)
    return WeightedPoints(
        np.array(theta), stacked, log_ratio, np.array(common), psis_weights(log_ratio.ravel())
    )


def _draw_posterior(
    design: ScreenDesign,
    parameters: FitParameters,
    located: IntegrationTarget,
    weighted: WeightedPoints,
    seed: np.random.SeedSequence,
) -> xr.DataTree:
    n_chains, n_points, _ = weighted.theta.shape
    n_draws = parameters.sampling.n_draws
    block_seed, *chain_seeds = seed.spawn(n_chains + 1)
    of_chain = weighted.overall.log_weight.reshape(n_chains, n_points)
    chosen = np.array(
        [
            resampled(log_weight, n_draws, one)
            for log_weight, one in zip(of_chain, chain_seeds, strict=True)
        ]
    )
    chain = np.arange(n_chains)[:, None]
    theta = weighted.theta[chain, chosen].reshape(n_chains * n_draws, -1)
    common = weighted.common[chain, chosen].reshape(n_chains * n_draws, -1)
    flat = _common_variables(design, located, theta, common)
    flat |= _effects(design, located, theta, common, block_seed)

    dims = model_spec(parameters.model, design.covariates).variables
    used = {dim for own in dims.values() for dim in own}
    posterior = xr.Dataset(
        {
            name: (
                ("chain", "draw", *own),
                flat[name].reshape(n_chains, n_draws, *flat[name].shape[1:]),
            )
            for name, own in dims.items()
        },
        coords={
            "chain": np.arange(n_chains),
            "draw": np.arange(n_draws),
            **{dim: list(labels) for dim, labels in design.labels.items() if dim in used},
        },
    )
    statistics = xr.Dataset(
        {
            "log_density": (("chain", "draw"), weighted.log_density[chain, chosen]),
            **_diagnostics(located, weighted, theta),
        },
        coords={name: posterior[name] for name in ("chain", "draw")},
    )
    return xr.DataTree.from_dict({"posterior": posterior, "sample_stats": statistics})


def _diagnostics(
    located: IntegrationTarget, weighted: WeightedPoints, theta: np.ndarray
) -> dict[str, float]:
    """Return diagnostics of the weighted points; the evidence is the mean of their raw weights.

    The interpolation is compared with the screen at some of the draws `theta`, which were not used
    to choose its degree.
    """
    fresh = theta[np.linspace(0, len(theta) - 1, FRESH_POINTS).astype(int)]
    weighted_points = weighted.theta.reshape(-1, weighted.theta.shape[-1])
    interpolation_error = located.error_at(fresh, weighted_points)
    by_chain = special.logsumexp(weighted.log_ratio, axis=1) - np.log(weighted.log_ratio.shape[1])
    log_evidence = special.logsumexp(by_chain) - np.log(len(by_chain))
    relative = np.exp(by_chain - log_evidence)
    return {
        "pareto_k": weighted.overall.pareto_k,
        "importance_efficiency": weighted.overall.efficiency,
        "n_points": float(weighted.log_ratio.size),
        "log_evidence": float(log_evidence),
        "log_evidence_mcse": float(relative.std(ddof=1) / np.sqrt(len(relative))),
        "interpolation_error": interpolation_error,
        "n_passes": float(located.screen.n_passes),
    }


def _common_variables(
    design: ScreenDesign, located: IntegrationTarget, theta: np.ndarray, common: np.ndarray
) -> dict[str, np.ndarray]:
    marginal = located.screen.marginal
    n_lines = len(design.cell_lines)
    sds = dict(zip(marginal.hyperparameters, np.exp(theta).T, strict=True))
    means = dict(zip(marginal.means, common[:, n_lines:].T, strict=True))
    gamma = common[:, :n_lines] + marginal.gamma_reference
    return sds | means | {marginal.spec.line_effect.name: gamma}


def _effects(
    design: ScreenDesign,
    located: IntegrationTarget,
    theta: np.ndarray,
    common: np.ndarray,
    seed: np.random.SeedSequence,
) -> dict[str, np.ndarray]:
    """Return draws of the effects of all genes, and of all guides if the model has them."""
    marginal = located.screen.marginal
    n_lines, n_draws = len(design.cell_lines), len(theta)
    log_ratios = theta @ marginal.to_ratios().T
    draws = SharedDraws(
        log_ratios=log_ratios,
        sigma=marginal.sigma(theta),
        gamma=common[:, :n_lines],
        mu=common[:, n_lines:][:, : marginal.n_gene_means].T,
    )
    nodes = effect_nodes(located.blocks[0], pair_ratios(located.blocks[0], log_ratios))
    spec = marginal.spec
    effects = {effect.name: np.empty((n_draws, len(design.genes))) for effect in spec.gene_effects}
    of_guides = np.empty((n_draws, len(design.guides) if spec.guide_effect else 0))
    of_blocks = located.screen.blocks.map(gene_effects, draws, nodes, seed)
    for block, found in zip(located.blocks, of_blocks, strict=True):
        for own, values in zip(effects.values(), found, strict=False):
            own[:, block.genes] = values
        for guides, values in zip(block.guides, found[len(effects) :], strict=True):
            of_guides[:, guides] = values
    return effects | ({spec.guide_effect.name: of_guides} if spec.guide_effect else {})
