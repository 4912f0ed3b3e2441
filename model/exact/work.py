"""How much the exact engine has to do, how much of it is done, and how long it will take.

Work is counted in passes over the screen and in points factored; one pass stands for as many points
as take as long. Nothing here decides what is computed.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass

import numpy as np

from model.design import ScreenDesign
from model.exact.blocks import cut
from model.exact.collapse import RATIOS, collapse
from model.exact.workers import n_threads, one_blas_thread
from model.nuts import OnProgress
from schemas.parameters import FitParameters
from schemas.posterior import CONTRACTS

PILOT_POINTS = 512
GENES_TIMED = 64
USUAL_PASSES = {2: 60, 5: 250}
"""Passes that screens have been seen to take, by the number of variance ratios."""


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
    matrix = np.eye(size)
    with one_blas_thread():
        started = time.perf_counter()
        for block in blocks:
            collapse(block, at)
        passed = time.perf_counter()
        np.linalg.cholesky(matrix)
        factored = time.perf_counter()
    share = n_genes / len(few) / min(n_threads(), max(1, n_genes / GENES_TIMED))
    return Rates((passed - started) * share, 2 * (factored - passed) / n_threads())


def expected_seconds(design: ScreenDesign, parameters: FitParameters) -> float:
    """Return about how long the engine will take; within a factor of two or so."""
    rates = measured_rates(design, parameters)
    return USUAL_PASSES[n_ratios(parameters)] * rates.a_pass + n_points(parameters) * rates.a_point


def n_ratios(parameters: FitParameters) -> int:
    """Return the number of variance ratios of the model."""
    return sum(name in CONTRACTS[parameters.model].variables for name in RATIOS)


def n_points(parameters: FitParameters) -> int:
    """Return how many points are weighed: a power of two a chain, at least as many as draws."""
    sampling = parameters.sampling
    return PILOT_POINTS + sampling.chains * (1 << (sampling.draws - 1).bit_length())


class Work:
    """Counts what is done and reports it as a share of what is expected, in percent."""

    def __init__(self, rates: Rates, parameters: FitParameters, on_progress: OnProgress) -> None:
        self._rates = rates
        self._on_progress = on_progress
        self._expected = (
            USUAL_PASSES[n_ratios(parameters)] * rates.a_pass + n_points(parameters) * rates.a_point
        )
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
