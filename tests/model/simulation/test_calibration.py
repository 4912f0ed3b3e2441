"""Calibration draws a screen from the prior, ranks the truth, and detects a wrong engine."""

import numpy as np
import pytest
import xarray as xr
from scipy import stats

from model.engines.run import NoIntegral, run_engine
from model.prediction.predictive import draw_prior
from model.screen.identifiability import NotIdentified
from model.simulation.calibration import (
    log_likelihood,
    one_simulation,
    require_possible,
    simulate_screen,
)
from model.simulation.calibration_verdict import ecdf_table, judge_calibration
from schemas.calibration import CalibrationSettings
from schemas.model_spec import MODEL_SPECS
from tests.designs import design_from_rows, nested_rows
from tests.model.diagnostics.test_convergence import INTEGRATED

N = 200
"""Enough to detect a sigma that is a tenth too small; the flow takes a thousand."""


@pytest.fixture(scope="module")
def report_of():
    """Report on simulations; each screen is fitted once, whatever is done to its posterior."""
    fits = {}

    def report(change=lambda posterior: posterior, n=N, **changed):
        def engine(design, parameters):
            key = float(design.total[0, 0])
            if key not in fits:
                fits[key] = run_engine(design, parameters)
            tree = fits[key].copy()
            tree["posterior"] = xr.DataTree(change(tree["posterior"].to_dataset()))
            return tree

        settings = CalibrationSettings(model="m4", engine="exact", simulations=n, **changed)
        results = [one_simulation(settings, index, engine) for index in range(n)]
        return judge_calibration(settings, results, ecdf_table(results, settings))

    return report


def test_a_sound_engine_passes(report_of):
    report = report_of()
    few, same, other = (report_of(n=50, seed=seed).coverage for seed in (103, 103, 1))
    assert few == same != other
    assert report.verdict.status == "pass", report.verdict.reasons
    assert report.engines == {"exact": N} and report.n_failed == 0
    assert {one.quantity for one in report.quantities} >= {"beta_g", "sigma", "log_likelihood"}
    for one in report.coverage:
        assert one.coverage == pytest.approx(one.level, abs=4 * one.mcse)


@pytest.mark.parametrize(
    ("change", "n", "variable"),
    [
        (lambda it: it.assign(sigma=0.9 * it["sigma"]), N, "sigma"),  # a tenth too small
        (lambda it: it.assign(beta_g=-it["beta_g"]), 50, "beta_g"),  # the wrong sign
    ],
)
def test_a_wrong_engine_fails(report_of, change, n, variable):
    verdict = report_of(change, n).verdict
    assert verdict.status == "fail"
    assert any(reason.startswith(f"{variable}:") for reason in verdict.reasons)
    assert "do not use it" in verdict.reasons[0]


MEANS = {"mu_alpha": (1, 2), "mu_gamma": (-3, 0.5), "mu_beta": (2, 1)}
SDS = {"sigma_alpha": 0.5, "sigma_gamma": 2, "sigma_beta": 1.5, "sigma": 0.3}
SDS |= {"sigma_guide": 0.7, "sigma_gene_line": 1.1, "sigma_guide_line": 0.9}


def settings_of(model: str = "m4", **changed) -> CalibrationSettings:
    priors = {name: f"Normal({mean}, {sd})" for name, (mean, sd) in MEANS.items()}
    priors |= {name: f"HalfNormal({sd})" for name, sd in SDS.items()}
    sizes = {"genes": 3, "cell_lines": 5, "guides": 2, "replicates": 3, "ranked_among": 200}
    fixed = {"model": model, "engine": "exact", "priors": priors}
    return CalibrationSettings.model_validate(fixed | sizes | changed)


