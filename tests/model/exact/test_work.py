"""What is said of the work before and while it is done."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.screens import TRUTHS, made
from model.convergence import exact_diagnostics
from model.engines import NoIntegral, cost, run_engine
from model.exact import search, work
from model.exact.density import InterpolatedDensity
from model.exact.engine import sample
from model.exact.proposal import NotIntegrable
from model.exact.search import locate
from model.exact.work import Rates, Work, expected_seconds, is_large, measured_rates
from model.exact.workers import ThisProcess
from model.verdict import exact_findings
from schemas.parameters import FitParameters, Sampling
from tests.designs import design_from_rows, nested_rows

SMALL = design_from_rows(nested_rows(6, 7, 3, 2)[0])


@pytest.fixture(scope="module")
def large():
    return made(1000, 60, 3, TRUTHS["m4_nested"], seed=1)[0]


def test_more_draws_and_richer_models_are_expected_to_take_longer(large):
    rates = Rates(a_pass=0.1, a_point=0.001)
    few, many = (FitParameters(sampling=Sampling(draws=draws)) for draws in (1000, 100_000))
    nested = few.model_copy(update={"model": "m4_nested"})
    for design in (SMALL, large):
        seconds = [expected_seconds(design, settings, rates) for settings in (few, many, nested)]
        assert 0 < seconds[0] < min(seconds[1:])


def test_rates_are_measured():
    rates = measured_rates(SMALL, FitParameters())
    assert 0 < rates.a_pass < 10
    assert 0 < rates.a_point < 10


@pytest.mark.parametrize(("seconds", "told"), [(0.3, "1 s"), (42, "42 s"), (130, "3 min")])
def test_cost_says_how_long_the_exact_engine_takes(seconds, told, monkeypatch):
    monkeypatch.setattr("model.engines.expected_seconds", lambda *_: seconds)
    assert f"draws, about {told}, a posterior of" in cost(SMALL, FitParameters())
    assert "chains of 2,000 + 2,000 steps" in cost(SMALL, FitParameters(engine="nuts"))


def test_progress_stays_below_the_whole_until_the_end():
    told = []
    counted = Work(SMALL, FitParameters(), lambda done, total: told.append(done))
    for _ in range(1000):
        counted.passes(100)
    assert told == sorted(set(told))
    assert told[-1] == 99
    counted.finish()
    assert told[-1] == 100


@pytest.mark.parametrize("model", ["m4", "m4_nested"])
def test_a_large_screen_searched_in_part_gives_what_the_whole_gives(model, large, monkeypatch):
    parameters = FitParameters(model=model, sampling=Sampling(draws=500))
    monkeypatch.setattr(work, "LARGE_PASS", 1e6)
    assert is_large(large, parameters)
    in_part = sample(large, parameters, seed=1)
    monkeypatch.setattr(work, "LARGE_PASS", np.inf)
    assert not is_large(large, parameters)
    whole = sample(large, parameters, seed=1)
    one, other = (tree["sample_stats"].dataset for tree in (in_part, whole))
    assert one["n_passes"] < other["n_passes"]
    assert one["importance_efficiency"] > 0.75
    assert float(one["log_evidence"]) == pytest.approx(float(other["log_evidence"]), abs=0.02)
    for name in ("sigma_alpha", "sigma_gamma", "sigma_beta", "sigma", "mu_beta"):
        first, second = (tree["posterior"][name] for tree in (in_part, whole))
        away = abs(float(first.mean() - second.mean())) / float(second.std())
        assert away < 0.15, name
        assert float(first.std() / second.std()) == pytest.approx(1, abs=0.1), name


def test_the_interpolated_density_is_the_screen_s(large):
    parameters = FitParameters(model="m4_nested", sampling=Sampling(draws=500))
    located = locate(
        large, parameters, ThisProcess(), Work(large, parameters, lambda done, total: None)
    )
    assert isinstance(located.density, InterpolatedDensity)
    fresh = located.proposal.points(8, np.random.SeedSequence(99))
    error = located.density(fresh).log_density - located.screen(fresh).log_density
    assert 0 < np.abs(error).max() < 0.02
    # Far outside the box the screen itself is passed over.
    far = located.proposal.location[None].copy()
    far[:, located.screen.marginal.hyperparameters.index("sigma")] += 0.5
    assert not located.density.inside(far).any()
    passes = located.screen.n_passes
    found = located.density(far).log_density
    assert located.screen.n_passes == passes + 1
    assert found == pytest.approx(located.screen(far).log_density, rel=1e-12)


def test_a_large_screen_is_never_passed_over_point_by_point(large, monkeypatch):
    """Where no degree suffices the error is told, and the verdict judges it."""
    monkeypatch.setattr(search, "MOST_DEGREE", 1)
    monkeypatch.setattr(search, "FIRST_DEGREE", 1)
    monkeypatch.setattr(work, "LARGE_PASS", 1e6)
    parameters = FitParameters(model="m4_nested", sampling=Sampling(draws=200))
    tree = sample(large, parameters, seed=1)
    measured = exact_diagnostics(tree)
    assert measured.interpolation_error > parameters.thresholds.interpolation_error_max
    assert tree["sample_stats"]["n_passes"] < 300
    statuses = [status for status, _ in exact_findings(measured, parameters.thresholds)]
    assert "review" in statuses


def test_a_box_that_is_too_narrow_is_told(large, monkeypatch):
    """What a large screen's box cuts off is not known, and the verdict must not pass it."""
    monkeypatch.setattr(search, "HALF_WIDTH", 1.5)
    monkeypatch.setattr(work, "LARGE_PASS", 1e6)
    parameters = FitParameters(model="m4_nested", sampling=Sampling(draws=200))
    measured = exact_diagnostics(sample(large, parameters, seed=1))
    assert measured.interpolation_error == np.inf
    statuses = [status for status, _ in exact_findings(measured, parameters.thresholds)]
    assert statuses


def test_what_cannot_be_integrated_is_told_or_sampled(monkeypatch):
    def fails(*_):
        raise NotIntegrable("the posterior density is zero where its search begins")

    monkeypatch.setattr("model.engines.exact.sample", fails)
    settings = FitParameters(engine="exact", sampling=Sampling(draws=50, tune=50))
    with pytest.raises(NoIntegral, match="zero where its search begins; take --engine nuts"):
        run_engine(SMALL, settings)
    tree = run_engine(SMALL, settings.model_copy(update={"engine": "auto"}))
    assert tree.attrs["engine"] == "nuts"
    assert "search begins" in tree.attrs["fell_back"]


def test_a_screen_that_says_nothing_is_refused_in_words():
    rows = nested_rows(4, 6, 2, 2)[0].assign(logfc=0.0)
    with pytest.raises(NoIntegral, match="take --engine nuts"):
        run_engine(design_from_rows(rows), FitParameters(engine="exact"))
