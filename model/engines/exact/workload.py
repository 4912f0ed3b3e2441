"""Expected time and progress of the exact engine, in passes over the screen and factored points.

Times and progress do not affect what is computed.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from model.engines.exact.blocks import make_blocks
from model.engines.exact.collapse import collapse
from model.engines.exact.marginal import factors
from model.runtime.executors import n_threads, one_blas_thread
from model.runtime.progress import ProgressCallback
from model.screen.design import ScreenDesign
from schemas.model_spec import ModelSpec, model_spec
from schemas.parameters import FitParameters, Sampling

PILOT_POINTS = 512
GENES_TIMED = 64
USUAL_PASSES = {False: {False: 150, True: 1100}, True: {False: 40, True: 110}}
"""Usual passes of small and of large screens, without and with guide effects."""
USUAL_NODES = {False: 1, True: 6}
"""Usual nodes for drawing effects, without and with guide effects."""
LARGE_PASS = 1e8
"""Multiplications per pass from which the search starts with a part of the screen."""
SMALLEST_PART = 200
"""Genes of that part."""


@dataclass(frozen=True)
class Rates:
    """Seconds of one pass over the whole screen, and of one point."""

    per_pass: float
    per_point: float


def measured_rates(design: ScreenDesign, parameters: FitParameters) -> Rates:
    """Return rates measured on this machine, with a few genes and one factorisation."""
    n_genes = len(design.genes)
    few = np.unique(np.linspace(0, n_genes - 1, GENES_TIMED).round().astype(int))
    spec = model_spec(parameters.model, design.covariates)
    blocks = make_blocks(spec, design.of_genes(few))
    at = np.zeros((1, len(spec.ratio_sds)))
    size = len(design.cell_lines) + 4
    matrix = np.eye(size)[None]
    with one_blas_thread():
        a_pass = _seconds(lambda: [collapse(block, at) for block in blocks])
        a_factor = _seconds(lambda: factors(matrix.copy()))
    share = n_genes / len(few) / min(n_threads(), max(1, n_genes / GENES_TIMED))
    # Interpolating and solving take about as long as factoring.
    return Rates(a_pass * share, 2 * a_factor / n_threads())


def _seconds(work: Callable[[], object]) -> float:
    """Return the seconds of a second call: the first loads libraries and fills caches."""
    work()
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def expected_seconds(
    design: ScreenDesign, parameters: FitParameters, rates: Rates | None = None
) -> float:
    """Return the approximate seconds of the engine, within a factor of about two."""
    rates = rates or measured_rates(design, parameters)
    return (
        USUAL_PASSES[is_large(design, parameters)][
            model_spec(parameters.model, design.covariates).by_guide
        ]
        + _drawing(design, parameters)
    ) * rates.per_pass + n_points(parameters) * rates.per_point


def _drawing(design: ScreenDesign, parameters: FitParameters) -> float:
    """Return the time of drawing effects in passes: a product with C columns is one pass."""
    n_draws = parameters.sampling.chains * parameters.sampling.n_draws
    by_guide = model_spec(parameters.model, design.covariates).by_guide
    return n_draws * USUAL_NODES[by_guide] / len(design.cell_lines)


def is_large(design: ScreenDesign, parameters: FitParameters) -> bool:
    """Whether searching a part of the screen first saves time."""
    n_genes, n_lines = len(design.genes), len(design.cell_lines)
    rows = n_effects(model_spec(parameters.model, design.covariates), n_genes, len(design.guides))
    return rows * n_lines**2 >= LARGE_PASS and n_genes >= 4 * SMALLEST_PART


def n_effects(spec: ModelSpec, n_genes: int, n_guides: int) -> int:
    """Return the number of effects of genes and of their guides."""
    return len(spec.gene_effects) * n_genes + (n_guides if spec.guide_effect else 0)


def n_points(parameters: FitParameters) -> int:
    """Return the smallest number of weighted points, including one pilot round."""
    return PILOT_POINTS + n_final_points(parameters)


def n_final_points(parameters: FitParameters) -> int:
    """Return the smallest number of points behind the draws of all chains."""
    return parameters.sampling.chains * points_per_chain(parameters.sampling)


def points_per_chain(sampling: Sampling) -> int:
    """Return the first number of points of a chain: a power of two, at least the draws."""
    return 1 << (sampling.n_draws - 1).bit_length()


class ProgressEstimator:
    """Reports the work done as a percentage of the expected work."""

    def __init__(
        self, design: ScreenDesign, parameters: FitParameters, progress: ProgressCallback
    ) -> None:
        self._rates = measured_rates(design, parameters)
        self._progress = progress
        self._expected = expected_seconds(design, parameters, self._rates)
        self._done = 0.0
        self._reported = -1
        self._lock = threading.Lock()

    def passes(self, n: int) -> None:
        """Count n passes over the whole screen."""
        self._add(n * self._rates.per_pass)

    def points(self, n: int) -> None:
        """Count n points."""
        self._add(n * self._rates.per_point)

    def finish(self) -> None:
        """Report completion."""
        self._progress(100, 100)

    def _add(self, seconds: float) -> None:
        with self._lock:
            self._done += seconds
            # The work may exceed the expectation.
            percent = min(99, int(100 * self._done / max(self._expected, 1e-12)))
            if percent > self._reported:
                self._reported = percent
                self._progress(percent, 100)
