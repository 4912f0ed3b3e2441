"""Predictions from posterior draws: the closed form, simulated measurements, what is refused."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import xarray as xr

from model.prediction.portable import ROWS_AT_ONCE, EffectDraws, predict_logfc, thin_draws
from schemas.model_spec import model_spec
from schemas.parameters import ModelName
from tests.designs import random_draws

GENES = np.array(["MYB (4602)", "SOX10 (6663)"])
CELL_LINES = np.array(["ACH-000001", "ACH-000002", "ACH-000003"])
LABELS: dict[str, Any] = {"gene": GENES, "cell_line": CELL_LINES, "guide": "AB"}
LABELS["component"] = "0123456789abc"
RNA = np.array([4.0, 2.0]), np.array([0.5, 2.0])


def posterior_of(
    n_chains: int, n_draws: int, model: ModelName = "m4", covariates: tuple[str, ...] = ()
) -> xr.Dataset:
    return random_draws(model_spec(model, covariates), LABELS, n_chains, n_draws)


def thinned(posterior: xr.Dataset, max_draws: int = 1000, **scaling) -> EffectDraws:
    scaling = {"rna": (np.zeros(2), np.ones(2))} | scaling
    design: Any = SimpleNamespace(covariate_scaling=scaling.get)
    return thin_draws(posterior, design, max_draws)


def draws_of(n_draws: int) -> EffectDraws:
    return thinned(posterior_of(1, n_draws), rna=RNA)


@pytest.mark.parametrize(
    ("cell_line", "probability"), [(CELL_LINES[1], {}), ("ACH-999999", {"probability": 0.5})]
)
def test_the_interval_is_that_of_simulated_measurements(cell_line, probability):
    draws, n = draws_of(500), 400_000
    mean, low, high = predict_logfc(draws, [GENES[0]], [cell_line], {"rna": [4.7]}, **probability)
    own = draws.parameters
    random = np.random.default_rng(7)
    at = random.integers(500, size=n)
    gamma = (
        own["gamma_c"][at, 1]
        if cell_line in CELL_LINES
        else random.normal(own["mu_gamma"][at], own["sigma_gamma"][at])
    )
    centre = own["alpha_g"][at, 0] + gamma + own["beta_g"][at, 0] * (4.7 - 4.0) / 0.5
    logfc = random.normal(centre, own["sigma"][at])
    tolerance = 5 * logfc.std() / np.sqrt(n)
    assert mean == pytest.approx([logfc.mean()], abs=tolerance)
    tails = [0.25, 0.75] if probability else [0.055, 0.945]
    assert [*low, *high] == pytest.approx(np.quantile(logfc, tails), abs=3 * tolerance)


def test_rows_do_not_depend_on_the_block_they_are_in():
    draws, n, random = draws_of(20), ROWS_AT_ONCE + 3, np.random.default_rng(2)
    genes, lines = random.choice(GENES, n), random.choice([*CELL_LINES, "new"], n)
    rna = random.normal(3, 1, n)
    whole = np.array(predict_logfc(draws, genes, lines, {"rna": rna}))
    alone = predict_logfc(draws, genes[-5:], lines[-5:], {"rna": rna[-5:]})
    np.testing.assert_allclose(whole[:, -5:], alone, atol=1e-5)
    assert [len(part) for part in predict_logfc(draws, [], [], {"rna": []})] == [0, 0, 0]


@pytest.mark.parametrize(
    ("genes", "rna", "words"),
    [
        (["NO1 (1)", GENES[0]], [1.0, 1.0], "2, such as MYB .4602.*1 others: NO1 .1.; remove"),
        (GENES[[0] * 5], [1, 2, np.nan, 3, -np.inf], "none in 2 .first: row 2.*remove"),
    ],
)
def test_rows_that_cannot_be_predicted_are_named(genes, rna, words):
    with pytest.raises(ValueError, match=words):
        predict_logfc(draws_of(3), genes, [CELL_LINES[0]] * len(genes), {"rna": rna})


def test_draws_are_thinned_evenly_stay_together_and_survive_storage():
    kept, posterior = [0, 3, 6, 8, 11], posterior_of(3, 4, "m4_zero_mean")
    draws = EffectDraws.from_arrays(thinned(posterior, max_draws=5, rna=RNA).arrays())
    assert set(draws.parameters) == set(posterior.data_vars)
    for name, drawn in draws.parameters.items():
        values = posterior[name].to_numpy().astype(np.float32)
        expected = values.reshape(-1, *values.shape[2:])[kept]
        if name == "gamma_c":  # and any other line, whose mean is 0
            expected = np.column_stack([expected, np.zeros(5)])
        np.testing.assert_array_equal(drawn, expected, err_msg=name)
        assert drawn.dtype == np.float32
    np.testing.assert_array_equal(draws.genes, GENES)
    np.testing.assert_array_equal(draws.cell_lines, CELL_LINES)
    np.testing.assert_array_equal([draws.covariate_means["rna"], draws.covariate_units["rna"]], RNA)


def test_a_measurement_of_the_nested_model_scatters_with_guides_and_pairs():
    sds = {"sigma": 2.0, "sigma_guide": 2.0, "sigma_gene_line": 4.0, "sigma_guide_line": 5.0}
    nested = posterior_of(1, 3, "m4_nested") * 0
    nested = nested.assign({name: nested["sigma"] + sd for name, sd in sds.items()})
    rows = GENES[:1], CELL_LINES[:1], {"rna": [1.0]}
    assert predict_logfc(thinned(nested), *rows)[2] == pytest.approx([1.598193 * 7], rel=1e-4)


def test_scale_and_noise_of_a_line_spread_and_copies_of_a_gene_are_in_the_prediction():
    """Two lines of a gene without effects: their means and intervals are s_c and f_c apart.

    Copy number moves the mean where it, and its mean over the fitted lines, are known.
    """
    screen = posterior_of(1, 4, "m4_screen", ("copy_number",)) * 0
    screen = screen.assign(
        alpha_g=screen["alpha_g"] + 1,
        sigma=screen["sigma"] + 0.5,
        sigma_gamma=screen["sigma_gamma"] + 1e-6,
        s_c=screen["s_c"] + [1.0, 2.0, 3.0],
        f_c=screen["f_c"] + [1.0, 1.0, 2.0],
        omega_g=screen["omega_g"] + [0.5, 0.0],
        kappa_g=screen["kappa_g"] + 0.25,
    )
    known = np.array([1.0, np.nan]), np.ones(2)  # the second gene is in no line
    rows, rna = (GENES[[0, 0, 1]], CELL_LINES[[0, 1, 2]]), np.zeros(3)
    draws = thinned(screen, copy_number=known)
    mean, _, high = predict_logfc(draws, *rows, {"rna": rna})
    assert mean == pytest.approx([1, 2, 3], abs=1e-5)
    for copies, moved in (([1.0, 3.0, 9.0], [0, 1, 0]), ([3.0, np.nan, 1.0], [0.5, 0, 0])):
        shifted = predict_logfc(draws, *rows, {"rna": rna, "copy_number": copies})[0]
        assert shifted - mean == pytest.approx(moved, abs=1e-5)
    without = screen.drop_vars(["kappa_g", "mu_kappa", "sigma_kappa"])
    assert predict_logfc(thinned(without), *rows, {"rna": rna})[0] == pytest.approx(mean)
    sd = np.sqrt([0.5**2 + 0.5**2, (2 * 0.5) ** 2 + 0.5**2, 1])
    assert high - mean == pytest.approx(1.598193 * sd, rel=1e-4)
