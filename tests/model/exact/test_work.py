"""What is said of the work before and while it is done."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.screens import TRUTHS, made
from model.engines import cost
from model.exact import work
from model.exact.density import InterpolatedDensity
from model.exact.engine import sample
from model.exact.search import locate
from model.exact.work import Work, expected_seconds, is_large
from model.exact.workers import ThisProcess
from schemas.parameters import FitParameters, Sampling
from tests.designs import design_from_rows, nested_rows

SMALL = design_from_rows(nested_rows(6, 7, 3, 2)[0])


@pytest.fixture(scope="module")
def large():
    return made(1000, 60, 3, TRUTHS["m4_nested"], seed=1)[0]


def test_more_draws_and_richer_models_are_expected_to_take_longer():
    few, many = (FitParameters(sampling=Sampling(draws=draws)) for draws in (1000, 100_000))
    assert 0 < expected_seconds(SMALL, few) < expected_seconds(SMALL, many)
    nested = few.model_copy(update={"model": "m4_nested"})
    assert expected_seconds(SMALL, few) < expected_seconds(SMALL, nested)


def test_cost_says_how_long_the_exact_engine_takes():
    assert "draws, about 1 s, a posterior of" in cost(SMALL, FitParameters())
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
    monkeypatch.setattr(work, "LARGE", 1e6)
    assert is_large(large, parameters)
    in_part = sample(large, parameters, seed=1)
    monkeypatch.setattr(work, "LARGE", np.inf)
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
