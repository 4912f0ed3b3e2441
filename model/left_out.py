"""Fits that never saw some of the cell lines, from the fit that saw all: no refitting.

Given the standard deviations everything is exact (`model.exact.left_out`); over them is integrated
by weighted points, as in the exact engine. What follows for genes and lines is `model.influence`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import xarray as xr
from scipy.special import logsumexp, ndtr

from model.design import ScreenDesign
from model.exact.blocks import GeneBlock
from model.exact.by_line import LineTerms, line_terms
from model.exact.left_out import ByLine, LeftOut, left_out
from model.exact.marginal import Marginal, hyperparameters
from model.exact.proposal import NotIntegrable, Proposal, Weights, maximise, refitted, weigh
from model.exact.start import start
from model.exact.work import n_effects
from model.exact.workers import n_threads, one_blas_thread, side_by_side
from model.on_progress import OnProgress, nobody
from schemas.parameters import ModelName, Priors

N_POINTS = 128
"""Weighted points of the SDs: beta hangs on them little, and a quadratic in seven variables has 36
coefficients."""
N_NEAR_POINTS = 64
"""Points around the mode of the density without a group: they are placed well, and of many groups
each needs its own, one at a time."""
DEGREES_OF_FREEDOM = 7.0
"""Of the proposal: tails a little heavier than those of a posterior of log SDs."""
MOST_WORK = 1e12
"""Multiplications spent, about a minute on two cores."""
SECONDS_A_MULTIPLICATION, SECONDS_A_ROW = 1e-10, 5e-6
"""Of one core, as measured: the first makes the time of large screens, the second of small ones."""
AT_ONCE = 4_000_000
"""Numbers in the largest array of a piece of work: 32 MB."""
BAD_PARETO_K, BAD_EFFICIENCY = 0.7, 0.5
"""Where the points of the whole fit will not do for one without a group, and it gets its own."""
SEED = 20_221


@dataclass(frozen=True, eq=False)
class Slopes:
    """What is known of every beta: mean, SD and local false sign rate, (..., G)."""

    mean: np.ndarray
    sd: np.ndarray
    lfsr: np.ndarray

    def part(self, which: int | slice) -> Slopes:
        """Return those of some of the groups, by position."""
        return Slopes(self.mean[which], self.sd[which], self.lfsr[which])


@dataclass(frozen=True, eq=False)
class GroupsOut:
    """A fit without each of O groups of lines."""

    whole: Slopes
    """With all lines, (G,)."""
    without: Slopes
    """Without each group, (O, G)."""
    elpd: np.ndarray
    """Log density of the measurements of each group given all others (O,), natural log."""
    pareto_k: np.ndarray
    """Of the weights of the points without each group (O,); NaN where one point stands for all."""


@dataclass(frozen=True, eq=False)
class Integrable:
    """A screen, and where the posterior of its SDs lies."""

    blocks: list[GeneBlock]
    marginal: Marginal
    by_line: ByLine
    proposal: Proposal
    """A t distribution about as wide as the posterior of the logs of the SDs."""

    def terms(self, theta: np.ndarray) -> list[LineTerms]:
        """Return what every block tells by line, at one point (d,)."""
        log_ratios = self.marginal.to_ratios() @ theta
        return [line_terms(block, log_ratios[3:]) for block in self.blocks]

    def work(self, n_groups: int) -> float:
        """Return the multiplications of leaving out O groups at one point."""
        rows = sum(block.n_effects * len(block.genes) for block in self.blocks)
        return _work(rows, len(self.by_line.within_ss), n_groups)


def affordable(name: ModelName, design: ScreenDesign, n_groups: int) -> ScreenDesign:
    """Return the design, or as many of its genes, taken evenly, as can be afforded at one point."""
    n_genes = len(design.genes)
    rows = n_effects(name, n_genes, len(design.guides))
    share = MOST_WORK / _work(rows, len(design.cell_lines), n_groups)
    if share >= 1:
        return design
    return design.of_genes(np.linspace(0, n_genes - 1, max(1, int(share * n_genes))).astype(int))


def seconds_of_leaving_out(name: ModelName, design: ScreenDesign, n_groups: int) -> float:
    """Return about how long leaving out so many groups takes; within a factor of two or so."""
    part = affordable(name, design, n_groups)
    rows = n_effects(name, len(part.genes), len(part.guides))
    a_point = _work(rows, len(part.cell_lines), n_groups)
    n_points = N_POINTS if a_point * N_POINTS <= MOST_WORK else 1
    seconds = n_points * (a_point * SECONDS_A_MULTIPLICATION + n_groups * rows * SECONDS_A_ROW)
    return seconds / n_threads()


def _work(rows: int, n_lines: int, n_groups: int) -> float:
    """Return the multiplications of leaving out groups at one point, for so many effects."""
    return float((n_groups + 1) * rows * n_lines**2)


def integrable(
    name: ModelName, design: ScreenDesign, priors: Priors, posterior: xr.Dataset
) -> Integrable:
    """Return a screen ready for `leave_out`; of the draws of any engine, those of the SDs count."""
    theta = log_sds(name, posterior)
    centre = theta.mean(axis=0)
    blocks, marginal, _ = start(name, design, priors, centre)
    shrink = (DEGREES_OF_FREEDOM - 2) / DEGREES_OF_FREEDOM  # of the covariance of a t
    return Integrable(
        blocks,
        marginal,
        ByLine(
            design.count.sum(axis=0, dtype=np.float64),
            design.within_ss_by_line(by_guide=name == "m4_nested"),
        ),
        Proposal(centre, shrink * np.cov(theta.T), DEGREES_OF_FREEDOM),
    )


def log_sds(name: ModelName, posterior: xr.Dataset) -> np.ndarray:
    """Return the logs of the SDs of all draws (S, d), in the order of the exact engine."""
    return np.log(
        np.stack([posterior[one].to_numpy().ravel() for one in hyperparameters(name)], axis=1)
    )


def leave_out(
    screen: Integrable,
    groups: np.ndarray,
    on_progress: OnProgress = nobody,
) -> GroupsOut:
    """Return the fit without each group of lines, `groups` (O, C) bool.

    With y_o the measurements of a group, y_-o all others and theta the logs of the SDs,

        log p(y_o | y_-o) = log p(y) - log p(y_-o)

    and what is known of beta without the group is its normal distribution given theta averaged over
    p(theta | y_-o). All of it is integrated over points of a proposal weighed by the exact density
    (`model.exact.proposal`): those of the whole fit, or points of its own where a group weighs so
    much that these will not do.

    Where the points would take more than MOST_WORK, one stands for all: the mean of the logs of the
    SDs. A screen so large leaves them hardly any width.
    """
    everything = np.concatenate([np.zeros((1, groups.shape[1]), bool), groups])
    if screen.work(len(groups)) * N_POINTS > MOST_WORK:
        point = screen.proposal.location[None]
        found = at_points(screen, point, everything, on_progress)
        slopes = _averaged(found.beta, found.beta_sd, np.ones((1, len(everything))))
        log_evidence = found.log_likelihood[0]
        pareto_k = np.full(len(everything), np.nan)
    else:
        points = screen.proposal.points(N_POINTS, np.random.SeedSequence(SEED))
        found = at_points(screen, points, everything, on_progress)
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
class _Weighed:
    """Points of a proposal, and what they say of the screen without one group."""

    proposal: Proposal
    points: np.ndarray
    """Logs of the SDs (S, d)."""
    found: LeftOut
    """With an axis (S,) in front and one group."""

    @cached_property
    def log_ratio(self) -> np.ndarray:
        """Log density less that of the proposal (S,)."""
        ratio: np.ndarray = self.found.log_density[:, 0] - self.proposal.log_density(self.points)
        return ratio

    @cached_property
    def weights(self) -> Weights:
        """Of the points."""
        return weigh(self.log_ratio)


def is_good(weights: Weights) -> bool:
    """Whether points will do for what they have been weighed by."""
    return weights.pareto_k <= BAD_PARETO_K and weights.efficiency >= BAD_EFFICIENCY


def _worth(one: _Weighed) -> tuple[bool, float]:
    """Return what the better points have more of: a bearable tail first, then efficiency."""
    weights = one.weights
    return weights.pareto_k <= BAD_PARETO_K, float(np.nan_to_num(weights.efficiency))


def _integrated(
    screen: Integrable, group: np.ndarray, points: np.ndarray, found: LeftOut
) -> tuple[Slopes, float, float]:
    """Return slopes (1, G), log evidence and Pareto k without one group, (1, C) bool.

    From the points of the whole fit where they will do, else from the best of a few proposals.
    """
    best = _Weighed(screen.proposal, points, found)
    for propose in (_around_mode, _by_weight, _by_search, _by_weight):
        if is_good(best.weights):
            break
        closer = propose(screen, group, best)
        if closer is not None:
            n_points = N_NEAR_POINTS if propose is _around_mode else N_POINTS
            own = closer.points(n_points, np.random.SeedSequence(SEED))
            tried = _Weighed(closer, own, at_points(screen, own, group))
            best = max(tried, best, key=_worth)
    weights, log_ratio = best.weights, best.log_ratio
    slopes = _averaged(best.found.beta, best.found.beta_sd, np.exp(weights.log_weight)[:, None])
    return slopes, float(logsumexp(log_ratio) - np.log(len(log_ratio))), weights.pareto_k


def _around_mode(screen: Integrable, group: np.ndarray, known: _Weighed) -> Proposal | None:
    """Return a proposal around the mode of the quadratic closest to the density at the points.

    None where it has no mode: where the density is not finite, or the quadratic rises somewhere.
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


