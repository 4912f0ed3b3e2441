"""The exact engine: from a design to draws of the full posterior, without a sampler.

    1. find the mode of the density of the standard deviations (on a part of a large screen first),
    2. pass over the screen at the nodes of a polynomial, until it is accurate where the mass is,
    3. weigh points of a proposal by the density, and draw among them,
    4. draw everything else given the standard deviations, from its normal distribution.

Draws are not autocorrelated, and a point of large weight may come twice; chains are batches with
points of their own. The parts are the other modules of this folder: 1 and 2 `search`, 3 `proposal`,
4 `collapse` and `marginal`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import xarray as xr
from scipy import special

from model.design import ScreenDesign
from model.exact.collapse import CommonDraws, gene_effects
from model.exact.density import Density
from model.exact.effect_nodes import effect_nodes
from model.exact.proposal import Proposal, Weights, refitted, resampled, weigh
from model.exact.search import Located, locate
from model.exact.work import PILOT_POINTS, Work, points_a_chain
from model.exact.workers import ThisProcess, Workers, one_blas_thread
from model.on_progress import OnProgress, nobody
from schemas.parameters import FitParameters
from schemas.posterior import CONTRACTS

PILOT_ROUNDS = 3
GOOD_EFFICIENCY = 0.8
MOST_ROUNDS = 3
FRESH_POINTS = 8
"""Points, drawn by weight, at which the error of the interpolation is measured in the end."""
MOST_POINTS_A_DRAW = 16


@dataclass(frozen=True, eq=False)
class Weighted:
    """Weighted points of all chains."""

    theta: np.ndarray
    """Logs of the SDs (chain, P, d)."""
    log_density: np.ndarray
    """(chain, P)."""
    log_ratio: np.ndarray
    """Log density less that of the proposal (chain, P)."""
    common: np.ndarray
    """A draw of what the genes share at each point (chain, P, n)."""
    overall: Weights
    """Of all points together."""


def sample(
    design: ScreenDesign,
    parameters: FitParameters,
    seed: int,
    on_progress: OnProgress = nobody,
    workers: Workers = ThisProcess(),
) -> xr.DataTree:
    """Draw from the posterior of a linear-Gaussian model.

    Returns a tree with groups `posterior` (the variables of the contract, float64, dims chain, draw
    and their own) and `sample_stats` (`log_density` by chain and draw; scalars `pareto_k`,
    `importance_efficiency`, `n_points`, `log_evidence`, `log_evidence_mcse`, `interpolation_error`,
    `n_passes`). Equal arguments give equal draws.

    Raises NotIntegrable where the density of the standard deviations cannot be dealt with.
    """
    work = Work(design, parameters, on_progress)
    with one_blas_thread():
        tree = _sample(design, parameters, seed, workers, work)
    work.finish()
    return tree


def _sample(
    design: ScreenDesign, parameters: FitParameters, seed: int, workers: Workers, work: Work
) -> xr.DataTree:
    pilot_seed, final_seed, effect_seed = np.random.SeedSequence(seed).spawn(3)
    located = locate(design, parameters, workers, work)
    proposal = _piloted(located, pilot_seed)
    weighted = _weighted(located.density, proposal, parameters, final_seed.spawn(1)[0])
    for _ in range(MOST_ROUNDS):
        if weighted.overall.pareto_k <= parameters.thresholds.pareto_k_max:
            break
        points = weighted.theta.reshape(-1, weighted.theta.shape[-1])
        proposal = refitted(proposal, points, weighted.log_ratio.ravel(), located.proposal.df)
        weighted = _weighted(located.density, proposal, parameters, final_seed.spawn(1)[0])
    return _drawn(design, parameters, located, weighted, effect_seed)


def _piloted(located: Located, seed: np.random.SeedSequence) -> Proposal:
    """Return the best of a few proposals, each made from the weights of the one before."""
    proposal, best, best_efficiency = located.proposal, located.proposal, 0.0
    for one in seed.spawn(PILOT_ROUNDS):
        points = proposal.points(PILOT_POINTS, one)
        log_ratio = located.density(points).log_density - proposal.log_density(points)
        efficiency = weigh(log_ratio).efficiency
        if efficiency > best_efficiency:
            best, best_efficiency = proposal, efficiency
        if not efficiency < GOOD_EFFICIENCY:
            break
        proposal = refitted(proposal, points, log_ratio, located.proposal.df)
    return best


def _weighted(
    density: Density, proposal: Proposal, parameters: FitParameters, seed: np.random.SeedSequence
) -> Weighted:
    """Weigh at least as many points a chain as there are draws, more where few of them count."""
    sampling = parameters.sampling
    n_points = points_a_chain(sampling)
    most = n_points * MOST_POINTS_A_DRAW
    while True:
        weighted = _weigh_chains(density, proposal, sampling.chains, n_points, seed)
        enough = weighted.overall.efficiency * n_points >= sampling.draws / 2
        if enough or n_points >= most or np.isnan(weighted.overall.efficiency):
            return weighted
        n_points *= 4


def _weigh_chains(
    density: Density,
    proposal: Proposal,
    n_chains: int,
    n_points: int,
    seed: np.random.SeedSequence,
) -> Weighted:
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
    return Weighted(np.array(theta), stacked, log_ratio, np.array(common), weigh(log_ratio.ravel()))


def _drawn(
    design: ScreenDesign,
    parameters: FitParameters,
    located: Located,
    weighted: Weighted,
    seed: np.random.SeedSequence,
) -> xr.DataTree:
    n_chains, n_points, _ = weighted.theta.shape
    n_draws = parameters.sampling.draws
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

    dims = CONTRACTS[parameters.model].variables
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
            **_quality(located, weighted, theta),
        },
        coords={name: posterior[name] for name in ("chain", "draw")},
    )
    return xr.DataTree.from_dict({"posterior": posterior, "sample_stats": statistics})


def _quality(located: Located, weighted: Weighted, theta: np.ndarray) -> dict[str, float]:
    """How good the weighted points are; the evidence is the mean of their raw weights.

    The interpolation is held against the screen at some of the draws `theta`, which no choice of
    its degree has seen.
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
    design: ScreenDesign, located: Located, theta: np.ndarray, common: np.ndarray
) -> dict[str, np.ndarray]:
    marginal = located.screen.marginal
    n_lines = len(design.cell_lines)
    sds = dict(zip(marginal.hyperparameters, np.exp(theta).T, strict=True))
    means = dict(zip(marginal.means_in_order, common[:, n_lines:].T, strict=True))
    return sds | means | {"gamma_c": common[:, :n_lines] + marginal.gamma_reference}


