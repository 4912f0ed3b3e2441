"""Predictions from posterior draws: against sampling, the closed form; refusals."""

from dataclasses import replace

import numpy as np
import pytest
import xarray as xr
from scipy import stats

from model.prediction import (
    ROWS_AT_ONCE,
    EffectDraws,
    mixture_quantile,
    predict_logfc,
    thin_draws,
)

GENES = np.array(["MYB (4602)", "SOX10 (6663)"])
CELL_LINES = np.array(["ACH-000001", "ACH-000002", "ACH-000003"])


def draws_of(n_draws: int, seed: int = 103) -> EffectDraws:
    rng = np.random.default_rng(seed)
    return EffectDraws(
        genes=GENES,
        cell_lines=CELL_LINES,
        alpha_g=rng.normal(-1, 0.5, (n_draws, 2)),
        beta_g=rng.normal(-0.5, 0.2, (n_draws, 2)),
        gamma_c=rng.normal(0.3, 0.2, (n_draws, 3)),
        mu_gamma=rng.normal(0.3, 0.1, n_draws),
        sigma_gamma=rng.gamma(20, 0.02, n_draws),
        sigma=rng.gamma(50, 0.01, n_draws),
        rna_mean=np.array([4.0, 2.0]),
        rna_sd=np.array([0.5, 2.0]),
    )


def test_one_draw_gives_the_normal_of_the_model() -> None:
    draws = draws_of(1)
    mean, low, high = predict_logfc(draws, [GENES[1]], [CELL_LINES[2]], np.array([5.0]))

    expected = draws.alpha_g[0, 1] + draws.gamma_c[0, 2] + draws.beta_g[0, 1] * (5.0 - 2.0) / 2.0
    half_width = stats.norm.ppf(0.945) * draws.sigma[0]
    assert mean[0] == pytest.approx(expected)
    assert low[0] == pytest.approx(expected - half_width, abs=1e-5)
    assert high[0] == pytest.approx(expected + half_width, abs=1e-5)


@pytest.mark.parametrize("cell_line", [CELL_LINES[1], "ACH-999999"])
def test_the_interval_is_that_of_simulated_measurements(cell_line: str) -> None:
    draws = draws_of(500)
    mean, low, high = predict_logfc(draws, [GENES[0]], [cell_line], np.array([4.7]))

    rng = np.random.default_rng(7)
    n = 400_000
    at = rng.integers(500, size=n)
    gamma = (
        draws.gamma_c[at, 1]
        if cell_line in CELL_LINES
        else rng.normal(draws.mu_gamma[at], draws.sigma_gamma[at])
    )
    centre = draws.alpha_g[at, 0] + gamma + draws.beta_g[at, 0] * (4.7 - 4.0) / 0.5
    logfc = rng.normal(centre, draws.sigma[at])
    tolerance = 5 * logfc.std() / np.sqrt(n)
    assert mean[0] == pytest.approx(logfc.mean(), abs=tolerance)
    assert low[0] == pytest.approx(np.quantile(logfc, 0.055), abs=3 * tolerance)
    assert high[0] == pytest.approx(np.quantile(logfc, 0.945), abs=3 * tolerance)


def test_another_probability_widens_the_normal_of_fitted_and_of_other_lines_alike() -> None:
    one = draws_of(1)
    mean, low, high = predict_logfc(
        one, GENES.tolist(), [CELL_LINES[1], "new"], np.array([4, 6]), 0.5
    )
    sd = np.array([one.sigma[0], np.hypot(one.sigma[0], one.sigma_gamma[0])])
    shift = np.array([one.gamma_c[0, 1], one.mu_gamma[0]])
    expected = one.alpha_g[0] + shift + one.beta_g[0] * [0.0, 2.0]
    assert mean == pytest.approx(expected)
    assert low == pytest.approx(expected - stats.norm.ppf(0.75) * sd, abs=1e-5)
    assert high == pytest.approx(expected + stats.norm.ppf(0.75) * sd, abs=1e-5)


