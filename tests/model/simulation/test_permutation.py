"""A permutation trial counts false calls, and finds an engine that is too sure of its slopes."""

from dataclasses import replace

import numpy as np
import pytest
import xarray as xr
from scipy import stats

from model.effects.regression import regress
from model.screen.design import ScreenDesign
from model.simulation import permutation as module
from model.simulation.permutation import one_permutation, permute_rna
from model.simulation.permutation_verdict import false_share_interval, summarise_permutations
from schemas.parameters import FitParameters
from schemas.permutation import TrialSettings
from tests.tasks.fits import dataset_of

SD = 0.25
"""Of the slopes of the half of the genes that have an effect; noise has an SD of 1."""


def screen_of(n_genes: int, n_lines: int) -> ScreenDesign:
    random = np.random.default_rng(1)
    rna = stats.zscore(random.standard_normal((n_genes, n_lines)), axis=1, ddof=1)
    slope = random.normal(0, SD, n_genes) * (np.arange(n_genes) % 2)
    logfc = slope[:, None] * rna + random.standard_normal(rna.shape)
    genes, lines = (tuple(f"{of}{i:04}" for i in range(n)) for of, n in enumerate(rna.shape))
    one = np.ones(n_genes)
    return ScreenDesign(
        genes, lines, genes, np.arange(n_genes), rna, 0 * one, one, False,
        np.ones(rna.shape, np.uint16), logfc, logfc**2, covariates={"cn": rna + 1},
    )  # fmt: skip


def sound(design, parameters, progress):
    """The engine: slopes given line means, by conjugacy; a tenth are real where 80 % are not."""
    random, found = np.random.default_rng(parameters.seed), regress(design)
    slope, error = found.slope, found.error
    odds = stats.norm.pdf(slope, 0, np.hypot(SD, error)) / stats.norm.pdf(slope, 0, error)
    shrunk = SD**2 / (SD**2 + error**2)
    draws = random.normal(shrunk * slope, np.sqrt(shrunk) * error, (2, 500, len(slope)))
    draws *= random.random(draws.shape) < odds / (odds + 9)
    sigma = (("chain", "draw"), random.normal(1, 0.1, (2, 500)))
    posterior = xr.Dataset({"beta_g": (("chain", "draw", "gene"), draws), "sigma": sigma})
    return xr.DataTree.from_dict({"posterior": posterior, "sample_stats": xr.Dataset()})


DESIGN = screen_of(400, 150)


def trial(share=0.8, design=DESIGN, n=6):
    parameters = FitParameters(model="m4")
    settings = TrialSettings.model_construct(share=share, permutations=n)
    results = [one_permutation(design, parameters, settings, i, sound) for i in range(n)]
    return summarise_permutations(dataset_of(), design, parameters, settings, results)


def test_permuting_keeps_values_of_each_gene_and_its_missing_lines():
    count = DESIGN.count.copy()
    count[::3, :4] = 0
    found, again, other = (permute_rna(replace(DESIGN, count=count), 0.25, it) for it in (5, 5, 6))
    assert found.permuted.sum() == 100 and (found.permuted != other.permuted).any()
    assert np.array_equal(found.design.rna, again.design.rna)
    moved = found.design.rna != DESIGN.rna
    assert (moved.sum(axis=1) > 10).tolist() == found.permuted.tolist()
    assert not (moved & (count == 0)).any()
    np.testing.assert_allclose(np.sort(found.design.rna, axis=1), np.sort(DESIGN.rna, axis=1))
    assert found.design.covariates is DESIGN.covariates and found.design.total is DESIGN.total


def test_a_sound_engine_passes_and_one_ten_times_too_sure_fails(monkeypatch):
    report = trial()
    assert (report.verdict.status, report.n_troubled) == ("pass", 0), report.verdict.reasons
    assert (report.n_genes_permuted, report.n_genes_callable) == (320, 400)
    for one in report.methods:
        assert one.low <= 0.05 and 6 * 9 < one.n_other < 6 * 40  # of 40 with an effect each time
    assert report.methods[0].n_called < report.methods[1].n_called and trial() == report
    rate = module.local_false_sign_rate
    monkeypatch.setattr(module, "local_false_sign_rate", lambda draws: rate(draws) / 10)
    verdict = trial().verdict
    assert verdict.status == "fail" and "m4, lfsr <= 0.05: " in verdict.reasons[0]
    assert "expected at most 5%" in verdict.reasons[0] and "m4_screen" in verdict.reasons[0]
    all_permuted = trial(share=1.0).methods
    assert all_permuted[0].n_false > 0 and {one.n_other for one in all_permuted} == {0}


def test_few_calls_ask_for_review():
    assert "inconclusive, too few calls" in trial(share=0.97, n=3).verdict.reasons[0]
    few = trial(design=replace(DESIGN, count=DESIGN.count * (np.arange(150) < 9)))
    assert {one.n_called for one in few.methods} == {0} and few.n_genes_callable == 0
    assert few.verdict.status == "review" and "no gene was called" in few.verdict.reasons[0]


@pytest.mark.parametrize("n_false", [0, 3])
def test_the_interval_is_that_of_independent_calls_and_wider_where_they_come_together(n_false):
    even = np.array([1] * n_false + [0] * (6 - n_false))
    exact = stats.binomtest(n_false, 60).proportion_ci(0.89, "exact")
    assert false_share_interval(even, 10 - even) == pytest.approx((exact.low, exact.high))
    low, high = false_share_interval(np.array([6, 0, 0, 0, 0, 0]), np.array([4, *[10] * 5]))
    assert low < 0.02 and high > 0.3
    assert false_share_interval(0 * even, 0 * even) == (0, 1)
