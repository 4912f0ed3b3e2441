"""From ranks to a judgement: bands, coverage and verdict of tables of ranks made by hand."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from model import calibration_verdict as module
from model.calibration import SimulationResult
from model.calibration_verdict import ecdf_table, judge, pit_table
from schemas.calibration import CalibrationReport, CalibrationSettings, Coverage
from schemas.parameters import ModelName

EVEN = (np.arange(100) + 0.5) / 100
"""As uniform as a hundred ranks can be."""


@pytest.fixture(autouse=True)
def quick_bands(monkeypatch):
    monkeypatch.setattr(module, "BAND_SIMULATIONS", 1000)


def settings_of(model: ModelName = "m4", **changed) -> CalibrationSettings:
    return CalibrationSettings(model=model, simulations=100, **changed)


def results_of(engine: str = "exact", **pits: np.ndarray) -> list[SimulationResult]:
    """One simulation a row of PITs; of (n, elements) the first element is the test quantity."""
    columns = {name: np.asarray(values).reshape(len(values), -1) for name, values in pits.items()}
    return [
        SimulationResult(
            index,
            {name: float(values[index, 0]) for name, values in columns.items()},
            {name: values[index] for name, values in columns.items()},
            engine,
        )
        for index in range(len(next(iter(pits.values()))))
    ]


def ecdf_of(**differences: list[float]) -> pd.DataFrame:
    """A table with the bands +-0.1 at the first, +-0.2 at the other points."""
    return pd.concat(
        pd.DataFrame(
            {
                "quantity": name,
                "pit": [0.25, 0.5, 0.75, 1.0],
                "difference": difference,
                "low": [-0.1, -0.2, -0.2, -0.2],
                "high": [0.1, 0.2, 0.2, 0.2],
            }
        )
        for name, difference in differences.items()
    ).reset_index(drop=True)


def report_of(
    settings: CalibrationSettings, results: list[SimulationResult], **differences: list[float]
) -> CalibrationReport:
    return judge(settings, results, ecdf_of(**differences or {"sigma": [0.0] * 4}))


def test_ranks_of_simulations_that_gave_a_posterior_are_a_table():
    results = [
        SimulationResult(4, {"sigma": 0.25, "beta_g": 0.5}, {}),
        SimulationResult(5, {}, {}, trouble="no"),
        SimulationResult(9, {"sigma": 0.75, "beta_g": 1.0}, {}),
    ]
    expected = pd.DataFrame({"simulation": [4, 9], "sigma": [0.25, 0.75], "beta_g": [0.5, 1.0]})
    pd.testing.assert_frame_equal(pit_table(results), expected)


def test_the_ecdf_is_the_share_of_ranks_up_to_a_point():
    pits = {"sigma": np.random.default_rng(1).permutation(EVEN), "beta_g": EVEN**2}
    table = ecdf_table(pit_table(results_of(**pits)), settings_of())
    assert list(table.columns) == ["quantity", "pit", "difference", "low", "high"]
    assert list(table.index) == list(range(len(table)))
    assert list(dict.fromkeys(table["quantity"])) == ["sigma", "beta_g"]
    for name, part in table.groupby("quantity"):
        at = part["pit"].to_numpy()
        np.testing.assert_allclose(at, np.arange(101) / 100)
        share = [sum(pit <= point for pit in pits[str(name)]) / 100 for point in at]
        np.testing.assert_allclose(part["difference"], share - at, atol=1e-12)
        low, high = part["low"].to_numpy(), part["high"].to_numpy()
        assert (low[1:-1] < 0).all() and (high[1:-1] > 0).all()
        # Bands of few ranks are of binomial numbers, and at 1 every rank is counted.
        np.testing.assert_allclose((low + at) * 100, np.round((low + at) * 100), atol=1e-9)
        assert (low[0], high[0], low[-1], high[-1]) == (0, 0, 0, 0)
    halves = ecdf_table(
        pit_table(results_of(sigma=np.full(4, 0.5), beta_g=np.array([0.25, 1.0, 1.0, 1.1]))),
        settings_of(),
    )
    difference = halves.groupby("quantity")["difference"].apply(list)
    # A rank at a point counts, and at 1 all do, whatever rounding makes of them.
    assert difference["sigma"] == [0, -0.25, 0.5, 0.25, 0]
    assert difference["beta_g"] == [0, 0, -0.25, -0.5, 0]


@pytest.mark.parametrize(("n_quantities", "band", "each"), [(1, 0.9, 0.9), (4, 0.6, 0.9)])
def test_bands_hold_uniform_ranks_as_often_as_they_say(n_quantities, band, each):
    """Of n quantities the bands leave each a share 1/n of what they leave all together."""
    names = [f"quantity{i}" for i in range(n_quantities)]
    settings = settings_of(band_probability=band)
    table = ecdf_table(pit_table(results_of(**dict.fromkeys(names, EVEN))), settings)
    part = table[table["quantity"] == names[0]]
    low, high = ((part[name] + part["pit"]).to_numpy() for name in ("low", "high"))
    uniform = np.sort(np.random.default_rng(2).random((1000, 100)), axis=1)
    counts = np.array([np.searchsorted(one, part["pit"][:-1], side="right") for one in uniform])
    inside = (counts >= 100 * low[:-1] - 1e-9) & (counts <= 100 * high[:-1] + 1e-9)
    assert inside.all(axis=1).mean() == pytest.approx(each, abs=0.045)


def test_bands_are_the_same_every_time(monkeypatch):
    monkeypatch.setattr(module, "BAND_SIMULATIONS", 40)  # few, so that others would differ
    pits = pit_table(results_of(sigma=EVEN))
    bands = [
        ecdf_table(pits, settings_of(seed=seed))["high"].tolist() for seed in (1, 1, 2, 3, 4, 5)
    ]
    assert bands[0] == bands[1]
    assert any(other != bands[0] for other in bands[2:])


@pytest.mark.parametrize(
    ("pits", "inside", "sign", "at"),
    [
        (EVEN, True, None, None),
        (0.5 + (EVEN - 0.5) / 3, False, None, None),  # too wide a posterior
        (np.where(EVEN < 0.5, EVEN / 4, 1 - (1 - EVEN) / 4), False, None, None),  # too narrow
        (EVEN**3, False, 1, 0.2),  # the truth mostly below
        (1 - (1 - EVEN) ** 3, False, -1, 0.8),
    ],
)
def test_ranks_of_known_shape_are_judged(pits, inside, sign, at):
    settings = settings_of()
    results = results_of(sigma=pits)
    (found,) = judge(settings, results, ecdf_table(pit_table(results), settings)).quantities
    assert (found.quantity, found.inside) == ("sigma", inside)
    if sign is not None:
        assert np.sign(found.largest_difference) == sign
        assert found.at == pytest.approx(at, abs=0.08)


@pytest.mark.parametrize(
    ("difference", "inside", "largest", "at"),
    [
        ([0.05, -0.15, 0.1, 0.0], True, -0.15, 0.5),
        ([0.1, -0.2, 0.2, 0.0], True, -0.2, 0.5),  # just in the band
        ([0.1 + 1e-13, 0.0, 0.2, 0.0], True, 0.2, 0.75),  # but for rounding
        ([0.1 + 1e-11, 0.0, 0.2, 0.0], False, 0.1, 0.25),
        ([0.13, 0.0, 0.21, 0.0], False, 0.13, 0.25),  # not the largest, but furthest outside
        ([0.11, 0.0, 0.0, -0.25], False, -0.25, 1.0),
    ],
)
def test_the_worst_point_is_the_largest_or_that_furthest_outside(difference, inside, largest, at):
    report = report_of(
        settings_of(), results_of(sigma=EVEN), sigma=difference, beta_g=[0.0, 0.0, 0.01, 0.0]
    )
    sigma, beta = report.quantities
    assert (sigma.quantity, sigma.inside, sigma.at) == ("sigma", inside, at)
    assert sigma.largest_difference == pytest.approx(largest, abs=1e-10)
    assert (beta.quantity, beta.inside, beta.largest_difference) == ("beta_g", True, 0.01)


def test_coverage_is_the_share_of_elements_and_its_error_that_between_simulations():
    pits = np.array([[0.25, 0.5], [0.75, 0.9], [0.05, 0.96], [0.99, 0.5]])
    report = report_of(settings_of(), results_of(beta_g=pits, sigma=pits[:, 1]))
    assert [(one.variable, one.level) for one in report.coverage] == [
        (name, level) for name in ("beta_g", "sigma") for level in (0.5, 0.89, 0.95)
    ]
    # Inside at 0.5: from 0.25 to 0.75; at 0.89 from 0.055 to 0.945; at 0.95 from 0.025 to 0.975.
    shares = {
        ("beta_g", 0.5): [1, 0.5, 0, 0.5],
        ("beta_g", 0.89): [1, 1, 0, 0.5],
        ("beta_g", 0.95): [1, 1, 1, 0.5],
        ("sigma", 0.5): [1, 0, 0, 1],
        ("sigma", 0.89): [1, 1, 0, 1],
        ("sigma", 0.95): [1, 1, 1, 1],
    }
    for one in report.coverage:
        share = np.array(shares[one.variable, one.level], float)
        assert one.coverage == share.mean()
        variance = sum((share - share.mean()) ** 2) / 3
        # All inside: no less than binomial.
        n_elements = {"beta_g": 2, "sigma": 1}[one.variable]
        variance = max(variance, one.level * (1 - one.level) / n_elements)
        assert one.mcse == pytest.approx(np.sqrt(variance / 4), rel=1e-12)
    binomial = report.coverage[-1]
    assert binomial.mcse == pytest.approx(np.sqrt(0.95 * 0.05 / 4), rel=1e-12)


def test_simulations_are_counted_by_what_became_of_them():
    good = results_of(sigma=EVEN[:5]) + results_of("nuts", sigma=EVEN[5:8])
    good[2] = SimulationResult(2, good[2].pit, good[2].all_pits, "exact", "few points")
    failed = SimulationResult(50, {}, {}, trouble="no")
    settings = settings_of()
    report = report_of(settings, [failed, *good, failed])
    assert report.settings == settings
    assert report.engines == {"exact": 5, "nuts": 3}
    assert (report.n_simulations, report.n_failed, report.n_troubled) == (8, 2, 1)
    assert report.verdict.status == "review"
    assert len(report.verdict.reasons) == 1
    assert report.verdict.reasons[0].startswith("2 simulations gave no posterior")
    assert "take --engine auto" in report.verdict.reasons[0]


def test_a_sound_engine_passes_without_a_reason():
    report = report_of(settings_of(), results_of(beta_g=EVEN, sigma=EVEN))
    assert all(one.inside for one in report.quantities)
    assert report.verdict.status == "pass"
    assert report.verdict.reasons == ()


NARROW = np.where(np.arange(100) < 20, 0.5, 0.01)
"""A fifth in the middle, the rest beyond every interval."""


def test_intervals_that_miss_are_told_slopes_first():
    pits = {"alpha_g": NARROW, "beta_g": NARROW, "sigma": EVEN}
    outside = [0.3, 0.0, 0.0, 0.0]
    report = report_of(settings_of(), results_of(**pits), sigma=outside, mu_beta=[0.0] * 4)
    beta, alpha, sigma = report.verdict.reasons
    assert report.verdict.status == "fail"
    # The largest error is that at 0.5, of independent elements: the root of 0.5 * 0.5 / 100.
    told = "intervals of 0.5, 0.89, 0.95 hold the truth in 0.2, 0.2, 0.2 of cases"
    for name, reason in (("beta_g", beta), ("alpha_g", alpha)):
        assert reason.startswith(f"{name}: {told} (Monte Carlo error at most 5.0%); ")
        assert reason.endswith("the engine or the code of the model is wrong: do not use it")
    assert sigma.startswith("sigma: ranks are not uniform, the ECDF is +0.300 off at 0.25; ")
    assert sigma.endswith("the engine or the code of the model is wrong: do not use it")


def test_only_levels_that_miss_are_told_with_the_largest_of_their_errors():
    """Of 100 simulations with 10 elements; at 0.5 nearly as many are inside as should be."""
    pits = np.full((100, 10), 0.5)
    pits[:, 5:] = 0.04  # outside 0.89, inside 0.95
    report = report_of(settings_of(), results_of(beta_g=pits))
    (reason,) = report.verdict.reasons
    # The errors are those of independent elements: sqrt(0.89 * 0.11 / 1000) = 0.99 %.
    assert reason.startswith(
        "beta_g: intervals of 0.89, 0.95 hold the truth in 0.5, 1 of cases (Monte Carlo error at "
        "most 1.0%); "
    )


def test_a_model_fitted_to_the_screens_of_another_is_measured():
    settings = settings_of(simulated_model="m4_nested")
    results = results_of(beta_g=NARROW)
    report = report_of(settings, results, sigma=[0.0, 0.0, -0.25, 0.0])
    assert report.verdict.status == "review"
    slopes, sigma = report.verdict.reasons
    assert "-0.250 off at 0.75" in sigma
    for reason in (slopes, sigma):
        assert reason.endswith("where screens are as m4_nested has them, fit m4_nested")
    failed = SimulationResult(100, {}, {}, trouble="no")
    assert report_of(settings, [*results, failed]).verdict.status == "review"
    own = report_of(settings_of(), [*results, failed]).verdict
    assert own.status == "fail"
    assert own.reasons[-1].startswith("1 simulations gave no posterior")


@pytest.mark.parametrize(
    ("coverage", "mcse", "missed"),
    [
        (0.75, 0.0625, False),  # four errors off
        (0.25, 0.0625, False),
        (0.75, 0.0624, True),
        (0.25, 0.0624, True),
        (0.5, 0.0001, False),
    ],
)
def test_coverage_may_miss_by_so_many_errors(coverage, mcse, missed):
    one = Coverage(variable="sigma", level=0.5, coverage=coverage, mcse=mcse)
    assert module._missed(one, settings_of()) is missed
    assert module._missed(one, settings_of(max_coverage_errors=5000.0)) is False


def test_shares_are_listed_in_three_digits():
    assert module._listed([0.5, 0.12345, 1.0]) == "0.5, 0.123, 1"
