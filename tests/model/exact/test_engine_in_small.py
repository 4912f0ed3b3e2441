"""The exact engine as a whole on a screen of three genes in four lines, in a fifth of a second."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import xarray as xr
from scipy import stats

from model.exact import engine as module
from model.exact.engine import sample
from model.exact.workers import Held, ThisProcess
from schemas.parameters import ModelName
from schemas.posterior import CONTRACTS
from tests.model.exact.dense import dense
from tests.model.exact.pieces import MODELS, PRIORS
from tests.model.exact.test_engine_steps import DESIGN, ROWS, parameters_of
from tests.model.sds import sds_of


@pytest.fixture(scope="module", params=MODELS)
def fitted(request) -> tuple[ModelName, xr.DataTree, list[tuple[int, int]]]:
    told: list[tuple[int, int]] = []
    parameters = parameters_of(request.param)
    tree = sample(DESIGN, parameters, 5, lambda done, total: told.append((done, total)))
    return request.param, tree, told


def test_draws_follow_the_dense_normal_given_their_standard_deviations(fitted):
    model, tree, _ = fitted
    draws = {
        name: values.to_numpy().reshape(2 * 64, -1) for name, values in tree["posterior"].items()
    }
    log_density = tree["sample_stats"]["log_density"].to_numpy().ravel()
    found = []
    for at in range(0, 2 * 64, 4):
        sd = {name: float(draws[name][at, 0]) for name in sds_of(model)}
        naive = dense(model, ROWS, DESIGN, PRIORS, sd)
        values = np.concatenate([draws[name][at] for name in naive.mean])
        away = values - np.concatenate(list(naive.mean.values()))
        found.append(np.linalg.solve(np.linalg.cholesky(naive.covariance), away))
        # Every prior is an exponential one of rate 1; theta is the log of the SDs.
        expected = naive.log_likelihood - sum(sd.values()) + sum(map(np.log, sd.values()))
        assert log_density[at] == pytest.approx(expected, abs=0.05)
    assert stats.kstest(np.ravel(found), "norm").pvalue > 0.01
    # No draws and no chains go together.
    z = np.array(found)
    assert np.abs(z.mean(axis=0)).max() < 4 / np.sqrt(len(z))
    assert abs(np.corrcoef(z[:16].ravel(), z[16:].ravel())[0, 1]) < 4 / np.sqrt(z.size / 2)


def test_the_tree_has_the_variables_of_the_contract_and_its_labels(fitted):
    model, tree, _ = fitted
    posterior, statistics = tree["posterior"].dataset, tree["sample_stats"].dataset
    assert {name: value.dims for name, value in posterior.items()} == {
        name: ("chain", "draw", *dims) for name, dims in CONTRACTS[model].variables.items()
    }
    used = {"gene", "cell_line"} | ({"guide"} if model == "m4_nested" else set())
    assert set(posterior.coords) == {"chain", "draw"} | used
    assert set(statistics.coords) == {"chain", "draw"}
    for dim in used:
        assert tuple(posterior[dim].to_numpy()) == DESIGN.labels[dim]
    for tables in (posterior, statistics):
        assert tables["chain"].to_numpy().tolist() == [0, 1]
        assert tables["draw"].to_numpy().tolist() == list(range(64))
    assert statistics["log_density"].dims == ("chain", "draw")
    assert {name for name, value in statistics.items() if not value.dims} == {
        "pareto_k",
        "importance_efficiency",
        "n_points",
        "log_evidence",
        "log_evidence_mcse",
        "interpolation_error",
        "n_passes",
    }


def test_progress_is_told_until_all_is_done(fitted):
    _, _, told = fitted
    assert told[0][0] < 100
    assert told == sorted(set(told))
    assert told[-1] == (100, 100)


def test_workers_hold_the_blocks_and_blas_keeps_to_one_thread(monkeypatch):
    @dataclass
    class Others(ThisProcess):
        n_held: int = 0

        def hold(self, blocks: Sequence[Any]) -> Held:
            self.n_held += len(blocks)
            return super().hold(blocks)

    entered: list[str] = []
    one_blas_thread = module.one_blas_thread

    def told():
        entered.append("one thread")
        return one_blas_thread()

    monkeypatch.setattr(module, "one_blas_thread", told)
    others = Others()
    sample(DESIGN, parameters_of("m4"), 5, workers=others)
    assert others.n_held == 1
    assert entered == ["one thread"]


def recorded(monkeypatch, name: str) -> list[tuple[tuple[Any, ...], Any]]:
    """Note arguments and results of a function of the engine, which does what it does."""
    function: Callable[..., Any] = getattr(module, name)
    calls: list[tuple[tuple[Any, ...], Any]] = []

    def noting(*arguments: Any) -> Any:
        result = function(*arguments)
        calls.append((arguments, result))
        return result

    monkeypatch.setattr(module, name, noting)
    return calls


def test_points_are_weighed_anew_while_their_tail_is_too_heavy(monkeypatch):
    calls = {
        name: recorded(monkeypatch, name)
        for name in ("locate", "_piloted", "refitted", "_weighted", "_drawn", "_effects")
    }
    parameters = parameters_of("m4")
    thresholds = parameters.thresholds
    sample(DESIGN, parameters, 9)
    ((_, first),) = calls["_weighted"]
    k = first.overall.pareto_k
    # Just as heavy as it may be.
    just = thresholds.model_copy(update={"pareto_k_max": k})
    again = sample(DESIGN, parameters.model_copy(update={"thresholds": just}), 9)
    assert len(calls["_weighted"]) == 2
    np.testing.assert_array_equal(calls["_weighted"][1][1].theta, first.theta)

    for found in calls.values():
        found.clear()
    strict = thresholds.model_copy(update={"pareto_k_max": -5.0})
    tree = sample(DESIGN, parameters.model_copy(update={"thresholds": strict}), 9)
    ((_, located),) = calls["locate"]
    ((_, piloted),) = calls["_piloted"]
    rounds = calls["_weighted"]
    assert len(rounds) == 1 + module.MOST_ROUNDS == 4
    np.testing.assert_array_equal(rounds[0][1].theta, first.theta)
    refits = calls["refitted"][-3:]
    proposals = [piloted] + [proposal for _, proposal in refits]
    for at, ((density, proposal, _, _), weighted) in enumerate(rounds):
        assert density is located.density
        assert proposal is proposals[at]
        if at < 3:
            (old, points, log_ratio, df), _ = refits[at]
            assert old is proposal
            np.testing.assert_array_equal(points, np.concatenate(weighted.theta))
            np.testing.assert_array_equal(log_ratio, np.concatenate(weighted.log_ratio))
            assert df == located.proposal.df
    assert len({weighted.theta[0, 0, 0] for _, weighted in rounds}) == 4
    ((drawn, _),) = calls["_drawn"]
    assert drawn[3] is rounds[-1][1]
    # Every step has a seed of its own, and all are children of the one given.
    (_, pilot_seed), _ = calls["_piloted"][0]
    seeds = [pilot_seed, drawn[4], *(arguments[3] for arguments, _ in rounds)]
    assert {one.entropy for one in seeds} == {9}
    assert len({one.spawn_key for one in seeds}) == 6
    # Otherwise heavy or not: the same points, the same draws.
    assert not np.isin(tree["posterior"]["sigma"], again["posterior"]["sigma"]).any()


def test_equal_seeds_give_equal_draws():
    trees = [sample(DESIGN, parameters_of("m4"), seed) for seed in (5, 5, 6)]
    first, same, other = (tree["posterior"].dataset for tree in trees)
    for name, values in first.items():
        np.testing.assert_array_equal(values, same[name])
        assert not np.isin(values, other[name]).any()
