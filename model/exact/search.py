"""Where the mass of the posterior is: the mode, and a density that is cheap around it.

A large screen is searched in a part of its genes first; the whole is then passed over at the nodes
of a few polynomials only, each around the mode that the one before has found.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from model.design import ScreenDesign
from model.exact.blocks import GeneBlock
from model.exact.density import Density, InterpolatedDensity, ScreenDensity
from model.exact.interpolation import MOST_DEGREE, n_nodes
from model.exact.marginal import Marginal
from model.exact.proposal import LogDensity, Proposal, maximise
from model.exact.start import start
from model.exact.work import SMALLEST_PART, Work, is_large, n_points
from model.exact.workers import ThisProcess, Workers
from schemas.parameters import FitParameters

ZOOM_WIDTH = 4.0
ZOOM_DEGREE = 2
MOST_ZOOMS = 6
HALF_WIDTH = 5.0
"""Half the width of the box that is interpolated in, in posterior SDs."""
FIRST_DEGREE = 3
TOLERANCE = 5e-3
"""Error of the interpolated log density at fresh points at which the degree is high enough."""
USABLE = 0.05
"""Error above which points are not interpolated but passed over the screen one by one."""
MOST_CUT_OFF = 0.01
"""Share of the weighted points that may lie outside the box of a large screen."""
HEAVIEST_TAIL, THINNEST_TAIL = 7.0, 60.0
"""Degrees of freedom of the proposal for a small and for a large screen."""
N_CHECKS = 8
CHECK_SEED = 20_220


@dataclass(frozen=True, eq=False)
class Located:
    """A screen, its density, and a first proposal for it."""

    blocks: list[GeneBlock]
    screen: ScreenDensity
    density: Density
    proposal: Proposal

    def error_at(self, theta: np.ndarray, weighted: np.ndarray) -> float:
        """Return the largest error of the log density at points; 0 where none is interpolated.

        Infinite where too many of the points `weighted` lay outside the box of a large screen: what
        was cut off there is not known.
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
    """Return the largest difference of two log densities (P,): none where neither has any."""
    with np.errstate(invalid="ignore"):  # -inf less -inf
        return float(np.max(np.where(a == b, 0.0, np.abs(a - b))))


def locate(
    design: ScreenDesign, parameters: FitParameters, workers: Workers, work: Work
) -> Located:
    """Find the mode, and prepare the density for as many points as will be wanted."""
    priors, name = parameters.priors, parameters.model
    part = _part(design, parameters)
    if part is design:
        blocks, marginal, theta = start(name, design, priors)
        screen = ScreenDensity(marginal, workers.hold(blocks), work)
        mode, covariance = maximise(_values(screen), theta, _expected_scale(design, marginal))
    else:
        mode, covariance = _mode_of_part(part, parameters)
        blocks, marginal, _ = start(name, design, priors, mode)
        screen = ScreenDensity(marginal, workers.hold(blocks), work)
        mode, covariance = _zoomed(screen, mode, covariance, _expected_scale(design, marginal))
    proposal = Proposal(mode, covariance, df=_most_df(design))
    large = part is not design
    density = _interpolated(screen, proposal, n_points(parameters), large=large)
    return Located(blocks, screen, density, proposal)


def _most_df(design: ScreenDesign) -> float:
    """Return how thin the tails of a proposal may be: the more genes, the more normal the mass."""
    return float(np.clip(len(design.genes) / 10, HEAVIEST_TAIL, THINNEST_TAIL))


def _values(density: Density) -> LogDensity:
    return lambda theta: density(theta).log_density


def _extrapolated(box: InterpolatedDensity) -> LogDensity:
    return lambda theta: box.extrapolated(theta).log_density


def _part(design: ScreenDesign, parameters: FitParameters) -> ScreenDesign:
    """Return evenly taken genes of a large screen; a small one as it is."""
    if not is_large(design, parameters):
        return design
    even = np.linspace(0, len(design.genes) - 1, SMALLEST_PART).round().astype(int)
    return design.of_genes(even)


def _mode_of_part(part: ScreenDesign, parameters: FitParameters) -> tuple[np.ndarray, np.ndarray]:
    blocks, marginal, theta = start(parameters.model, part, parameters.priors)
    screen = ScreenDensity(marginal, ThisProcess().hold(blocks), None)
    return maximise(_values(screen), theta, _expected_scale(part, marginal))


def _expected_scale(design: ScreenDesign, marginal: Marginal) -> np.ndarray:
    """Return the SD that the log of the SD of n independent effects has, as a diagonal (d, d)."""
    n_effects = {
        "sigma_alpha": len(design.genes),
        "sigma_beta": len(design.genes),
        "sigma_gamma": len(design.cell_lines),
        "sigma_guide": len(design.guides),
        "sigma_gene_line": len(design.genes) * len(design.cell_lines),
        "sigma_guide_line": int(np.count_nonzero(design.count)),
        "sigma": design.n_measurements,
    }
    return np.diag([1 / np.sqrt(2 * n_effects[name]) for name in marginal.hyperparameters])


def _zoomed(
    screen: ScreenDensity, mode: np.ndarray, covariance: np.ndarray, scale: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return mode and covariance, from those of a part of the screen."""
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
    """Return a density for many points; that of a small screen itself where no degree suffices."""
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
    # A pass a point is soon done on a small screen; of a large one the verdict tells the error.
    return screen if error > USABLE and not large else box