def _by_weight(screen: Integrable, group: np.ndarray, known: _Weighed) -> Proposal | None:
    """Return the proposal that the weights of the points suggest; None where they suggest none."""
    if not np.isfinite(known.log_ratio).all():
        return None
    try:
        return refitted(known.proposal, known.points, known.log_ratio, DEGREES_OF_FREEDOM)
    except NotIntegrable:
        return None


def _by_search(screen: Integrable, group: np.ndarray, known: _Weighed) -> Proposal | None:
    """Return a proposal around the mode; None where there is none to be found.

    A line with twice the noise of the others may hold the SDs tens of posterior SDs from where they
    are without it: there neither weights nor a quadratic reach.
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
    screen: Integrable,
    points: np.ndarray,
    groups: np.ndarray,
    on_progress: OnProgress = nobody,
) -> LeftOut:
    """Return everything at points (S, d), with an axis (S,) in front."""
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
            on_progress(done, total)

    def at_point(theta: np.ndarray, over: Callable[..., Iterable[LeftOut]]) -> LeftOut:
        terms = screen.terms(theta)

        def piece(first: int) -> LeftOut:
            some = groups[first : first + step]
            return left_out(screen.blocks, terms, screen.marginal, screen.by_line, theta, some)

        return _joined(list(counted(over(piece, firsts))), np.concatenate)

    with one_blas_thread():
        if len(points) > 1:
            # Many points are shared out between cores; of a single one, its groups.
            parts = list(side_by_side(lambda theta: at_point(theta, map), points))
        else:
            parts = [at_point(points[0], side_by_side)]
    return _joined(parts, np.stack)


def _joined(parts: list[LeftOut], join: Callable[[list[np.ndarray]], np.ndarray]) -> LeftOut:
    names = ("log_likelihood", "log_density", "beta", "beta_sd")
    return LeftOut(*(join([getattr(part, name) for part in parts]) for name in names))


def _only(found: LeftOut, group: int) -> LeftOut:
    """Return one group of those at points, the axes kept."""
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
