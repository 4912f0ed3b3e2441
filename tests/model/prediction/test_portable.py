"""Predictions from posterior draws: the closed form, simulated measurements, what is refused."""

import numpy as np
import pytest
import xarray as xr

from model.prediction.portable import ROWS_AT_ONCE, EffectDraws, predict_logfc, thin_draws

GENES = np.array(["MYB (4602)", "SOX10 (6663)"])
CELL_LINES = np.array(["ACH-000001", "ACH-000002", "ACH-000003"])
COORDS = {"gene": GENES.astype(object), "cell_line": CELL_LINES.astype(object)}
DIMS = {"alpha_g": ["gene"], "beta_g": ["gene"], "gamma_c": ["cell_line"]}
OF_LINES = {"s_c": ["cell_line"], "f_c": ["cell_line"]}
NAMES = (*DIMS, "mu_gamma", "sigma_gamma", "sigma")


def posterior_of(n_chains: int, n_draws: int) -> xr.Dataset:
    random, variables = np.random.default_rng(103), {}
    for name in NAMES:
        dims = DIMS.get(name, [])
        size = (n_chains, n_draws, *(len(COORDS[dim]) for dim in dims))
        values = random.gamma(20, 0.02, size) if "sigma" in name else random.normal(-0.5, 0.3, size)
        variables[name] = (("chain", "draw", *dims), values)
    return xr.Dataset(variables, COORDS)


def draws_of(n_draws: int) -> EffectDraws:
    return thin_draws(posterior_of(1, n_draws), np.array([4.0, 2.0]), np.array([0.5, 2.0]))


@pytest.mark.parametrize(
    ("cell_line", "probability"), [(CELL_LINES[1], {}), ("ACH-999999", {"probability": 0.5})]
)
def test_the_interval_is_that_of_simulated_measurements(cell_line, probability):
    draws, n = draws_of(500), 400_000
    mean, low, high = predict_logfc(draws, [GENES[0]], [cell_line], np.array([4.7]), **probability)
    random = np.random.default_rng(7)
    at = random.integers(500, size=n)
    gamma = (
        draws.gamma_c[at, 1]
        if cell_line in CELL_LINES
        else random.normal(draws.mu_gamma[at], draws.sigma_gamma[at])
    )
    centre = draws.alpha_g[at, 0] + gamma + draws.beta_g[at, 0] * (4.7 - 4.0) / 0.5
    logfc = random.normal(centre, draws.noise[at, 1])
    tolerance = 5 * logfc.std() / np.sqrt(n)
    assert mean == pytest.approx([logfc.mean()], abs=tolerance)
    tails = [0.25, 0.75] if probability else [0.055, 0.945]
    assert [*low, *high] == pytest.approx(np.quantile(logfc, tails), abs=3 * tolerance)


def test_rows_do_not_depend_on_the_block_they_are_in():
    draws, n, random = draws_of(20), ROWS_AT_ONCE + 3, np.random.default_rng(2)
    rows = (random.choice(GENES, n), random.choice([*CELL_LINES, "new"], n), random.normal(3, 1, n))
    whole = np.array(predict_logfc(draws, *rows))
    alone = predict_logfc(draws, *(values[-5:] for values in rows))
    np.testing.assert_allclose(whole[:, -5:], alone, atol=1e-5)
    assert [len(part) for part in predict_logfc(draws, [], [], np.array([]))] == [0, 0, 0]


@pytest.mark.parametrize(
    ("genes", "rna", "words"),
    [
        (["NO1 (1)", GENES[0]], [1.0, 1.0], "2, such as MYB .4602.*1 others: NO1 .1.; remove"),
        (GENES[[0] * 5], [1, 2, np.nan, 3, -np.inf], "none in 2 .first: row 2.*remove"),
    ],
)
def test_rows_that_cannot_be_predicted_are_named(genes, rna, words):
    with pytest.raises(ValueError, match=words):
        predict_logfc(draws_of(3), genes, [CELL_LINES[0]] * len(genes), np.array(rna))