def test_a_line_that_was_not_fitted_is_less_certain() -> None:
    _, low, high = predict_logfc(
        draws_of(200), [GENES[0]] * 2, [CELL_LINES[0], "ACH-999999"], np.array([4.0, 4.0])
    )
    assert high[1] - low[1] > 1.1 * (high[0] - low[0])


def test_the_quantile_leaves_the_probability_below_it() -> None:
    rng = np.random.default_rng(1)
    centre, sd = rng.normal(0, 5, (20, 30)), rng.gamma(2, 0.3, (20, 30)) + 0.01
    for probability in (0.001, 0.055, 0.5, 0.945):
        quantile = mixture_quantile(centre, sd, probability)
        below = np.mean(stats.norm.cdf(quantile[:, None], centre, sd), axis=1)
        assert below == pytest.approx(np.full(20, probability), abs=1e-4)


def test_rows_are_independent_of_the_blocks_they_fall_in() -> None:
    draws = draws_of(20)
    rng = np.random.default_rng(2)
    n = ROWS_AT_ONCE + 3
    gene, cell_line = rng.choice(GENES, n), rng.choice([*CELL_LINES, "new"], n)
    rna = rng.normal(3, 1, n)
    whole = np.array(predict_logfc(draws, gene.tolist(), cell_line.tolist(), rna))
    tail = np.array(predict_logfc(draws, gene[-5:].tolist(), cell_line[-5:].tolist(), rna[-5:]))
    assert whole[:, -5:] == pytest.approx(tail, abs=1e-5)


def test_no_rows_are_no_predictions() -> None:
    assert [len(part) for part in predict_logfc(draws_of(3), [], [], np.array([]))] == [0, 0, 0]


def test_an_unknown_gene_is_named() -> None:
    with pytest.raises(ValueError, match=r"such as MYB \(4602\)\), got 1 others: NO1 \(1\); leave"):
        predict_logfc(draws_of(3), ["NO1 (1)", GENES[0]], [CELL_LINES[0]] * 2, np.array([1.0, 1.0]))


def test_of_many_unknown_genes_the_first_ten_are_named_once_each() -> None:
    unknown = [f"X{number:02d}" for number in range(12, 0, -1)]
    with pytest.raises(ValueError) as refused:
        predict_logfc(draws_of(3), 2 * unknown, [CELL_LINES[0]] * 24, np.zeros(24))
    assert str(refused.value) == (
        "expected genes of the fit (2, such as MYB (4602)), got 12 others: "
        "X01, X02, X03, X04, X05, X06, X07, X08, X09, X10; leave these out, or fit a screen that "
        "has them"
    )


def test_rows_without_rna_are_counted_and_the_first_is_named() -> None:
    rna = np.array([1.0, 2.0, np.nan, 3.0, -np.inf])
    with pytest.raises(ValueError) as refused:
        predict_logfc(draws_of(3), [GENES[0]] * 5, [CELL_LINES[0]] * 5, rna)
    assert str(refused.value) == (
        "expected a finite number for the RNA of every row, got none in 2 (first: row 2); "
        "leave out the rows without RNA"
    )


@pytest.mark.parametrize("rna", [np.nan, np.inf])
def test_rna_that_is_no_number_is_refused(rna: float) -> None:
    with pytest.raises(ValueError, match=r"got none in 1 \(first: row 1\); leave out"):
        predict_logfc(draws_of(3), [GENES[0]] * 2, [CELL_LINES[0]] * 2, np.array([1.0, rna]))


def posterior_of(n_chains: int, n_draws: int) -> xr.Dataset:
    number = np.arange(n_chains * n_draws, dtype=float).reshape(n_chains, n_draws)
    one = dict.fromkeys(("mu_gamma", "sigma_gamma", "sigma"), (("chain", "draw"), number))
    return xr.Dataset(
        {
            **one,
            "alpha_g": (("chain", "draw", "gene"), number[..., None] + [0.0, 0.25]),
            "beta_g": (("chain", "draw", "gene"), number[..., None] + [0.0, 0.25]),
            "gamma_c": (("chain", "draw", "cell_line"), number[..., None] + [0.0, 0.25, 0.5]),
        },
        coords={"gene": GENES.astype(object), "cell_line": CELL_LINES.astype(object)},
    )