@pytest.mark.parametrize("model", ["m4_zero_mean", "m4_nested"])
def test_a_screen_of_another_model_is_drawn_from_its_priors_and_equation(model):
    """Of m4 a sound engine would fail otherwise."""
    sizes = {"genes": 60, "cell_lines": 50}
    screen = simulate_screen(settings_of(simulated_model=model, **sizes), np.random.SeedSequence(7))
    design, truth = screen.design, {"delta_k": np.zeros(120)} | screen.truth
    assert screen.truth.keys() == MODEL_SPECS[model].variables.keys()
    assert truth["delta_k"].std() == pytest.approx(truth.get("sigma_guide", 0), rel=0.2)
    np.testing.assert_allclose(design.rna, stats.zscore(design.rna, axis=1, ddof=1), atol=1e-12)
    fitted = truth["alpha_g"][:, None] + truth["gamma_c"] + truth["beta_g"][:, None] * design.rna
    left = design.total / design.count - np.repeat(fitted, 2, axis=0) - truth["delta_k"][:, None]
    guides = left.reshape(60, 2, 50)
    of_guides = truth.get("sigma_guide_line", 0) ** 2 + truth["sigma"] ** 2 / 3
    of_pairs = truth.get("sigma_gene_line", 0) ** 2 + of_guides / 2
    within = design.sum_of_squares.sum() - (design.total**2 / design.count).sum()
    assert within / (120 * 50 * 2) == pytest.approx(truth["sigma"] ** 2, rel=0.1)
    assert guides.var(axis=1, ddof=1).mean() == pytest.approx(of_guides, rel=0.1)
    assert guides.mean(axis=1).var() == pytest.approx(of_pairs, rel=0.1)


def test_a_model_or_an_engine_that_its_screens_do_not_allow_is_refused():
    with pytest.raises(NotIdentified, match="m4_nested cannot be fitted"):
        require_possible(settings_of("m4_nested", replicates=1, simulated_model="m4"))
    require_possible(settings_of("m4", replicates=1, simulated_model="m4_nested"))
    require_possible(settings_of("m4_nested"))
    with pytest.raises(NoIntegral, match="--engine gibbs or nuts"):
        require_possible(settings_of("m4_screen", engine="exact"))


@pytest.mark.parametrize("nested", [False, True])
def test_the_log_likelihood_is_a_sum_over_measurements(nested):
    design = design_from_rows(nested_rows(3, 4, 2, 2)[0].drop(index=[0, 5, 17]))
    random = np.random.default_rng(1)
    draws = {"alpha_g": random.normal(size=(4, 3)), "beta_g": random.normal(size=(4, 3))}
    draws |= {"gamma_c": random.normal(size=(4, 4)), "sigma": random.uniform(0.5, 2, 4)}
    delta = random.normal(size=(4, 6)) * nested
    if nested:
        draws["delta_k"] = delta
    codes = design.measurements
    fitted = draws["alpha_g"][:, codes.gene] + draws["gamma_c"][:, codes.cell_line]
    fitted += draws["beta_g"][:, codes.gene] * codes.rna.to_numpy() + delta[:, codes.guide]
    expected = stats.norm(fitted, draws["sigma"][:, None]).logpdf(codes.logfc).sum(axis=1)
    np.testing.assert_allclose(log_likelihood(design, draws), expected, rtol=1e-10)


def test_a_fit_without_a_posterior_is_kept_with_its_reason():
    def fails(design, parameters):
        raise NoIntegral("zero where its search begins")

    found = one_simulation(settings_of(), 3, fails)
    assert (found.index, found.pit, found.all_pits, found.engine) == (3, {}, {}, "")
    assert "zero where its search begins" in found.trouble


BY_DRAW = np.arange(20.0).reshape(2, 10)
SAMPLED = {
    "energy": (("chain", "draw"), BY_DRAW),
    "diverging": (("chain", "draw"), BY_DRAW < 5),
    "step_size": 0.5,
}


@pytest.mark.parametrize(
    ("statistics", "words"),
    [
        (INTEGRATED | {"interpolation_error": 0.5}, ()),  # asks for review
        (INTEGRATED | {"pareto_k": 0.9, "n_points": 100}, ("Pareto k ", "the 100 weighted")),
        (SAMPLED, ("R-hat ", "5 of 20 draws diverged")),
    ],
)
def test_only_a_failed_fit_is_trouble(statistics, words):
    def engine(design, parameters):
        chains = [draw_prior("m4", design, parameters.priors, 10, seed) for seed in (1, 2)]
        drift = xr.DataArray([0.0, 9.0], dims="chain") * ("energy" in statistics)
        groups = {"posterior": xr.concat(chains, "chain") + drift}
        groups["sample_stats"] = xr.Dataset(statistics)
        return xr.DataTree.from_dict(groups)

    trouble = one_simulation(settings_of(), 1, engine).trouble
    assert all(word in trouble for word in words)
    assert bool(trouble) == bool(words)
