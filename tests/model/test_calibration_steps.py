"""The steps of one simulation: ranks of known draws, the likelihood, and what is wrong."""

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
    simulate_screen,
)
from model.design import ScreenDesign
from model.engines import NoIntegral
from schemas.calibration import CalibrationSettings
from schemas.parameters import FitParameters, ModelName
from schemas.posterior import CONTRACTS
from tests.designs import design_from_rows
from tests.model.exact.pieces import random_rows
from tests.model.test_calibration_screens import fitted_of, settings_of
from tests.model.test_convergence import INTEGRATED, exact_tree_of, tree_of


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
