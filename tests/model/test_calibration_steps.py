"""The steps of one simulation: screen, ranks of known draws, likelihood, and what is wrong."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import xarray as xr
from scipy import stats

from model import calibration as module
from model.calibration import (
    DrawnScreen,
    log_likelihood,
    one_simulation,
    require_possible,
    simulate_screen,
)
from model.design import ScreenDesign
from model.engines import NoIntegral
from model.identified import NotIdentified
from schemas.calibration import CalibrationSettings
from schemas.parameters import FitParameters, ModelName, Priors, Sampling
from schemas.posterior import CONTRACTS
from tests.designs import design_from_rows
from tests.model.exact.pieces import random_rows
from tests.model.test_convergence import INTEGRATED, exact_tree_of, tree_of

NO_SPREAD = "HalfNormal(1e-9)"
MEANS = {"mu_alpha": "Normal(5, 1e-9)", "mu_beta": "Normal(2, 1e-9)"}
MEANS |= {"mu_gamma": "Normal(-3, 1e-9)"}
SDS = [name for name in CONTRACTS["m4_nested"].variables if name.startswith("sigma")]


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


# The screen


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


# The likelihood


@pytest.mark.parametrize("nested", [False, True])
def test_the_log_likelihood_is_a_sum_over_measurements(nested):
    rows = random_rows(2)
    design = design_from_rows(rows)
    random = np.random.default_rng(1)
    draws = {
        "alpha_g": random.standard_normal((4, 3)),
        "beta_g": random.standard_normal((4, 3)),
        "gamma_c": random.standard_normal((4, 4)),
        "sigma": random.uniform(0.5, 2, 4),
    }
    if nested:
        draws["delta_k"] = random.standard_normal((4, len(design.guides)))
    expected = []
    for s in range(4):
        total = 0.0
        for gene, line, guide, rna, logfc in rows.itertuples(index=False):
            g, c = design.genes.index(gene), design.cell_lines.index(line)
            fitted = draws["alpha_g"][s, g] + draws["gamma_c"][s, c] + draws["beta_g"][s, g] * rna
            if nested:
                fitted += draws["delta_k"][s, design.guides.index(guide)]
            total += stats.norm(fitted, draws["sigma"][s]).logpdf(logfc)
        expected.append(total)
    before = {name: values.copy() for name, values in draws.items()}
    np.testing.assert_allclose(log_likelihood(design, draws), expected, rtol=1e-10)
    for name, values in before.items():
        np.testing.assert_array_equal(draws[name], values)


# Ranks


def test_the_truth_lies_evenly_in_the_cell_of_its_rank():
    draws = np.array([[1.0, 1.0], [2.0, 2.0], [3.0, 9.0], [4.0, 9.0]])
    random = np.random.default_rng(1)
    pits = np.array([module._pit(np.array([2.5, 2.0]), draws, random) for _ in range(2000)])
    # Of four draws two are below 2.5, and one below 2; one that is equal is not below.
    for column, rank in zip(pits.T, (2, 1), strict=True):
        assert stats.kstest(column, stats.uniform(rank / 5, 1 / 5).cdf).pvalue > 0.01
    assert abs(np.corrcoef(pits.T)[0, 1]) < 0.1
    assert np.shape(module._pit(np.array(2.5), draws[:, 0], random)) == ()


Change = Callable[[DrawnScreen, dict[str, np.ndarray]], dict[str, np.ndarray]]


class Known:
    """An engine that has seen the truth: 20 draws of two chains, a known number below it."""

    def __init__(self, monkeypatch, below: dict[str, list[int]], model: ModelName = "m4"):
        self.below, self.model = below, model
        self.screens: list[DrawnScreen] = []
        self.seeds: list[np.random.SeedSequence] = []
        self.asked: list[tuple[ScreenDesign, FitParameters]] = []
        self.change: Change = lambda screen, draws: draws
        self.statistics: dict[str, float] = INTEGRATED
        self.attrs = {"engine": "exact"}

        def simulated(settings: CalibrationSettings, seed: np.random.SeedSequence) -> DrawnScreen:
            self.seeds.append(seed)
            self.screens.append(simulate_screen(settings, seed))
            return self.screens[-1]

        monkeypatch.setattr(module, "simulate_screen", simulated)

    def __call__(self, design: ScreenDesign, parameters: FitParameters) -> xr.DataTree:
        self.asked.append((design, parameters))
        screen = self.screens[-1]
        sizes = {"gene": 3, "cell_line": 5, "guide": 6}
        draws = {}
        for name, dims in CONTRACTS[self.model].variables.items():
            truth = screen.truth.get(name, np.zeros([sizes[dim] for dim in dims]))
            below = np.reshape(self.below.get(name, np.zeros(truth.size, int)), truth.shape)
            steps = np.arange(20).reshape((20,) + (1,) * truth.ndim)
            if name.startswith("sigma"):
                draws[name] = np.where(steps < below, truth / (2 + steps), truth * (2 + steps))
            else:
                draws[name] = truth + np.where(steps < below, -1.0 - steps, 1.0 + steps)
        draws = self.change(screen, draws)
        posterior = {
            name: (
                ("chain", "draw", *CONTRACTS[self.model].variables[name]),
                values.reshape(2, 10, *values.shape[1:]),
            )
            for name, values in draws.items()
        }
        tree = xr.DataTree.from_dict(
            {"posterior": xr.Dataset(posterior), "sample_stats": xr.Dataset(self.statistics)}
        )
        tree.attrs = self.attrs
        return tree


BELOW = {"sigma": [7], "mu_beta": [0], "mu_alpha": [20], "alpha_g": [3, 11, 19]}
BELOW |= {"gamma_c": [1, 5, 9, 13, 17]}


def test_every_element_is_ranked_among_its_own_draws(monkeypatch):
    engine = Known(monkeypatch, BELOW)
    settings = settings_of()
    found = one_simulation(settings, 7, engine)
    assert (found.index, found.engine, found.trouble) == (7, "exact", "")
    assert found.all_pits.keys() == CONTRACTS["m4"].variables.keys()
    for name, pits in found.all_pits.items():
        ranks = BELOW.get(name, [0] * len(pits))
        assert pits.shape == (len(ranks),)
        np.testing.assert_array_equal(np.floor(pits * 21), ranks)
        assert found.pit[name] == pits[0]
        assert isinstance(found.pit[name], float)
    assert found.pit.keys() == found.all_pits.keys() | {"log_likelihood"}
    # Where in its cell the truth lies is chance, and not that of another.
    within = [value * 21 % 1 for pits in found.all_pits.values() for value in pits]
    assert len(set(np.round(within, 9))) == len(within)


def test_an_engine_is_given_the_screen_and_the_settings_of_the_fit(monkeypatch):
    engine = Known(monkeypatch, BELOW)
    settings = settings_of()
    first, again, next_one = (one_simulation(settings, index, engine) for index in (7, 7, 8))
    other = one_simulation(settings.model_copy(update={"seed": 1}), 7, engine)
    for screen, (design, parameters) in zip(engine.screens, engine.asked, strict=True):
        assert design is screen.design
        expected = settings.fit_parameters(parameters.seed)
        assert parameters == expected
    assert first.pit == again.pit
    seeds = [parameters.seed for _, parameters in engine.asked]
    assert seeds[0] == seeds[1]
    assert len(set(seeds)) == 3
    totals = [design.total[0, 0] for design, _ in engine.asked]
    assert totals[0] == totals[1]
    assert len(set(totals)) == 3
    # Ties are broken by chance that is neither the screen's nor another simulation's.
    assert len({one.pit["sigma"] for one in (first, next_one, other)}) == 3
    random = np.random.default_rng(engine.seeds[0]).uniform(size=1000)
    assert not np.isclose(first.pit["mu_alpha"] * 21 % 1, random).any()


def test_few_of_many_draws_are_taken_at_random(monkeypatch):
    engine = Known(monkeypatch, {"sigma": [5]})
    settings = settings_of(ranked_among=15)
    pits = [one_simulation(settings, index, engine).pit["sigma"] for index in range(60)]
    ranks = np.floor(np.array(pits) * 16)
    # 15 of 20 draws, 5 of which are below: none of them twice.
    share = stats.hypergeom(20, 5, 15)
    assert 0 <= ranks.min() < ranks.max() == 5
    assert ranks.mean() == pytest.approx(share.mean(), abs=4 * share.std() / np.sqrt(60))
    assert ranks.std() < 1.3 * share.std()


def test_only_what_the_simulated_model_has_is_ranked(monkeypatch):
    engine = Known(monkeypatch, BELOW, model="m4_nested")
    found = one_simulation(settings_of("m4_nested", simulated_model="m4"), 1, engine)
    assert found.all_pits.keys() == CONTRACTS["m4"].variables.keys()
    assert found.pit.keys() == found.all_pits.keys()
    assert engine.asked[0][1].model == "m4_nested"


@pytest.mark.parametrize("model", ["m4", "m4_nested"])
def test_the_likelihood_of_the_truth_is_ranked_too(model: ModelName, monkeypatch):
    """Draws that fit worse are far off; those that fit better have the mean of each gene right."""

    def change(screen: DrawnScreen, draws: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        rest = screen.design.total / 3 - fitted_of(screen)
        of_gene = np.array([rest[2 * gene : 2 * gene + 2].mean() for gene in range(3)])
        for name, truth in screen.truth.items():
            draws[name] = np.repeat(truth[None], 20, axis=0)
        draws["alpha_g"][:6] += 1e3
        draws["alpha_g"][6:] += of_gene
        return draws

    engine = Known(monkeypatch, {}, model=model)
    engine.change = change
    for index in range(3):
        found = one_simulation(settings_of(model), index, engine)
        assert np.floor(found.pit["log_likelihood"] * 21) == 6
        assert "log_likelihood" not in found.all_pits
        assert isinstance(found.pit["log_likelihood"], float)


def test_a_simulation_without_a_posterior_tells_why():
    def fails(design: ScreenDesign, parameters: FitParameters) -> xr.DataTree:
        raise NoIntegral("zero where its search begins")

    found = one_simulation(settings_of(), 3, fails)
    assert (found.index, found.pit, found.all_pits, found.engine) == (3, {}, {}, "")
    assert "zero where its search begins" in found.trouble


def test_what_an_engine_says_against_its_result_is_kept(monkeypatch):
    engine = Known(monkeypatch, BELOW)
    engine.statistics = INTEGRATED | {"pareto_k": 0.75}
    engine.attrs = {}
    found = one_simulation(settings_of(), 1, engine)
    assert found.engine == ""
    assert found.trouble.startswith("Pareto k of the importance weights is 0.75")
    assert found.pit["sigma"] * 21 // 1 == 7


# Trouble


def test_only_what_fails_is_trouble():
    parameters = FitParameters(engine="exact")
    assert module._trouble(exact_tree_of(), parameters) == ""
    review = exact_tree_of(INTEGRATED | {"interpolation_error": 0.5})
    assert module._trouble(review, parameters) == ""
    both = exact_tree_of(INTEGRATED | {"pareto_k": 0.9, "n_points": 100})
    told = module._trouble(both, parameters)
    assert told.startswith("Pareto k of the importance weights is 0.90")
    assert "; the 100 weighted points" in told
    lenient = parameters.thresholds.model_copy(update={"pareto_k_max": 0.95, "ess_min": 50})
    assert module._trouble(both, parameters.model_copy(update={"thresholds": lenient})) == ""


def test_a_sampler_is_asked_for_its_convergence():
    parameters = FitParameters(model="m4", engine="nuts")
    assert module._trouble(tree_of(), parameters) == ""
    diverging = np.zeros((4, 1000), bool)
    diverging[0, 0] = True
    assert module._trouble(tree_of(diverging=diverging), parameters) == ""  # asks for review
    diverging[:, :50] = True
    apart = np.random.default_rng(2).normal(size=(4, 1000)) + np.arange(4)[:, None]
    told = module._trouble(tree_of(diverging=diverging, mu_alpha=apart), parameters)
    assert told.startswith("largest R-hat is ")
    assert "the chains disagree about mu_alpha" in told
    assert "; 200 of 4000 draws diverged" in told
    lenient = {"rhat_max": 9.0, "ess_min": 1.0, "max_divergence_share": 0.5}
    kept = parameters.thresholds.model_copy(update=lenient)
    again = parameters.model_copy(update={"thresholds": kept})
    assert module._trouble(tree_of(diverging=diverging, mu_alpha=apart), again) == ""