def test_draws_are_thinned_evenly_and_stay_together() -> None:
    draws = thin_draws(posterior_of(4, 1000), np.zeros(2), np.ones(2), max_draws=100)
    assert draws.sigma.shape == (100,)
    assert draws.sigma[[0, -1]].tolist() == [0, 3999]
    assert np.ptp(np.diff(draws.sigma)) <= 1
    assert (draws.alpha_g == draws.sigma[:, None] + [0.0, 0.25]).all()
    assert (draws.gamma_c == draws.sigma[:, None] + [0.0, 0.25, 0.5]).all()


def test_all_that_a_prediction_needs_is_of_the_same_draws() -> None:
    posterior = posterior_of(3, 4)
    groups = {"alpha_g": 100, "beta_g": 200, "gamma_c": 300, "mu_gamma": 400, "sigma_gamma": 500}
    moved = posterior.assign({name: posterior[name] + by for name, by in groups.items()})
    draws = thin_draws(moved, np.array([4, 2]), np.array([1, 3]), max_draws=5)
    kept = np.array([0.0, 3.0, 6.0, 8.0, 11.0])  # of 0 to 11
    labels = {"alpha_g": [0, 0.25], "beta_g": [0, 0.25], "gamma_c": [0, 0.25, 0.5]}
    for name, by in groups.items():
        expected = kept[:, None] + by + labels[name] if name in labels else kept + by
        np.testing.assert_array_equal(getattr(draws, name), expected, err_msg=name)
        assert getattr(draws, name).dtype == np.float32
    assert draws.sigma.tolist() == kept.tolist()
    for labels_of_fit, expected_labels in ((draws.genes, GENES), (draws.cell_lines, CELL_LINES)):
        np.testing.assert_array_equal(labels_of_fit, expected_labels)
        assert labels_of_fit.dtype.kind == "U"
    np.testing.assert_array_equal(draws.rna_mean, [4.0, 2.0])
    np.testing.assert_array_equal(draws.rna_sd, [1.0, 3.0])
    assert draws.rna_mean.dtype == draws.rna_sd.dtype == np.float64


def test_a_thousand_draws_are_kept_where_nothing_is_said() -> None:
    assert thin_draws(posterior_of(3, 400), np.zeros(2), np.ones(2)).sigma.size == 1000


def test_few_draws_are_all_kept() -> None:
    draws = thin_draws(posterior_of(2, 5), np.zeros(2), np.ones(2))
    assert draws.sigma.tolist() == list(range(10))


def test_a_model_without_mean_of_the_shifts_has_zero() -> None:
    draws = thin_draws(posterior_of(2, 5).drop_vars("mu_gamma"), np.zeros(2), np.ones(2))
    assert draws.mu_gamma.tolist() == [0] * 10
    assert draws.mu_gamma.dtype == np.float32


def test_a_measurement_of_a_nested_model_scatters_by_all_its_effects() -> None:
    posterior = posterior_of(2, 5)
    sds = {"sigma": 2.0, "sigma_guide": 2.0, "sigma_gene_line": 4.0, "sigma_guide_line": 5.0}
    nested = posterior.assign({name: posterior["sigma"] * 0 + sd for name, sd in sds.items()})
    assert thin_draws(nested, np.zeros(2), np.ones(2)).sigma.tolist() == [7] * 10


def test_a_draw_in_float32_predicts_the_same() -> None:
    exact = draws_of(100)
    rounded = replace(
        exact,
        **{
            name: getattr(exact, name).astype(np.float32)
            for name in ("alpha_g", "beta_g", "gamma_c", "mu_gamma", "sigma_gamma", "sigma")
        },
    )
    rows = ([GENES[0]], [CELL_LINES[0]], np.array([4.7]))
    assert np.array(predict_logfc(rounded, *rows)) == pytest.approx(
        np.array(predict_logfc(exact, *rows)), abs=1e-5
    )
