"""The work that the exact engine expects, measures and reports."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from benchmarks.screens import TRUTHS, made
from model.design import ScreenDesign
from model.exact import work as module
from model.exact.blocks import GeneBlock
from model.exact.work import Rates, Work, expected_seconds, is_large, measured_rates
from schemas.parameters import FitParameters, ModelName, Sampling
from tests.designs import design_from_rows
from tests.model.exact.pieces import random_rows

DESIGN = design_from_rows(random_rows(1))  # three genes, four lines
FEW = FitParameters(model="m4", sampling=Sampling(draws=64, chains=2))
NESTED = FEW.model_copy(update={"model": "m4_nested"})


def labels(n: int) -> tuple[str, ...]:
    return tuple(map(str, range(n)))


def of_size(n_genes: int, n_lines: int, n_guides: int) -> ScreenDesign:
    """A screen of this size without matching data."""
    return replace(
        DESIGN, genes=labels(n_genes), cell_lines=labels(n_lines), guides=labels(n_guides)
    )


@pytest.mark.parametrize(
    ("draws", "chains", "a_chain"), [(50, 2, 64), (64, 2, 64), (65, 3, 128), (2000, 4, 2048)]
)
def test_points_are_a_power_of_two_a_chain_and_no_fewer_than_draws(draws, chains, a_chain):
    parameters = FitParameters(sampling=Sampling(draws=draws, chains=chains))
    assert module.n_final_points(parameters) == chains * a_chain
    assert module.n_points(parameters) == 512 + chains * a_chain


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
    ("parameters", "size", "passes"),
    [
        # Effects of 2 x 64 draws, at 1 or 6 nodes, are worth 128 / C or 768 / C passes.
        (FEW, (3, 4, 9), 150 + 32),
        (NESTED, (3, 4, 9), 1100 + 192),
        (FEW, (800, 256, 800), 40 + 0.5),
        (NESTED, (800, 256, 800), 110 + 3),
    ],
)
def test_seconds_are_those_of_passes_and_points(parameters, size, passes, monkeypatch):
    found = expected_seconds(of_size(*size), parameters, Rates(a_pass=0.1, a_point=0.001))
    assert found == pytest.approx(0.1 * passes + 0.001 * (512 + 128), rel=1e-12)
    monkeypatch.setattr(
        module, "measured_rates", lambda design, of: Rates(len(design.genes), of.sampling.chains)
    )
    assert expected_seconds(of_size(*size), parameters) == passes * size[0] + 640 * 2


@pytest.mark.parametrize(("model", "n_effects"), [("m4", 2), ("m4_nested", 4)])
@pytest.mark.parametrize(
    ("n_genes", "n_threads", "n_timed", "share"),
    [
        (40, 2, 40, 1),
        (128, 1, 64, 2),
        (128, 8, 64, 1),  # of 128 genes there are two parts of 64, and threads for both
        (192, 2, 64, 1.5),
    ],
)
def test_the_second_pass_over_evenly_taken_genes_is_timed(
    model: ModelName, n_effects, n_genes, n_threads, n_timed, share, monkeypatch
):
    design = made(n_genes, 4, 2, TRUTHS["m4"], seed=1)[0]
    passed: list[tuple[GeneBlock, np.ndarray]] = []
    factored: list[np.ndarray] = []
    clock = SimpleNamespace(perf_counter=iter([2.0, 5.0, 10.0, 15.0]).__next__)
    monkeypatch.setattr(module, "time", clock)
    monkeypatch.setattr(module, "collapse", lambda *of: passed.append(of))
    monkeypatch.setattr(module, "factors", factored.append)
    monkeypatch.setattr(module, "n_threads", lambda: n_threads)
    rates = measured_rates(design, FitParameters(model=model))
    assert (rates.a_pass, rates.a_point) == pytest.approx((3 * share, 2 * 5 / n_threads))
    assert len(passed) == len(factored) == 2
    block, at = passed[0]
    assert block.n_effects == n_effects
    even = [round(i * (n_genes - 1) / (n_timed - 1)) for i in range(n_timed)]
    np.testing.assert_array_equal(block.rna, design.rna[even])
    np.testing.assert_array_equal(at, np.zeros((1, {"m4": 2, "m4_nested": 5}[model])))
    # Four lines, three means and the right-hand side.
    np.testing.assert_array_equal(factored[0], np.eye(8)[None])


@pytest.mark.parametrize("scale", [1.0, 1e-3, 0.0])
def test_progress_is_the_share_of_the_seconds_expected(scale, monkeypatch):
    # 182 passes and 640 points: together 200 seconds.
    rates: Any = iter([Rates(a_pass=scale, a_point=18 / 640 * scale)])
    monkeypatch.setattr(module, "measured_rates", lambda *_: next(rates))
    reports: list[tuple[int, int]] = []
    counted = Work(DESIGN, FEW, lambda *of: reports.append(of))
    steps = [
        (counted.passes, 1, [0]),  # 1 of 200
        (counted.passes, 2, [1]),  # 3
        (counted.points, 16, []),  # 3.45
        (counted.points, 32, [2]),  # 4.35
        (counted.passes, 150, [77]),  # 154.35
        (counted.passes, 0, []),
        (counted.passes, 42, [98]),  # 196.35
        (counted.passes, 3, [99]),  # 199.35
        (counted.passes, 1000, []),
    ]
    for count, n, expected in steps if scale else steps[:1]:
        before = len(reports)
        count(n)
        assert reports[before:] == [(percent, 100) for percent in expected]
    counted.finish()
    assert reports[-1] == (100, 100)
