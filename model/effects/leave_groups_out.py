"""Fits without groups of cell lines, derived from the fit of all lines without refitting.

Given the standard deviations everything is exact (`model.engines.exact.left_out`); the integral
over them uses weighted points, as in the exact engine.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import xarray as xr
from scipy.special import logsumexp, ndtr

from model.engines.exact.blocks import GeneBlock
from model.engines.exact.by_line import LineTerms, line_terms
from model.engines.exact.collapse import pair_ratios
from model.engines.exact.left_out import ByLine, LeftOut, left_out
from model.engines.exact.marginal import Marginal
from model.engines.exact.proposal import (
    NotIntegrable,
    Proposal,
    Weights,
    adapt,
    maximise,
    psis_weights,
)
from model.engines.exact.start import start
from model.engines.exact.workload import n_effects
from model.runtime.executors import n_threads, one_blas_thread, threaded_map
from model.runtime.progress import ProgressCallback, no_progress
from model.screen.design import ScreenDesign
from schemas.model_spec import ModelSpec, model_spec
from schemas.parameters import ModelName, Priors

N_POINTS = 128
"""Weighted points of the SDs: beta depends on them weakly, and a quadratic in seven variables has
36 coefficients."""
N_NEAR_POINTS = 64
"""Points around the mode of the density without a group; fewer, as they are better placed and each
group needs its own."""
DEGREES_OF_FREEDOM = 7.0
"""Degrees of freedom of the proposal: tails slightly heavier than those of the log SDs."""
MOST_WORK = 1e12
"""Largest number of multiplications, about a minute on two cores."""
SECONDS_PER_MULTIPLICATION, SECONDS_PER_ROW = 1e-10, 5e-6
"""Measured on one core: the first dominates for large screens, the second for small ones."""
AT_ONCE = 4_000_000
"""Numbers in the largest array, 32 MB."""
BAD_PARETO_K, BAD_EFFICIENCY = 0.7, 0.5
"""Limits beyond which a fit without a group needs its own points."""
SEED = 20_221


@dataclass(frozen=True, eq=False)
class Slopes:
    """Posterior mean, SD and local false sign rate of every beta, (..., G)."""

    mean: np.ndarray
    sd: np.ndarray
    lfsr: np.ndarray

    def part(self, which: int | slice) -> Slopes:
        """Return the slopes of some groups, by position."""
        return Slopes(self.mean[which], self.sd[which], self.lfsr[which])


@dataclass(frozen=True, eq=False)
class GroupsOut:
    """A fit without each of O groups of lines."""

    whole: Slopes
    """With all lines, (G,)."""
    without: Slopes
    """Without each group, (O, G)."""
    elpd: np.ndarray | None
    """Log density of the measurements of each group given all others (O,), natural log; None where
    what genes share was not fitted without the group."""
    pareto_k: np.ndarray | None
    """Pareto k of the weights without each group (O,); NaN where a single point was used, None as
    above."""


@dataclass(frozen=True, eq=False)
class LeaveOutProblem:
    """A screen, and a proposal for the posterior of its SDs."""

    blocks: list[GeneBlock]
    marginal: Marginal
    by_line: ByLine
    proposal: Proposal
    """A t distribution about as wide as the posterior of the logs of the SDs."""

    def terms(self, theta: np.ndarray) -> list[LineTerms]:
        """Return the terms by line of every block, at one point (d,)."""
        log_ratios = (self.marginal.to_ratios() @ theta)[None]
        return [line_terms(block, pair_ratios(block, log_ratios)[0]) for block in self.blocks]

    def work(self, n_groups: int) -> float:
        """Return the multiplications of leaving out O groups at one point."""
        rows = sum(block.n_effects * len(block.genes) for block in self.blocks)
        return _work(rows, len(self.by_line.within_ss), n_groups)


def subsample_genes(name: ModelName, design: ScreenDesign, n_groups: int) -> ScreenDesign:
    """Return the design, or evenly spaced genes for at most MOST_WORK multiplications per point."""
    n_genes = len(design.genes)
    rows = n_effects(model_spec(name, design.covariates), n_genes, len(design.guides))
    share = MOST_WORK / _work(rows, len(design.cell_lines), n_groups)
    if share >= 1:
        return design
    return design.of_genes(np.linspace(0, n_genes - 1, max(1, int(share * n_genes))).astype(int))


def seconds_of_leaving_out(name: ModelName, design: ScreenDesign, n_groups: int) -> float:
    """Return the approximate seconds to leave out so many groups, within a factor of about two."""
    part = subsample_genes(name, design, n_groups)
    rows = n_effects(model_spec(name, design.covariates), len(part.genes), len(part.guides))
    per_point = _work(rows, len(part.cell_lines), n_groups)
    n_points = N_POINTS if per_point * N_POINTS <= MOST_WORK else 1
    seconds = n_points * (
        per_point * SECONDS_PER_MULTIPLICATION + n_groups * rows * SECONDS_PER_ROW
    )
    return seconds / n_threads()


def _work(rows: int, n_lines: int, n_groups: int) -> float:
    """Return the multiplications of leaving out groups at one point, for `rows` effects."""
    return float((n_groups + 1) * rows * n_lines**2)


def leave_out_problem(
    name: ModelName, design: ScreenDesign, priors: Priors, posterior: xr.Dataset
) -> LeaveOutProblem:
    """Return the problem for `leave_out`; uses the draws of the SDs, of any engine."""
    spec = model_spec(name, design.covariates)
    theta = log_sds(spec, posterior)
    centre = theta.mean(axis=0)
    blocks, marginal, _ = start(spec, design, priors, centre)
    shrink = (DEGREES_OF_FREEDOM - 2) / DEGREES_OF_FREEDOM  # of the covariance of a t
    return LeaveOutProblem(
        blocks,
        marginal,
        ByLine(
            design.count.sum(axis=0, dtype=np.float64),
            design.within_ss_by_line(by_guide=spec.by_guide),
        ),
        Proposal(centre, shrink * np.cov(theta.T), DEGREES_OF_FREEDOM),
    )


def log_sds(spec: ModelSpec, posterior: xr.Dataset) -> np.ndarray:
    """Return the logs of the SDs of all draws (S, d), in the order of the exact engine."""
    return np.log(np.stack([posterior[name].to_numpy().ravel() for name in spec.sds], axis=1))


def leave_out(
    screen: LeaveOutProblem,
    groups: np.ndarray,
    progress: ProgressCallback = no_progress,
) -> GroupsOut:
    """Return the fit without each group of lines, `groups` (O, C) bool.

    With y_o the measurements of a group, y_-o all others and theta the logs of the SDs,

        log p(y_o | y_-o) = log p(y) - log p(y_-o)

    and the posterior of beta without the group is its normal distribution given theta, averaged
    over p(theta | y_-o). Both are integrated over points of a proposal weighted by the exact
    density (`model.engines.exact.proposal`): those of the whole fit, or separate points for a group
    for which these are inadequate (`is_good`).

    Where the points would need more than MOST_WORK, the mean of the logs of the SDs is the only
    point: their posterior is very narrow in so large a screen.
    """
    everything = np.concatenate([np.zeros((1, groups.shape[1]), bool), groups])
    if screen.work(len(groups)) * N_POINTS > MOST_WORK:
        point = screen.proposal.location[None]
        found = at_points(screen, point, everything, progress)
        slopes = _averaged(found.beta, found.beta_sd, np.ones((1, len(everything))))
        log_evidence = found.log_likelihood[0]
        pareto_k = np.full(len(everything), np.nan)
    else:
        points = screen.proposal.points(N_POINTS, np.random.SeedSequence(SEED))
        found = at_points(screen, points, everything, progress)
        each = [
            _integrated(screen, everything[[o]], points, _only(found, o))
            for o in range(len(everything))
        ]
        slopes = Slopes(
            *(np.stack([getattr(one, name)[0] for one, _, _ in each]) for name in vars(each[0][0]))
        )
        log_evidence = np.array([one for _, one, _ in each])
        pareto_k = np.array([one for _, _, one in each])
    return GroupsOut(
        slopes.part(0),
        slopes.part(slice(1, None)),
        log_evidence[0] - log_evidence[1:],
        pareto_k[1:],
    )


@dataclass(frozen=True, eq=False)
class _WeightedPoints:
    """Points of a proposal, and the results at them without one group."""

    proposal: Proposal
    points: np.ndarray
    """Logs of the SDs (S, d)."""
    found: LeftOut
    """With an axis (S,) in front and one group."""

    @cached_property
    def log_ratio(self) -> np.ndarray:
        """Log density minus that of the proposal (S,)."""
        ratio: np.ndarray = self.found.log_density[:, 0] - self.proposal.log_density(self.points)
        return ratio

    @cached_property
    def weights(self) -> Weights:
        """PSIS weights of the points."""
        return psis_weights(self.log_ratio)


def is_good(weights: Weights) -> bool:
    """Whether the weights meet the limits of Pareto k and efficiency."""
    return weights.pareto_k <= BAD_PARETO_K and weights.efficiency >= BAD_EFFICIENCY


def _quality(one: _WeightedPoints) -> tuple[bool, float]:
    """Return a sort key, higher for better points: acceptable Pareto k, then efficiency."""
    weights = one.weights
    return weights.pareto_k <= BAD_PARETO_K, float(np.nan_to_num(weights.efficiency))


def _integrated(
    screen: LeaveOutProblem, group: np.ndarray, points: np.ndarray, found: LeftOut
) -> tuple[Slopes, float, float]:
    """Return slopes (1, G), log evidence and Pareto k without one group, (1, C) bool.

    Uses the points of the whole fit where they are good, else the best of a few proposals.
    """
    best = _WeightedPoints(screen.proposal, points, found)
    for propose in (_around_mode, _by_weight, _by_search, _by_weight):
        if is_good(best.weights):
            break
        closer = propose(screen, group, best)
        if closer is not None:
            n_points = N_NEAR_POINTS if propose is _around_mode else N_POINTS
            own = closer.points(n_points, np.random.SeedSequence(SEED))
            tried = _WeightedPoints(closer, own, at_points(screen, own, group))
            best = max(tried, best, key=_quality)
    weights, log_ratio = best.weights, best.log_ratio
    slopes = _averaged(best.found.beta, best.found.beta_sd, np.exp(weights.log_weight)[:, None])
    return slopes, float(logsumexp(log_ratio) - np.log(len(log_ratio))), weights.pareto_k


def _around_mode(
    screen: LeaveOutProblem, group: np.ndarray, known: _WeightedPoints
) -> Proposal | None:
    """Return a proposal around the mode of a quadratic fitted to the log density at the points.

    None where the density is not finite, or the quadratic has no maximum.
    """
    log_density = known.found.log_density[:, 0]
    if not np.isfinite(log_density).all():
        return None
    root = np.linalg.cholesky(known.proposal.covariance)
    z = np.linalg.solve(root, (known.points - known.proposal.location).T).T
    dim = z.shape[1]
    row, column = np.tril_indices(dim)
    terms = np.column_stack([np.ones(len(z)), z, z[:, row] * z[:, column]])
    coefficients = np.linalg.lstsq(terms, log_density, rcond=None)[0]
    precision = np.zeros((dim, dim))
    precision[row, column] = -coefficients[1 + dim :]
    precision += precision.T
    if np.linalg.eigvalsh(precision)[0] <= 0:
        return None
    mode = known.proposal.location + root @ np.linalg.solve(precision, coefficients[1 : 1 + dim])
    return Proposal(mode, root @ np.linalg.inv(precision) @ root.T, DEGREES_OF_FREEDOM)


def _by_weight(
    screen: LeaveOutProblem, group: np.ndarray, known: _WeightedPoints
) -> Proposal | None:
    """Return the proposal adapted to the weights of the points; None where that fails."""
    if not np.isfinite(known.log_ratio).all():
        return None
    try:
        return adapt(known.proposal, known.points, known.log_ratio, DEGREES_OF_FREEDOM)
    except NotIntegrable:
        return None


def _by_search(
    screen: LeaveOutProblem, group: np.ndarray, known: _WeightedPoints
) -> Proposal | None:
    """Return a proposal around the mode found by a search; None where none is found.

    Without a line of twice the usual noise, the SDs may move by tens of posterior SDs, too far for
    weights or a quadratic.
    """

    def density(theta: np.ndarray) -> np.ndarray:
        return at_points(screen, theta, group).log_density[:, 0]

    scale = np.linalg.cholesky(screen.proposal.covariance)
    try:
        mode, covariance = maximise(density, screen.proposal.location, scale)
    except NotIntegrable:
        return None
    return Proposal(mode, covariance, DEGREES_OF_FREEDOM)


def at_points(
    screen: LeaveOutProblem,
    points: np.ndarray,
    groups: np.ndarray,
    progress: ProgressCallback = no_progress,
) -> LeftOut:
    """Return the results at points (S, d), with a leading axis (S,)."""
    largest = max(block.n_effects * len(block.genes) for block in screen.blocks)
    step = max(1, AT_ONCE // (largest * (groups.shape[1] + 3)))
    firsts = range(0, len(groups), step)
    total = len(points) * len(firsts)
    done = 0

    def counted(pieces: Iterable[LeftOut]) -> Iterator[LeftOut]:
        nonlocal done
        for piece in pieces:
            yield piece
            done += 1
            progress(done, total)

    def at_point(theta: np.ndarray, over: Callable[..., Iterable[LeftOut]]) -> LeftOut:
        terms = screen.terms(theta)

        def piece(first: int) -> LeftOut:
            some = groups[first : first + step]
            return left_out(screen.blocks, terms, screen.marginal, screen.by_line, theta, some)

        return _joined(list(counted(over(piece, firsts))), np.concatenate)

    with one_blas_thread():
        if len(points) > 1:
            # Many points are distributed over cores; with a single point, its groups are.
            parts = list(threaded_map(lambda theta: at_point(theta, map), points))
        else:
            parts = [at_point(points[0], threaded_map)]
    return _joined(parts, np.stack)


def _joined(parts: list[LeftOut], join: Callable[[list[np.ndarray]], np.ndarray]) -> LeftOut:
    names = ("log_likelihood", "log_density", "beta", "beta_sd")
    return LeftOut(*(join([getattr(part, name) for part in parts]) for name in names))


def _only(found: LeftOut, group: int) -> LeftOut:
    """Return the results of one group, with all axes."""
    one = slice(group, group + 1)
    return LeftOut(
        found.log_likelihood[:, one],
        found.log_density[:, one],
        found.beta[:, one],
        found.beta_sd[:, one],
    )


def _averaged(mean: np.ndarray, sd: np.ndarray, weight: np.ndarray) -> Slopes:
    """Average normal distributions (S, O, G) over points, by weights (S, O)."""

    def over_points(values: np.ndarray) -> np.ndarray:
        averaged: np.ndarray = np.einsum("so,sog->og", weight, values)
        return averaged

    centre = over_points(mean)
    negative = over_points(ndtr(-mean / sd))
    positive = over_points(ndtr(mean / sd))
    return Slopes(
        mean=centre,
        sd=np.sqrt(over_points(sd**2 + (mean - centre) ** 2)),
        lfsr=np.minimum(negative, positive),
    )
