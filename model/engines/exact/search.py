"""Search for the mode of the posterior, and a density that is cheap to evaluate around it.

For a large screen, the search starts with a part of its genes; passes over the whole screen are
then made only at the nodes of a few polynomials, each around the mode found by the previous one.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from model.engines.exact.blocks import GeneBlock
from model.engines.exact.density import Density, InterpolatedDensity, ScreenDensity
from model.engines.exact.interpolation import MOST_DEGREE, n_nodes
from model.engines.exact.marginal import Marginal
from model.engines.exact.proposal import LogDensity, Proposal, maximise
from model.engines.exact.start import start
from model.engines.exact.workload import SMALLEST_PART, ProgressEstimator, is_large, n_points
from model.runtime.executors import Executor, LocalExecutor
from model.screen.design import ScreenDesign
from schemas.model_spec import model_spec
from schemas.parameters import FitParameters

ZOOM_WIDTH = 4.0
ZOOM_DEGREE = 2
MOST_ZOOMS = 6
HALF_WIDTH = 5.0
"""Half the width of the interpolation box, in posterior SDs."""
FIRST_DEGREE = 3
TOLERANCE = 5e-3
"""Largest error of the interpolated log density at new points; above, the degree is raised."""
USABLE = 0.05
"""Error above which a small screen is not interpolated, but gets one pass per point."""
MOST_CUT_OFF = 0.01
"""Share of the weighted points that may lie outside the box of a large screen."""
HEAVIEST_TAIL, THINNEST_TAIL = 7.0, 60.0
"""Degrees of freedom of the proposal for a small and for a large screen."""
N_CHECKS = 8
CHECK_SEED = 20_220


@dataclass(frozen=True, eq=False)
class IntegrationTarget:
    """A screen, its density, and a first proposal for it."""

    blocks: list[GeneBlock]
    screen: ScreenDensity
    density: Density
    proposal: Proposal

    def error_at(self, theta: np.ndarray, weighted: np.ndarray) -> float:
        """Return the largest error of the log density at points; 0 without interpolation.

        Infinite where too many of the points `weighted` lie outside the box of a large screen,
        where the density is unknown.
        """
        if not isinstance(self.density, InterpolatedDensity):
            return 0.0
        if self.density.share_cut_off(weighted) > MOST_CUT_OFF:
            return float("inf")
        inside = theta[self.density.inside(theta)]
        if not len(inside):
            return 0.0
        return largest_difference(self.density(inside).log_density, self.screen(inside).log_density)


def largest_difference(a: np.ndarray, b: np.ndarray) -> float:
    """Return the largest difference of two log densities (P,); 0 where both are -inf."""
    with np.errstate(invalid="ignore"):  # -inf minus -inf
        return float(np.max(np.where(a == b, 0.0, np.abs(a - b))))


def locate(
    design: ScreenDesign, parameters: FitParameters, workers: Executor, estimator: ProgressEstimator
) -> IntegrationTarget:
    """Return the density prepared for the number of points of a fit, and a proposal at the mode."""
    priors, spec = parameters.priors, model_spec(parameters.model, design.covariates)
    part = _part(design, parameters)
    if part is design:
        blocks, marginal, theta = start(spec, design, priors)
        screen = ScreenDensity(marginal, workers.scatter(blocks), estimator)
        mode, covariance = maximise(_values(screen), theta, _expected_scale(design, marginal))
    else:
        mode, covariance = _mode_of_part(part, parameters)
        blocks, marginal, _ = start(spec, design, priors, mode)
        screen = ScreenDensity(marginal, workers.scatter(blocks), estimator)
        mode, covariance = _zoomed(screen, mode, covariance, _expected_scale(design, marginal))
    proposal = Proposal(mode, covariance, df=_most_df(design))
    large = part is not design
    density = _interpolated(screen, proposal, n_points(parameters), large=large)
    return IntegrationTarget(blocks, screen, density, proposal)


def _most_df(design: ScreenDesign) -> float:
    """Return the largest degrees of freedom of a proposal: more genes, more normal posteriors."""
    return float(np.clip(len(design.genes) / 10, HEAVIEST_TAIL, THINNEST_TAIL))


def _values(density: Density) -> LogDensity:
    return lambda theta: density(theta).log_density


def _extrapolated(box: InterpolatedDensity) -> LogDensity:
    return lambda theta: box.extrapolated(theta).log_density


def _part(design: ScreenDesign, parameters: FitParameters) -> ScreenDesign:
    """Return evenly spaced genes of a large screen; a small one unchanged."""
    if not is_large(design, parameters):
        return design
    even = np.linspace(0, len(design.genes) - 1, SMALLEST_PART).round().astype(int)
    return design.of_genes(even)


def _mode_of_part(part: ScreenDesign, parameters: FitParameters) -> tuple[np.ndarray, np.ndarray]:
    spec = model_spec(parameters.model, part.covariates)
    blocks, marginal, theta = start(spec, part, parameters.priors)
    screen = ScreenDensity(marginal, LocalExecutor().scatter(blocks), None)
    return maximise(_values(screen), theta, _expected_scale(part, marginal))


def _expected_scale(design: ScreenDesign, marginal: Marginal) -> np.ndarray:
    """Return the expected SDs of the log SDs of n independent effects, as a diagonal (d, d)."""
    spec = marginal.spec
    n_items = {effect.sd: len(design.labels[effect.dim]) for effect in spec.effects} | {
        spec.gene_line_sd: len(design.genes) * len(design.cell_lines),
        spec.guide_line_sd: int(np.count_nonzero(design.count)),
        spec.noise_sd: design.n_measurements,
    }
    return np.diag([1 / np.sqrt(2 * n_items[name]) for name in marginal.hyperparameters])


def _zoomed(
    screen: ScreenDensity, mode: np.ndarray, covariance: np.ndarray, scale: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return mode and covariance of the screen, from those of a part of it."""
    for _ in range(MOST_ZOOMS):
        box = InterpolatedDensity(screen, mode, covariance, ZOOM_WIDTH, zero_outside=True)
        box.raise_degree(ZOOM_DEGREE)
        mode, narrow = maximise(_extrapolated(box), mode, scale)
        if box.inside(mode[None])[0]:
            return mode, narrow
    return mode, narrow


def _interpolated(
    screen: ScreenDensity, proposal: Proposal, n_wanted: int, *, large: bool
) -> Density:
    """Return an interpolated density; that of a small screen itself if no degree suffices."""
    box = InterpolatedDensity(
        screen, proposal.location, proposal.covariance, HALF_WIDTH, zero_outside=large
    )
    checks = box.near_and_far(proposal.points(8 * N_CHECKS, np.random.SeedSequence(CHECK_SEED)))
    truth = screen(checks).log_density
    most = n_wanted // 4
    degree, error = FIRST_DEGREE, np.inf
    while degree <= MOST_DEGREE and n_nodes(box.dim, degree) <= min(most, box.most_nodes):
        box.raise_degree(degree)
        error = largest_difference(box(checks).log_density, truth)
        if error <= TOLERANCE:
            break
        degree += 1 if box.dim > 2 else 2
    # One pass per point is fast for a small screen; for a large one the verdict reports the error.
    return screen if error > USABLE and not large else box
