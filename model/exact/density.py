"""The posterior density of the standard deviations at any point, from a screen or nodes.

`ScreenDensity` passes over the screen for every point. `InterpolatedDensity` has passed over it
once a node and interpolates the sums in between, where they are smooth; the rest it hands on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from model.exact import interpolation
from model.exact.collapse import collapse, n_sums
from model.exact.marginal import LARGE_MATRIX, Marginal
from model.exact.work import Work
from model.exact.workers import Held, side_by_side, sum_of

MOST_KEPT = 250_000_000
"""Numbers in the sums of all nodes: 2 GB."""
SUMS_AT_ONCE = 25_000_000
"""Numbers in the sums of the points that workers are asked for at once: 200 MB."""


@dataclass(frozen=True, eq=False)
class Points:
    """The density at P points and, where asked for, a draw of what the genes share at each."""

    log_density: np.ndarray
    """Log posterior density of the logs of the SDs, not normalised (P,)."""
    common: np.ndarray
    """x = (gamma less reference, mus) (P, n); empty (P, 0) where not asked for."""


class Density(Protocol):
    """The density at points theta, the logs of the SDs."""

    marginal: Marginal

    def __call__(self, theta: np.ndarray, noise: np.ndarray | None = None) -> Points:
        """Return the density at `theta` (P, d); with standard normal `noise` (P, n) a draw of x."""
        ...


class ScreenDensity:
    """The density from the screen itself."""

    def __init__(self, marginal: Marginal, held: Held, work: Work | None) -> None:
        self.marginal = marginal
        self.held = held
        self.work = work
        self.n_passes = 0
        """Passes made so far."""

    def sums(self, log_ratios: np.ndarray) -> np.ndarray:
        """Return the packed sums at P points (P, M + 1)."""
        total = sum_of(self.held.map(collapse, log_ratios))
        self.n_passes += len(log_ratios)
        if self.work is not None:
            self.work.passes(len(log_ratios))
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
        """Cut P points into as many as are asked for at once: a result holds them all."""
        step = max(1, SUMS_AT_ONCE // n_sums(len(self.marginal.gamma_reference)))
        return (slice(start, start + step) for start in range(0, n_points, step))


class InterpolatedDensity:
    """The density from sums interpolated inside a box; outside it from the screen, or zero.

    Zero outside is for large screens, of which a pass a point would cost hours: their posterior is
    as good as normal, and a millionth of it lies beyond five SDs.
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
        """Make a box of `half_width` SDs around theta `centre` (d,), along principal axes."""
        self.marginal = screen.marginal
        self._zero_outside = zero_outside
        self._screen = screen
        to_ratios = self.marginal.to_ratios()
        self._centre = to_ratios @ centre
        self._axes = half_width * np.linalg.cholesky(to_ratios @ covariance @ to_ratios.T)
        self._values = np.empty((0, n_sums(len(self.marginal.gamma_reference))))
        self.degree = -1

    @property
    def dim(self) -> int:
        """Number of variance ratios."""
        return len(self._centre)

    def raise_degree(self, degree: int) -> None:
        """Pass over the screen at the nodes that `degree` has and the present degree has not."""
        n_old = len(self._values)
        new = interpolation.nodes(self.dim, degree)[n_old:]
        # Grown in place where the system can: a copy would take as much memory again.
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
        """Return the share of points that are given no density because they lie outside."""
        return float(np.mean(~self.inside(theta))) if self._zero_outside else 0.0

    @property
    def most_nodes(self) -> int:
        """Return how many nodes' sums may be kept."""
        return MOST_KEPT // self._values.shape[1]

    def near_and_far(self, theta: np.ndarray) -> np.ndarray:
        """Return every eighth of the points inside, from the most remote one to the centre."""
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
        """Return what the polynomial says, outside the box too."""
        in_box = self._in_box(theta)

        def sums(part: slice) -> np.ndarray:
            if self._screen.work is not None:
                self._screen.work.points(len(in_box[part]))
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
    # NumPy factors stacks of small matrices one thread at a time.
    for _ in map(fill, batches) if marginal.size < LARGE_MATRIX else side_by_side(fill, batches):
        pass
    return Points(log_density, common)
