"""The posterior density of the standard deviations at any point, from the screen or from nodes.

`ScreenDensity` makes a pass over the screen for every point. `InterpolatedDensity` makes one pass
per node and interpolates the sums between nodes, where they are smooth.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from model.engines.exact import interpolation
from model.engines.exact.collapse import collapse
from model.engines.exact.marginal import LARGE_MATRIX, Marginal
from model.engines.exact.workload import ProgressEstimator
from model.runtime.executors import ScatteredBlocks, sum_of, threaded_map

MOST_KEPT = 250_000_000
"""Numbers in the sums of all nodes: 2 GB."""
SUMS_AT_ONCE = 25_000_000
"""Numbers in the sums of the points of one request to workers: 200 MB."""


@dataclass(frozen=True, eq=False)
class Points:
    """The density at P points and, if requested, a draw of the shared parameters at each."""

    log_density: np.ndarray
    """Log posterior density of the logs of the SDs, not normalised (P,)."""
    common: np.ndarray
    """x = (gamma minus reference, mus) (P, n); empty (P, 0) if not requested."""


class Density(Protocol):
    """The density at points theta, the logs of the SDs."""

    marginal: Marginal

    def __call__(self, theta: np.ndarray, noise: np.ndarray | None = None) -> Points:
        """Return the density at `theta` (P, d); with standard normal `noise` (P, n) a draw of x."""
        ...


class ScreenDensity:
    """The density from the screen itself."""

    def __init__(
        self, marginal: Marginal, blocks: ScatteredBlocks, estimator: ProgressEstimator | None
    ) -> None:
        self.marginal = marginal
        self.blocks = blocks
        self.estimator = estimator
        self.n_passes = 0
        """Number of passes so far."""

    def sums(self, log_ratios: np.ndarray) -> np.ndarray:
        """Return the packed sums at P points (P, M + 1)."""
        total = sum_of(self.blocks.map(collapse, log_ratios))
        self.n_passes += len(log_ratios)
        if self.estimator is not None:
            self.estimator.passes(len(log_ratios))
        return total

    def __call__(self, theta: np.ndarray, noise: np.ndarray | None = None) -> Points:
        """See `Density`."""
        ratios = theta @ self.marginal.to_ratios().T
        pieces = []
        for piece in self.pieces(len(theta)):
            sums = self.sums(ratios[piece])
            some = None if noise is None else noise[piece]
            pieces.append(_in_batches(self.marginal, theta[piece], some, sums.__getitem__))
        return Points(
            np.concatenate([points.log_density for points in pieces]),
            np.concatenate([points.common for points in pieces]),
        )

    def pieces(self, n_points: int) -> Iterator[slice]:
        """Return slices of P points for one request each, which bound the size of a result."""
        step = max(1, SUMS_AT_ONCE // self.marginal.n_sums)
        return (slice(start, start + step) for start in range(0, n_points, step))


class InterpolatedDensity:
    """The density from sums interpolated inside a box; outside it from the screen, or zero.

    Zero outside is for large screens, where one pass per point would take hours: their posterior is
    nearly normal, and a millionth of it lies beyond five SDs.
    """

    def __init__(
        self,
        screen: ScreenDensity,
        centre: np.ndarray,
        covariance: np.ndarray,
        half_width: float,
        *,
        zero_outside: bool,
    ) -> None:
        """Define a box of `half_width` SDs around theta `centre` (d,), along principal axes."""
        self.marginal = screen.marginal
        self._zero_outside = zero_outside
        self._screen = screen
        to_ratios = self.marginal.to_ratios()
        self._centre = to_ratios @ centre
        self._axes = half_width * np.linalg.cholesky(to_ratios @ covariance @ to_ratios.T)
        self._values = np.empty((0, self.marginal.n_sums))
        self.degree = -1

    @property
    def dim(self) -> int:
        """Number of variance ratios."""
        return len(self._centre)

    def raise_degree(self, degree: int) -> None:
        """Make passes over the screen at the additional nodes of `degree`."""
        n_old = len(self._values)
        new = interpolation.nodes(self.dim, degree)[n_old:]
        # Grown in place where possible: a copy would double the memory.
        self._values.resize((n_old + len(new), self._values.shape[1]), refcheck=False)
        for piece in self._screen.pieces(len(new)):
            at = self._centre + new[piece] @ self._axes.T
            self._values[n_old:][piece] = self._screen.sums(at)
        self.degree = degree

    def inside(self, theta: np.ndarray) -> np.ndarray:
        """Return which points lie in the box (P,)."""
        inside: np.ndarray = (np.abs(self._in_box(theta)) <= 1).all(axis=1)
        return inside

    def share_cut_off(self, theta: np.ndarray) -> float:
        """Return the share of points with density zero because they lie outside the box."""
        return float(np.mean(~self.inside(theta))) if self._zero_outside else 0.0

    @property
    def most_nodes(self) -> int:
        """Return the largest number of nodes whose sums may be kept."""
        return MOST_KEPT // self._values.shape[1]

    def near_and_far(self, theta: np.ndarray) -> np.ndarray:
        """Return every eighth point inside, from the most remote to the most central one."""
        inside = theta[self.inside(theta)]
        remoteness = np.abs(self._in_box(inside)).max(axis=1)
        return inside[np.argsort(-remoteness)][::8]

    def _in_box(self, theta: np.ndarray) -> np.ndarray:
        ratios = theta @ self.marginal.to_ratios().T - self._centre
        return np.linalg.solve(self._axes, ratios.T).T

    def __call__(self, theta: np.ndarray, noise: np.ndarray | None = None) -> Points:
        """See `Density`."""
        inside = self.inside(theta)
        if inside.all():
            return self.extrapolated(theta, noise)
        n_common = 0 if noise is None else noise.shape[1]
        log_density, common = np.full(len(theta), -np.inf), np.zeros((len(theta), n_common))
        for which, density in ((inside, self.extrapolated), (~inside, self._screen)):
            if which.any() and not (density is self._screen and self._zero_outside):
                points = density(theta[which], None if noise is None else noise[which])
                log_density[which], common[which] = points.log_density, points.common
        return Points(log_density, common)

    def extrapolated(self, theta: np.ndarray, noise: np.ndarray | None = None) -> Points:
        """Return the density of the polynomial, inside and outside the box."""
        in_box = self._in_box(theta)

        def sums(part: slice) -> np.ndarray:
            if self._screen.estimator is not None:
                self._screen.estimator.points(len(in_box[part]))
            return interpolation.cardinal_weights(in_box[part], self.degree) @ self._values

        return _in_batches(self.marginal, theta, noise, sums)


def _in_batches(
    marginal: Marginal,
    theta: np.ndarray,
    noise: np.ndarray | None,
    sums: Callable[[slice], np.ndarray],
) -> Points:
    log_density = np.empty(len(theta))
    common = np.empty((len(theta), 0 if noise is None else noise.shape[1]))

    def fill(part: slice) -> None:
        factored = marginal.factored(theta[part], sums(part))
        log_density[part] = factored.log_density
        if noise is not None:
            common[part] = marginal.draw_common(factored, theta[part], noise[part])

    batches = marginal.batches(len(theta))
    # NumPy factors stacks of small matrices in one thread.
    for _ in map(fill, batches) if marginal.size < LARGE_MATRIX else threaded_map(fill, batches):
        pass
    return Points(log_density, common)
