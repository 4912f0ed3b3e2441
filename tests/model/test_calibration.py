"""Calibration: what is simulated, what a rank is, and that a wrong engine is found out."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from joblib import Parallel, delayed

from model.calibration import (
    log_likelihood,
    one_simulation,
    require_possible,
    simulate_screen,
)
from model.calibration_verdict import ecdf_table, judge, pit_table
from model.engines import run_engine
from model.identified import NotIdentified
from schemas.calibration import CalibrationSettings
from tests.model.wrong_engines import flipped, too_narrow

N = 200
"""Enough to see a sigma that is a tenth off; the flow takes a thousand."""


def settings_of(model="m4", **changed):
    return CalibrationSettings(model=model, engine="exact", simulations=N, **changed)


def report_of(settings, engine=run_engine):
    results = Parallel(n_jobs=1)(
        delayed(one_simulation)(settings, index, engine) for index in range(settings.simulations)
    )
    ecdf = ecdf_table(pit_table(results), settings)
    return judge(settings, results, ecdf)


@pytest.fixture(scope="module")
def sound():
    return report_of(settings_of())


def test_a_sound_engine_passes(sound):
    assert sound.verdict.status == "pass", sound.verdict.reasons
    assert sound.engines == {"exact": N} and sound.n_failed == 0
    assert {one.quantity for one in sound.quantities} >= {"beta_g", "sigma", "log_likelihood"}
    for one in sound.coverage:
        assert one.coverage == pytest.approx(one.level, abs=4 * one.mcse)


@pytest.mark.parametrize(("engine", "names"), [(too_narrow, "sigma"), (flipped, "beta_g")])
def test_a_wrong_engine_fails(engine, names):
    report = report_of(settings_of(), engine)
    assert report.verdict.status == "fail"
    assert any(reason.startswith(f"{names}:") for reason in report.verdict.reasons)
    assert "do not use it" in report.verdict.reasons[0]


def test_a_model_fitted_to_the_screens_of_another_asks_for_review():
    report = report_of(settings_of(simulated_model="m4_nested"))
    assert report.verdict.status == "review"
    assert report.verdict.reasons[0].startswith("beta_g: intervals of ")
    assert "fit m4_nested" in report.verdict.reasons[0]
    slopes = [one for one in report.coverage if one.variable == "beta_g"]
    assert all(one.errors_off < -4 for one in slopes)
    assert "log_likelihood" not in {one.quantity for one in report.quantities}


def test_equal_settings_give_equal_ranks():
    settings = settings_of()
    assert one_simulation(settings, 7).pit == one_simulation(settings, 7).pit
    assert one_simulation(settings, 7).pit != one_simulation(settings, 8).pit
    other = settings.model_copy(update={"seed": 104})
    assert one_simulation(settings, 7).pit != one_simulation(other, 7).pit


def test_the_screen_is_that_of_its_truth():
    settings = CalibrationSettings(model="m4_nested", genes=60, cell_lines=50, guides=4)
    screen = simulate_screen(settings, np.random.SeedSequence(5))
    design, truth = screen.design, screen.truth
    assert design.n_measurements == 60 * 50 * 4 * 2
    np.testing.assert_allclose(design.rna.std(axis=1, ddof=1), 1)
    gene = design.guide_gene
    rest = (
        design.total / design.count
        - truth["alpha_g"][gene, None]
        - truth["gamma_c"]
        - truth["beta_g"][gene, None] * design.rna[gene]
        - truth["delta_k"][:, None]
    )
    variance = (
        truth["sigma_gene_line"] ** 2 + truth["sigma_guide_line"] ** 2 + truth["sigma"] ** 2 / 2
    )
    assert rest.std() == pytest.approx(np.sqrt(variance), rel=0.05)
    within = design.total_sum_of_squares - (design.total**2 / design.count).sum()
    assert within / (60 * 50 * 4) == pytest.approx(truth["sigma"] ** 2, rel=0.05)


def test_the_log_likelihood_is_that_of_single_measurements():
    settings = CalibrationSettings(model="m4", genes=3, cell_lines=5, guides=1, replicates=1)
    screen = simulate_screen(settings, np.random.SeedSequence(2))
    design, truth = screen.design, screen.truth
    fitted = truth["alpha_g"][:, None] + truth["gamma_c"] + truth["beta_g"][:, None] * design.rna
    sd = truth["sigma"]
    expected = (-0.5 * ((design.total - fitted) / sd) ** 2 - np.log(sd * np.sqrt(2 * np.pi))).sum()
    found = log_likelihood(design, {name: value[None] for name, value in truth.items()})
    assert found == pytest.approx([expected], rel=1e-10)


def test_intervals_that_always_hold_are_no_zero_error():
    results = [one_simulation(settings_of(), index) for index in range(50)]
    always = [
        dataclasses.replace(one, all_pits={"sigma": np.array([0.5])}, pit={"sigma": 0.5})
        for one in results
    ]
    settings = settings_of()
    report = judge(settings, always, ecdf_table(pit_table(always), settings))
    assert all(one.mcse > 0 and one.coverage == 1 for one in report.coverage)


def test_simulations_without_a_posterior_are_told():
    settings = settings_of()
    results = [one_simulation(settings, index) for index in range(60)]
    results[3] = dataclasses.replace(results[3], pit={}, all_pits={}, engine="", trouble="no")
    report = judge(settings, results, ecdf_table(pit_table(results), settings))
    assert report.n_failed == 1 and report.n_simulations == 59
    assert report.verdict.status == "review"
    assert report.verdict.reasons[-1].startswith("1 simulations gave no posterior")


def test_screens_that_cannot_tell_a_model_are_refused():
    with pytest.raises(NotIdentified, match="replicates"):
        require_possible(CalibrationSettings(model="m4_nested", replicates=1))
