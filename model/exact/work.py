"""How much the exact engine has to do, how much of it is done, and how long it will take.

Work is counted in passes over the screen and in points factored; one pass stands for as many points
as take as long. Nothing here decides what is computed.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from model.design import ScreenDesign
from model.exact.blocks import cut
from model.exact.collapse import RATIOS, collapse
from model.exact.marginal import factors
from model.exact.workers import n_threads, one_blas_thread
from model.on_progress import OnProgress
from schemas.parameters import FitParameters, ModelName, Sampling
from schemas.posterior import CONTRACTS

PILOT_POINTS = 512
GENES_TIMED = 64
USUAL_PASSES = {False: {2: 150, 5: 1100}, True: {2: 40, 5: 110}}
"""Passes that small and large screens have been seen to take, by the number of variance ratios."""
USUAL_NODES = {2: 1, 5: 6}
"""Nodes that the effects are usually drawn at, by the number of variance ratios."""
LARGE_PASS = 1e8
"""Multiplications of a pass from which a part of the screen is searched first."""
SMALLEST_PART = 200
"""Genes of the part that is searched first."""


@dataclass(frozen=True)
class Rates:
    """Seconds of one pass over the whole screen, and of one point."""

    a_pass: float
    a_point: float


def measured_rates(design: ScreenDesign, parameters: FitParameters) -> Rates:
    """Time a pass over a few genes and one factorisation, on this machine, now."""
    n_genes = len(design.genes)
    few = np.unique(np.linspace(0, n_genes - 1, GENES_TIMED).round().astype(int))
    blocks = cut(design.of_genes(few), nested=parameters.model == "m4_nested")
    at = np.zeros((1, n_ratios(parameters)))
    size = len(design.cell_lines) + 4
    matrix = np.eye(size)[None]
    with one_blas_thread():
        a_pass = _seconds(lambda: [collapse(block, at) for block in blocks])
        a_factor = _seconds(lambda: factors(matrix.copy()))
    share = n_genes / len(few) / min(n_threads(), max(1, n_genes / GENES_TIMED))
    # Interpolating and solving take about as long as factoring.
    return Rates(a_pass * share, 2 * a_factor / n_threads())


def _seconds(work: Callable[[], object]) -> float:
    """Time of the second go: the first loads libraries and fills caches."""
    work()
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def expected_seconds(
    design: ScreenDesign, parameters: FitParameters, rates: Rates | None = None
) -> float:
    """Return about how long the engine will take; within a factor of two or so."""
    rates = rates or measured_rates(design, parameters)
    return (
        USUAL_PASSES[is_large(design, parameters)][n_ratios(parameters)]
        + _drawing(design, parameters)
    ) * rates.a_pass + n_points(parameters) * rates.a_point


def _drawing(design: ScreenDesign, parameters: FitParameters) -> float:
    """Return how many passes drawing the effects is worth: a product with C columns is a pass."""
    n_draws = parameters.sampling.chains * parameters.sampling.draws
    return n_draws * USUAL_NODES[n_ratios(parameters)] / len(design.cell_lines)


def is_large(design: ScreenDesign, parameters: FitParameters) -> bool:
    """Whether it pays to search a part of the screen before the whole."""
    n_genes, n_lines = len(design.genes), len(design.cell_lines)
    rows = n_effects(parameters.model, n_genes, len(design.guides))
    return rows * n_lines**2 >= LARGE_PASS and n_genes >= 4 * SMALLEST_PART


def n_effects(name: ModelName, n_genes: int, n_guides: int) -> int:
    """Return how many effects belong to genes: two each and, in m4_nested, one a guide."""
    return 2 * n_genes + (n_guides if name == "m4_nested" else 0)


def n_ratios(parameters: FitParameters) -> int:
    """Return the number of variance ratios of the model."""
    return sum(name in CONTRACTS[parameters.model].variables for name in RATIOS)


def n_points(parameters: FitParameters) -> int:
    """Return how many points are weighed at least, one round of the pilot included."""
    return PILOT_POINTS + n_final_points(parameters)


def n_final_points(parameters: FitParameters) -> int:
    """Return how many points the draws are of at least, all chains together."""
    return parameters.sampling.chains * points_a_chain(parameters.sampling)


def points_a_chain(sampling: Sampling) -> int:
    """Return how many points a chain is begun with: a power of two, none fewer than draws."""
    return 1 << (sampling.draws - 1).bit_length()


class Work:
    """Counts what is done and reports it as a share of what is expected, in percent."""

    def __init__(
        self, design: ScreenDesign, parameters: FitParameters, on_progress: OnProgress
    ) -> None:
        self._rates = measured_rates(design, parameters)
        self._on_progress = on_progress
        self._expected = expected_seconds(design, parameters, self._rates)
        self._done = 0.0
        self._reported = -1
        self._lock = threading.Lock()

    def passes(self, n: int) -> None:
        """Count n passes over the whole screen."""
        self._add(n * self._rates.a_pass)

    def points(self, n: int) -> None:
        """Count n points."""
        self._add(n * self._rates.a_point)

    def finish(self) -> None:
        """Report that all is done."""
        self._on_progress(100, 100)

    def _add(self, seconds: float) -> None:
        with self._lock:
            self._done += seconds
            # More than expected is not more than all of it.
            percent = min(99, int(100 * self._done / max(self._expected, 1e-12)))
            if percent > self._reported:
                self._reported = percent
                self._on_progress(percent, 100)
