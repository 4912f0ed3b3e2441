"""Screens drawn from the prior: sizes, distributions, and what belongs to what in them."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from model.calibration import DrawnScreen, require_possible, simulate_screen
from model.design import ScreenDesign
from model.identified import NotIdentified
from schemas.calibration import CalibrationSettings
from schemas.parameters import ModelName, Priors, Sampling
from schemas.posterior import CONTRACTS
from tests.model.sds import sds_of

NO_SPREAD = "HalfNormal(1e-9)"
MEANS = {"mu_alpha": "Normal(5, 1e-9)", "mu_beta": "Normal(2, 1e-9)"}
MEANS |= {"mu_gamma": "Normal(-3, 1e-9)"}
SDS = sds_of("m4_nested")


def settings_of(model: ModelName = "m4", *, spread: str = "", **changed) -> CalibrationSettings:
    """Three genes, five lines; where one SD is named in `spread`, it alone is not nothing."""
    priors = Priors()
    if spread:
        sds = {name: "HalfNormal(3)" if name == spread else NO_SPREAD for name in SDS}
        priors = Priors.model_validate(MEANS | sds)
    sizes = {"genes": 3, "cell_lines": 5, "guides": 2, "replicates": 3, "ranked_among": 200}
    return CalibrationSettings.model_validate(
        {
            "model": model,
            "engine": "exact",
            "priors": priors,
            "sampling": Sampling(draws=64, chains=2),
        }
        | sizes
        | changed
    )


def drawn(settings: CalibrationSettings, n: int = 100) -> list[DrawnScreen]:
    return [simulate_screen(settings, np.random.SeedSequence(seed)) for seed in range(n)]


def is_standard_normal(values: list[np.ndarray]) -> bool:
    return bool(stats.kstest(np.ravel(values), "norm").pvalue > 0.01)


@pytest.mark.parametrize("model", ["m4", "m4_zero_mean", "m4_nested"])
def test_a_screen_has_the_sizes_that_were_asked_for(model: ModelName):
    settings = settings_of(model)
    screen = simulate_screen(settings, np.random.SeedSequence(1))
    design, truth = screen.design, screen.truth
    assert design.genes == ("gene0000", "gene0001", "gene0002")
    assert design.cell_lines == ("line0000", "line0001", "line0002", "line0003", "line0004")
    assert design.guides == tuple(f"guide000{k}" for k in range(6))
    assert design.guide_gene.tolist() == [0, 0, 1, 1, 2, 2]
    np.testing.assert_allclose(design.rna.mean(axis=1), 0, atol=1e-12)
    np.testing.assert_allclose((design.rna**2).sum(axis=1) / 4, 1)
    assert design.rna.shape == (3, 5)
    assert len(np.unique(design.rna)) == 15
    np.testing.assert_array_equal(design.rna_mean, [0, 0, 0])
    np.testing.assert_array_equal(design.rna_sd, [1, 1, 1])
    assert design.rna_is_log2 is False
    assert design.count.dtype == np.uint16
    np.testing.assert_array_equal(design.count, np.full((6, 5), 3))
    assert design.total.shape == (6, 5)
    assert design.sum_of_squares.shape == (3, 5)
    sizes = {"gene": (3,), "cell_line": (5,), "guide": (6,)}
    variables = CONTRACTS[model].variables
    assert {name: value.shape for name, value in truth.items()} == {
        name: sizes[dims[0]] if dims else () for name, dims in variables.items()
    }
    again = simulate_screen(settings, np.random.SeedSequence(1)).design
    np.testing.assert_array_equal(design.total, again.total)
    other = simulate_screen(settings, np.random.SeedSequence(2)).design
    assert not np.isclose(design.total, other.total).any()


def test_hyperparameters_are_drawn_from_their_priors():
    texts = {"mu_alpha": "Normal(1, 2)", "mu_gamma": "Normal(2, 3)", "mu_beta": "Normal(3, 1)"}
    expected = {"mu_alpha": stats.norm(1, 2), "mu_gamma": stats.norm(2, 3)}
    expected["mu_beta"] = stats.norm(3, 1)
    for at, name in enumerate(SDS):
        texts[name] = f"HalfNormal({at + 1})"
        expected[name] = stats.halfnorm(scale=at + 1)
    screens = drawn(settings_of("m4_nested", priors=Priors.model_validate(texts)), 200)
    for name, distribution in expected.items():
        values = [screen.truth[name] for screen in screens]
        assert stats.kstest(values, distribution.cdf).pvalue > 0.005, name


@pytest.mark.parametrize("model", ["m4", "m4_zero_mean", "m4_nested"])
def test_effects_are_normal_around_their_means(model: ModelName):
    wide = {"mu_alpha": "Normal(9, 1)", "mu_beta": "Normal(-8, 1)", "mu_gamma": "Normal(7, 1)"}
    screens = drawn(settings_of(model, priors=Priors.model_validate(wide)))
    groups = {"alpha_g": ("mu_alpha", "sigma_alpha"), "beta_g": ("mu_beta", "sigma_beta")}
    groups["gamma_c"] = ("mu_gamma" if model != "m4_zero_mean" else "", "sigma_gamma")
    if model == "m4_nested":
        groups["delta_k"] = ("", "sigma_guide")
    standard = {}
    for name, (mean, sd) in groups.items():
        standard[name] = np.array(
            [(one.truth[name] - one.truth.get(mean, 0)) / one.truth[sd] for one in screens]
        )
        assert is_standard_normal([standard[name]]), name
    together = np.corrcoef(np.concatenate(list(standard.values()), axis=1).T)
    assert np.abs(together - np.eye(len(together))).max() < 0.45  # of a hundred, 4.5 errors


def fitted_of(screen: DrawnScreen) -> np.ndarray:
    """What the effects make of each guide in each line."""
    truth, design = screen.truth, screen.design
    fitted = np.zeros(design.total.shape)
    for k, gene in enumerate(design.guide_gene):
        for c in range(len(design.cell_lines)):
            fitted[k, c] = truth["alpha_g"][gene] + truth["gamma_c"][c]
            fitted[k, c] += truth["beta_g"][gene] * design.rna[gene, c]
            fitted[k, c] += truth["delta_k"][k] if "delta_k" in truth else 0
    return fitted


def squares_of_means(design: ScreenDesign) -> np.ndarray:
    """By gene and line, where all replicates of a guide are its mean."""
    by_guide = design.total**2 / 3
    return by_guide[0::2] + by_guide[1::2]


@pytest.mark.parametrize("model", ["m4", "m4_nested"])
@pytest.mark.parametrize("spread", ["sigma_alpha", "sigma_beta", "sigma_gamma", "sigma_guide"])
def test_without_noise_a_screen_is_what_its_effects_make_of_it(model: ModelName, spread):
    for screen in drawn(settings_of(model, spread=spread), 5):
        design, truth = screen.design, screen.truth
        assert truth["mu_alpha"] == pytest.approx(5, abs=1e-6)
        np.testing.assert_allclose(design.total / 3, fitted_of(screen), atol=1e-6)
        np.testing.assert_allclose(design.sum_of_squares, squares_of_means(design), atol=1e-5)


def test_what_a_gene_has_in_a_line_is_the_same_of_all_its_guides():
    rests = []
    for screen in drawn(settings_of("m4_nested", spread="sigma_gene_line")):
        rest = screen.design.total / 3 - fitted_of(screen)
        np.testing.assert_allclose(rest[0::2], rest[1::2], atol=1e-6)
        np.testing.assert_allclose(
            screen.design.sum_of_squares, squares_of_means(screen.design), rtol=1e-6, atol=1e-5
        )
        rests.append(rest[0::2] / screen.truth["sigma_gene_line"])
    assert is_standard_normal(rests)


def test_what_a_guide_has_in_a_line_is_the_same_of_all_its_replicates():
    rests = []
    for screen in drawn(settings_of("m4_nested", spread="sigma_guide_line")):
        rest = screen.design.total / 3 - fitted_of(screen)
        np.testing.assert_allclose(
            screen.design.sum_of_squares, squares_of_means(screen.design), rtol=1e-6, atol=1e-5
        )
        rests.append(rest / screen.truth["sigma_guide_line"])
    assert is_standard_normal(rests)
    guides = np.array(rests)
    assert abs(np.corrcoef(guides[:, 0::2].ravel(), guides[:, 1::2].ravel())[0, 1]) < 0.1


@pytest.mark.parametrize("model", ["m4", "m4_nested"])
def test_noise_is_every_replicate_s_own(model: ModelName):
    rests, within = [], []
    for screen in drawn(settings_of(model, spread="sigma")):
        design, sigma = screen.design, screen.truth["sigma"]
        rests.append((design.total / 3 - fitted_of(screen)) * np.sqrt(3) / sigma)
        within.append((design.sum_of_squares - squares_of_means(design)) / sigma**2)
    assert is_standard_normal(rests)
    # Of two guides with three replicates each four degrees of freedom are left.
    assert stats.kstest(np.ravel(within), stats.chi2(4).cdf).pvalue > 0.01


def test_screens_are_drawn_from_the_other_model_where_there_is_one():
    settings = settings_of("m4", simulated_model="m4_nested")
    screen = simulate_screen(settings, np.random.SeedSequence(1))
    assert set(screen.truth) == set(CONTRACTS["m4_nested"].variables)


def test_what_cannot_be_told_is_refused_of_the_model_that_is_fitted():
    with pytest.raises(NotIdentified, match="m4_nested cannot be fitted"):
        require_possible(settings_of("m4_nested", replicates=1, simulated_model="m4"))
    require_possible(settings_of("m4", replicates=1, simulated_model="m4_nested"))
    require_possible(settings_of("m4_nested"))
