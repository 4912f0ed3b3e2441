"""Ranks become bands, coverage and a verdict."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from model.simulation import calibration_verdict as module
from model.simulation.calibration import SimulationResult
from model.simulation.calibration_verdict import ecdf_table, judge_calibration, pit_table
from schemas.calibration import CalibrationReport, CalibrationSettings

EVEN = (np.arange(100) + 0.5) / 100
"""As uniform as a hundred ranks can be."""
NARROW = np.where(np.arange(100) < 20, 0.5, 0.01)
"""A fifth in the middle, the rest beyond every interval."""


@pytest.fixture(autouse=True)
def few_band_simulations(monkeypatch):
    monkeypatch.setattr(module, "BAND_SIMULATIONS", 1000)


def settings_of(**changed) -> CalibrationSettings:
    return CalibrationSettings.model_validate({"model": "m4", "simulations": 100} | changed)


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


FAILED = SimulationResult(50, {}, {}, trouble="no")


def report_of(
    settings: CalibrationSettings, results: list[SimulationResult], **differences: list[float]
) -> CalibrationReport:
    """Judge with the bands +-0.1 at the first, +-0.2 at the three other points."""
    parts = [
        pd.DataFrame({"quantity": name, "pit": [0.25, 0.5, 0.75, 1.0], "difference": difference})
        for name, difference in (differences or {"sigma": [0.0] * 4}).items()
    ]
    ecdf = pd.concat(parts, ignore_index=True)
    high = np.where(ecdf["pit"] == 0.25, 0.1, 0.2)
    return judge_calibration(settings, results, ecdf.assign(low=-high, high=high))


def test_the_ecdf_is_the_share_of_ranks_up_to_a_point():
    halves = results_of(sigma=np.full(4, 0.5), beta_g=np.array([0.25, 1.0, 1.0, 1.1]))
    pits = pit_table([*halves[:2], FAILED, *halves[2:]])
    columns = {"simulation": range(4), "sigma": 0.5, "beta_g": [0.25, 1.0, 1.0, 1.1]}
    pd.testing.assert_frame_equal(pits, pd.DataFrame(columns))
    table = ecdf_table([*halves[:2], FAILED, *halves[2:]], settings_of())
    assert table.index.tolist() == list(range(10))
    assert table["quantity"].tolist() == ["sigma"] * 5 + ["beta_g"] * 5
    # A rank at a point counts, and at 1 all do, whatever rounding makes of them.
    assert table["pit"].tolist() == [0, 0.25, 0.5, 0.75, 1] * 2
    assert table["difference"].tolist() == [0, -0.25, 0.5, 0.25, 0, 0, 0, -0.25, -0.5, 0]


@pytest.mark.parametrize(("n_quantities", "band", "each"), [(1, 0.9, 0.9), (4, 0.6, 0.9)])
def test_bands_contain_uniform_ranks_with_their_probability(n_quantities, band, each):
    """Of n quantities the bands leave each a share 1/n of what they leave all together."""
    names = [f"quantity{i}" for i in range(n_quantities)]
    settings = settings_of(band_probability=band)
    table = ecdf_table(results_of(**dict.fromkeys(names, EVEN)), settings)
    part = table[table["quantity"] == names[0]]
    at = part["pit"].to_numpy()
    low, high = (100 * (part[name].to_numpy() + at) for name in ("low", "high"))
    np.testing.assert_allclose(low, np.round(low), atol=1e-9)  # bands are of binomial numbers
    assert part[["low", "high"]].iloc[[0, -1]].to_numpy().tolist() == [[0, 0], [0, 0]]
    uniform = np.sort(np.random.default_rng(2).random((1000, 100)), axis=1)
    counts = np.array([np.searchsorted(one, at[:-1], side="right") for one in uniform])
    inside = (counts >= low[:-1] - 1e-9) & (counts <= high[:-1] + 1e-9)
    assert inside.all(axis=1).mean() == pytest.approx(each, abs=0.045)
    found = judge_calibration(settings, results_of(quantity0=EVEN), table)
    assert (found.verdict.status, found.verdict.reasons) == ("pass", ())


def correlated(random, n: int, correlation: float, n_elements: int = 10) -> np.ndarray:
    """Standard normal values (n, elements), those of one simulation correlated."""
    common, own = random.standard_normal((n, 1)), random.standard_normal((n, n_elements))
    return np.sqrt(correlation) * common + np.sqrt(1 - correlation) * own


def heavy(random, n: int) -> np.ndarray:
    """Uniform PITs of simulations that miss with all elements or with none."""
    normal = random.standard_normal((n, 10))
    return stats.t(3).cdf(normal / np.sqrt(random.chisquare(3, (n, 1)) / 3))


@pytest.fixture
def accurate_bands(monkeypatch):
    """Accurate bands, computed for few numbers of values: narrower rather than wider."""
    band, bands = module._band, {}

    def one_of_few(n, *given):
        more = int(np.ceil(1.2 ** np.ceil(np.log(n / 100) / np.log(1.2)) * 100))
        if more not in bands:
            bands[more] = band(more, *given)
        return bands[more]

    monkeypatch.setattr(module, "BAND_SIMULATIONS", 10_000)
    monkeypatch.setattr(module, "_band", one_of_few)


@pytest.mark.parametrize(
    "draw",
    [
        lambda random, n: random.random((n, 10)),
        lambda random, n: np.repeat(random.random((n, 1)), 10, axis=1),
        heavy,
    ],
    ids=["independent", "equal", "heavy"],
)
def test_the_ranks_of_a_calibrated_engine_leave_the_band_no_more_often_than_stated(
    draw, accurate_bands
):
    """However its elements depend on each other; of independent values the rate is 5 %."""
    n, repeats = 100, 500
    random, settings = np.random.default_rng(8), settings_of(band_probability=0.95)
    outside = 0
    for _ in range(repeats):
        table = ecdf_table(results_of(beta_g=draw(random, n)), settings)
        outside += not module._quantity("beta_g", table).inside
    assert outside / repeats <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / repeats)


def test_slopes_a_tenth_too_narrow_are_found_in_all_elements_and_often_not_in_the_first(
    accurate_bands,
):
    settings = settings_of(band_probability=1 - 0.01 / 12)  # as one of twelve quantities
    found: dict[int, list[bool]] = {1: [], 10: []}
    for seed in range(10):
        normal = correlated(np.random.default_rng(seed), 1000, 0.05)
        pits = stats.norm.cdf(normal / 0.9)
        for n_elements, verdicts in found.items():
            results = results_of(beta_g=pits[:, :n_elements])
            verdict = judge_calibration(settings, results, ecdf_table(results, settings)).verdict
            verdicts.append(any("ranks are not uniform" in one for one in verdict.reasons))
    assert all(found[10])
    assert sum(found[1]) <= 5


def test_coverage_is_a_share_of_elements_with_the_error_between_simulations():
    pits = np.array([[0.25, 0.5], [0.75, 0.9], [0.05, 0.96], [0.99, 0.5]])
    report = report_of(settings_of(), results_of(beta_g=pits, sigma=pits[:, 1]))
    shares = {
        ("beta_g", 0.5): [1, 0.5, 0, 0.5],
        ("beta_g", 0.89): [1, 1, 0, 0.5],
        ("beta_g", 0.95): [1, 1, 1, 0.5],
        ("sigma", 0.5): [1, 0, 0, 1],
        ("sigma", 0.89): [1, 1, 0, 1],
        ("sigma", 0.95): [1, 1, 1, 1],
    }
    assert [(one.variable, one.level) for one in report.coverage] == list(shares)
    for one, share in zip(report.coverage, shares.values(), strict=True):
        n_elements = {"beta_g": 2, "sigma": 1}[one.variable]
        least = one.level * (1 - one.level) / n_elements  # where all are inside
        assert one.coverage == np.mean(share)
        assert one.mcse == pytest.approx(np.sqrt(max(np.var(share, ddof=1), least) / 4), rel=1e-12)


def test_simulations_are_counted_by_engine_failure_and_trouble():
    good = results_of(sigma=EVEN[:5]) + results_of("nuts", sigma=EVEN[5:8])
    good[2] = SimulationResult(2, good[2].pit, good[2].all_pits, "exact", "few points")
    report = report_of(settings_of(), [FAILED, *good, FAILED])
    assert report.settings == settings_of()
    assert report.engines == {"exact": 5, "nuts": 3}
    assert (report.n_simulations, report.n_failed, report.n_troubled) == (8, 2, 1)
    assert report.verdict.status == "review"
    (reason,) = report.verdict.reasons
    assert "2 simulations gave no posterior" in reason and "use --engine auto" in reason


@pytest.mark.parametrize(("n", "noted"), [(999, True), (1000, False)])
def test_a_verdict_from_few_simulations_says_that_it_shows_gross_errors_only(n, noted):
    pits = (np.arange(n) + 0.5) / n
    verdict = report_of(settings_of(), [*results_of(sigma=pits), FAILED]).verdict
    assert verdict.status == "review"  # for the failed one, which is not counted
    assert len(verdict.notes) == noted
    assert all(one.startswith(f"{n} simulations can show gross errors") for one in verdict.notes)
    sound = report_of(settings_of(), results_of(sigma=pits)).verdict
    assert (sound.status, sound.reasons, sound.notes) == ("pass", (), verdict.notes)


def test_a_wrong_engine_fails_with_slopes_first():
    pits = {"alpha_g": NARROW, "beta_g": NARROW, "sigma": EVEN}
    outside = [0.3, 0.0, 0.0, 0.0]
    results = [*results_of(**pits), FAILED]
    verdict = report_of(settings_of(), results, sigma=outside, mu_beta=[0.0] * 4).verdict
    beta, alpha, sigma, failed = verdict.reasons
    # The largest error is that at 0.5, of independent elements: the root of 0.5 * 0.5 / 100.
    intervals = "intervals of 0.5, 0.89, 0.95 contain the truth in 0.2, 0.2, 0.2 of cases"
    assert beta.startswith(f"beta_g: {intervals} (Monte Carlo error at most 5.0%)")
    assert alpha.startswith(f"alpha_g: {intervals}")
    assert sigma.startswith("sigma: ranks are not uniform, the ECDF is +0.300 off at 0.25")
    assert all(reason.endswith("do not use it") for reason in (beta, alpha, sigma))
    assert (verdict.status, "1 simulations gave no posterior" in failed) == ("fail", True)


def test_a_model_fitted_to_screens_of_another_asks_for_review():
    results = [*results_of(beta_g=NARROW), FAILED]
    settings = settings_of(simulated_model="m4_nested")
    verdict = report_of(settings, results, sigma=[0.0, 0.0, -0.25, 0.0]).verdict
    assert verdict.status == "review"
    slopes, sigma, _ = verdict.reasons
    assert "-0.250 off at 0.75" in sigma
    remedy = "; fit m4_nested where screens follow m4_nested"
    assert slopes.endswith(remedy) and sigma.endswith(remedy)


@pytest.mark.parametrize(
    ("n_inside", "limit", "status"),
    [(75, 5.0, "pass"), (25, 5.0, "pass"), (75, 4.99, "fail"), (25, 4.99, "fail")],
)
def test_coverage_may_miss_by_a_number_of_errors(n_inside, limit, status):
    """Of 100 independent elements the error at 0.5 is 0.05."""
    pits = np.where(np.arange(100) < n_inside, 0.5, 0.1)
    report = report_of(settings_of(max_coverage_errors=limit), results_of(sigma=pits))
    assert report.verdict.status == status