def _effects(
    design: ScreenDesign,
    located: Located,
    theta: np.ndarray,
    common: np.ndarray,
    seed: np.random.SeedSequence,
) -> dict[str, np.ndarray]:
    """Draw the effects of all genes, and of all guides where the model has them."""
    marginal = located.screen.marginal
    n_lines, n_draws = len(design.cell_lines), len(theta)
    log_ratios = theta @ marginal.to_ratios().T
    draws = CommonDraws(
        log_ratios=log_ratios,
        sigma=np.exp(theta[:, marginal.hyperparameters.index("sigma")]),
        gamma=common[:, :n_lines],
        mu=common[:, n_lines : n_lines + 2].T,
    )
    nodes = effect_nodes(located.blocks[0], log_ratios[:, 3:])
    alpha, beta = np.empty((2, n_draws, len(design.genes)))
    delta = np.empty((n_draws, len(design.guides) if log_ratios.shape[1] > 2 else 0))
    of_blocks = located.screen.held.map(gene_effects, draws, nodes, seed)
    for block, found in zip(located.blocks, of_blocks, strict=True):
        alpha[:, block.genes], beta[:, block.genes] = found[0], found[1]
        for guides, effects in zip(block.guides, found[2:], strict=True):
            delta[:, guides] = effects
    return {"alpha_g": alpha, "beta_g": beta, "delta_k": delta}
