"""The work that the exact engine expects, measures and reports."""

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from benchmarks.screens import TRUTHS, made
from model.design import ScreenDesign
from model.exact import work as module
from model.exact.work import Rates, Work, expected_seconds, is_large, measured_rates
from schemas.parameters import FitParameters, ModelName, Sampling
from tests.designs import design_from_rows
from tests.model.exact.pieces import random_rows

DESIGN = design_from_rows(random_rows(1))  # three genes, four lines
FEW = FitParameters(model="m4", sampling=Sampling(draws=64, chains=2))
FEW_MORE = FEW.model_copy(update={"sampling": Sampling(draws=65, chains=2)})
NESTED = FEW.model_copy(update={"model": "m4_nested"})


def of_size(*sizes: int) -> ScreenDesign:
    """A screen of so many genes, lines and guides without matching data."""
    genes, lines, guides = (tuple(map(str, range(n))) for n in sizes)
    return replace(DESIGN, genes=genes, cell_lines=lines, guides=guides)


@pytest.mark.parametrize(
    ("parameters", "size", "large"),
    [
        (FEW, (800, 250, 1), True),  # two effects each of 800 genes, times 250 squared: 1e8
        (FEW, (800, 249, 10_000), False),
        (FEW, (799, 1000, 1), False),
        (NESTED, (1000, 142, 3000), True),  # 5,000 effects, times 142 squared: 1.008e8
        (NESTED, (1000, 141, 3000), False),
    ],
)
def test_a_screen_is_large_where_both_its_passes_and_its_genes_are_many(parameters, size, large):
    assert is_large(of_size(*size), parameters) is large


@pytest.mark.parametrize(
    ("parameters", "size", "passes", "points"),
    [
        # Effects of 2 x 64 draws, at 1 or 6 nodes, are worth 128 / C or 768 / C passes.
        (FEW, (3, 4, 9), 150 + 32, 512 + 2 * 64),
        (FEW_MORE, (3, 5, 9), 150 + 26, 512 + 2 * 128),
        (NESTED, (3, 4, 9), 1100 + 192, 512 + 2 * 64),
        (FEW, (800, 256, 800), 40 + 0.5, 512 + 2 * 64),
        (NESTED, (800, 256, 800), 110 + 3, 512 + 2 * 64),
    ],
)
def test_seconds_are_those_of_passes_and_points(parameters, size, passes, points, monkeypatch):
    monkeypatch.setattr(
        module, "measured_rates", lambda design, of: Rates(len(design.genes), of.sampling.chains)
    )
    assert expected_seconds(of_size(*size), parameters) == passes * size[0] + points * 2


@pytest.mark.parametrize(
    ("model", "n_effects", "n_ratios", "n_genes", "n_threads", "n_timed", "share"),
    [
        ("m4", 2, 2, 40, 2, 40, 1),
        ("m4_nested", 4, 5, 128, 8, 64, 1),  # two parts of 64 genes, and threads for both
        ("m4", 2, 2, 192, 2, 64, 1.5),
    ],
)
def test_the_second_pass_over_evenly_taken_genes_is_timed(
    model: ModelName, n_effects, n_ratios, n_genes, n_threads, n_timed, share, monkeypatch
):
    design = made(n_genes, 4, 2, TRUTHS["m4"], seed=1)[0]
    passed: list[Any] = []
    factored: list[np.ndarray] = []
    clock = SimpleNamespace(perf_counter=iter([2.0, 5.0, 10.0, 15.0]).__next__)
    monkeypatch.setattr(module, "time", clock)
    monkeypatch.setattr(module, "collapse", lambda *of: passed.append(of))
    monkeypatch.setattr(module, "factors", factored.append)
    monkeypatch.setattr(module, "n_threads", lambda: n_threads)
    rates = measured_rates(design, FitParameters(model=model))
    assert (rates.a_pass, rates.a_point) == pytest.approx((3 * share, 2 * 5 / n_threads))
    (block, at), _ = passed
    even = [round(i * (n_genes - 1) / (n_timed - 1)) for i in range(n_timed)]
    np.testing.assert_array_equal(block.rna, design.rna[even])
    assert (block.n_effects, at.shape) == (n_effects, (1, n_ratios))
    # Four lines, three means and the right-hand side.
    assert [one.shape for one in factored] == [(1, 8, 8)] * 2


def test_progress_is_the_share_of_the_seconds_expected(monkeypatch):
    # 182 passes and 640 points: together 200 seconds.
    monkeypatch.setattr(module, "measured_rates", lambda *_: Rates(1.0, 18 / 640))
    reports: list[tuple[int, int]] = []
    counted = Work(DESIGN, FEW, lambda *of: reports.append(of))
    for count, n in (
        (counted.passes, 1),  # 1 of 200
        (counted.passes, 2),  # 3
        (counted.points, 16),  # 3.45: no report
        (counted.points, 32),  # 4.35
        (counted.passes, 150),  # 154.35
        (counted.passes, 45),  # 199.35
        (counted.passes, 1000),
    ):
        count(n)
    counted.finish()
    assert reports == [(percent, 100) for percent in (0, 1, 2, 77, 99, 100)]