def test_draws_are_thinned_evenly_and_stay_together():
    kept, posterior = [0, 3, 6, 8, 11], posterior_of(3, 4)
    draws = thin_draws(posterior, np.array([4, 2]), np.array([1, 3]), max_draws=5)
    noise = np.repeat(draws.noise[:, :1], 4, axis=1)  # three lines, and any other
    np.testing.assert_array_equal(draws.noise, noise)
    found = {name: getattr(draws, name) for name in NAMES[:-1]} | {"sigma": noise[:, 0]}
    for name, drawn in found.items():
        values = posterior[name].to_numpy().astype(np.float32)
        expected = values.reshape(-1, *values.shape[2:])[kept]
        np.testing.assert_array_equal(drawn, expected, err_msg=name)
        assert drawn.dtype == np.float32
    np.testing.assert_array_equal(draws.genes, GENES)
    np.testing.assert_array_equal(draws.cell_lines, CELL_LINES)
    np.testing.assert_array_equal([draws.rna_mean, draws.rna_sd], [[4.0, 2.0], [1.0, 3.0]])


def test_models_differ_in_the_mean_of_the_shifts_and_in_the_scatter_of_a_measurement():
    zero_mean = posterior_of(2, 5).drop_vars("mu_gamma")
    mu_gamma = thin_draws(zero_mean, np.zeros(2), np.ones(2)).mu_gamma
    assert (mu_gamma.tolist(), mu_gamma.dtype) == ([0] * 10, np.float32)
    sds = {"sigma": 2.0, "sigma_guide": 2.0, "sigma_gene_line": 4.0, "sigma_guide_line": 5.0}
    nested = zero_mean.assign({name: zero_mean["sigma"] * 0 + sd for name, sd in sds.items()})
    draws = thin_draws(nested, np.zeros(2), np.ones(2))
    assert (draws.effects_sd**2 + draws.noise**2).ravel().tolist() == pytest.approx([49] * 40)


def test_scale_and_noise_of_a_line_spread_and_copies_of_a_gene_are_in_the_prediction():
    """Two lines of a gene without effects: their means and intervals are s_c and f_c apart.

    Copy number moves the mean where it, and its mean over the fitted lines, are known.
    """
    of_lines = {name: (("chain", "draw", "cell_line"), np.ones((1, 4, 3))) for name in OF_LINES}
    screen = posterior_of(1, 4).assign(of_lines) * 0
    screen = screen.assign(
        alpha_g=screen["alpha_g"] + 1,
        sigma=screen["sigma"] + 0.5,
        sigma_gamma=screen["sigma_gamma"] + 1e-6,
        s_c=screen["s_c"] + [1.0, 2.0, 3.0],
        f_c=screen["f_c"] + [1.0, 1.0, 2.0],
        omega_g=screen["alpha_g"] + [0.5, 0.0],
        sigma_s=screen["sigma"],
        sigma_f=screen["sigma"],
    )
    draws = thin_draws(screen, np.zeros(2), np.ones(2))
    rows = GENES[[0, 0, 1]], CELL_LINES[[0, 1, 2]], np.zeros(3)
    mean, _, high = predict_logfc(draws, *rows)
    assert mean == pytest.approx([1, 2, 3], abs=1e-5)
    screen["kappa_g"] = screen["alpha_g"] - 0.75
    with_copies = thin_draws(screen, np.zeros(2), np.ones(2), copy_number_mean=[1.0, np.nan])
    # kappa is 0.25; without its mean the second gene is not moved.
    for copies, moved in (([1.0, 3.0, 9.0], [0, 1, 0]), ([3.0, np.nan, 1.0], [0.5, 0, 0])):
        shifted = predict_logfc(with_copies, *rows, copy_number=copies)[0]
        assert shifted - mean == pytest.approx(moved, abs=1e-5)
    sd = np.sqrt([0.5**2 + 0.5**2, (2 * 0.5) ** 2 + 0.5**2, 1])
    assert high - mean == pytest.approx(1.598193 * sd, rel=1e-4)
