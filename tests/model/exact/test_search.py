"""Where the mass is: the mode, the interpolated box around it, and its reported error."""

from dataclasses import replace

import numpy as np
import pytest

from benchmarks.screens import TRUTHS, made
from model.convergence import exact_diagnostics
from model.design import ScreenDesign
from model.exact import search as module
from model.exact import work
from model.exact.density import InterpolatedDensity
from model.exact.engine import sample
from model.exact.search import Located, locate
from model.exact.work import Work
from model.exact.workers import ThisProcess
from model.verdict import exact_findings
from schemas.parameters import FitParameters, ModelName, Sampling
from tests.designs import design_from_rows, nested_rows
from tests.model.exact.pieces import MODELS

ROWS = nested_rows(6, 7, 3, 2)[0]
DESIGN = design_from_rows(ROWS)


def located(model: ModelName, design: ScreenDesign = DESIGN) -> Located:
    parameters = FitParameters(model=model)
    counted = Work(design, parameters, lambda done, total: None)
    return locate(design, parameters, ThisProcess(), counted)


@pytest.fixture(scope="module")
def wide() -> ScreenDesign:
    """A screen of 300 genes; in tests with `large` it is searched in part first."""
    return made(300, 30, 2, TRUTHS["m4_nested"], seed=1)[0]


@pytest.fixture
def large(monkeypatch) -> None:
    monkeypatch.setattr(work, "LARGE_PASS", 1.0)
    monkeypatch.setattr(work, "SMALLEST_PART", 1)
    monkeypatch.setattr(module, "SMALLEST_PART", 150)


@pytest.mark.parametrize("model", MODELS)
def test_the_proposal_has_the_mode_and_the_curvature_of_the_density(model):
    found = located(model)
    mode, root = found.proposal.location, np.linalg.cholesky(found.proposal.covariance)
    step, unit = 0.02, np.eye(len(mode))
    plus, minus, middle = (
        found.screen(mode + z @ root.T).log_density for z in (step * unit, -step * unit, 0 * unit)
    )
    # In SDs of the posterior: slopes of 0, curvatures of -1.
    np.testing.assert_allclose((plus - minus) / (2 * step), 0, atol=0.03)
    np.testing.assert_allclose((plus + minus - 2 * middle) / step**2, -1, atol=0.1)
    assert found.proposal.df == 7


def test_the_tails_scale_and_part_depend_on_the_size_of_the_screen(monkeypatch):
    for n_genes, df in ((6, 7.0), (100, 10.0), (400, 40.0), (1000, 60.0)):
        assert module._most_df(replace(DESIGN, genes=tuple(map(str, range(n_genes))))) == df
    # Of n normal effects log(sd) has the SD 1 / sqrt(2 n).
    design = design_from_rows(ROWS.iloc[:-1])  # one sequence fewer in one unit
    n = {"alpha": 6, "beta": 6, "gamma": 7, "guide": 18, "gene_line": 42, "guide_line": 126}
    n = {f"sigma_{name}": number for name, number in n.items()} | {"sigma": 251}
    marginal = located("m4_nested").screen.marginal
    expected = np.diag([1 / np.sqrt(2 * n[name]) for name in marginal.hyperparameters])
    np.testing.assert_allclose(module._expected_scale(design, marginal), expected)
    assert module._part(DESIGN, FitParameters()) is DESIGN
    monkeypatch.setattr(work, "LARGE_PASS", 1.0)
    monkeypatch.setattr(work, "SMALLEST_PART", 1)
    monkeypatch.setattr(module, "SMALLEST_PART", 3)
    part = module._part(DESIGN, FitParameters())
    assert part.genes == tuple(DESIGN.genes[at] for at in (0, 2, 5))


def test_a_large_screen_searched_in_part_gives_what_the_whole_gives(wide, request):
    parameters = FitParameters(model="m4_nested", sampling=Sampling(draws=500))
    whole = sample(wide, parameters, seed=1)
    request.getfixturevalue("large")
    in_part = sample(wide, parameters, seed=1)
    one, other = (tree["sample_stats"].dataset for tree in (in_part, whole))
    assert one["n_passes"] < other["n_passes"]
    assert one["importance_efficiency"] > 0.75
    assert float(one["log_evidence"]) == pytest.approx(float(other["log_evidence"]), abs=0.02)
    for name in ("sigma_alpha", "sigma_gamma", "sigma_beta", "sigma", "mu_beta"):
        first, second = (tree["posterior"][name] for tree in (in_part, whole))
        assert abs(first.mean() - second.mean()) / second.std() < 0.15, name
        assert abs(first.std() / second.std() - 1) < 0.1, name


@pytest.mark.parametrize(
    ("constants", "error"),
    [({"FIRST_DEGREE": 1, "MOST_DEGREE": 1}, 0.02), ({"HALF_WIDTH": 1.5}, np.inf)],
)
def test_the_verdict_knows_of_a_box_of_a_large_screen_that_fails(
    constants, error, wide, large, monkeypatch
):
    """The density beside it is zero, and no screen of this size is passed over point by point."""
    for name, value in constants.items():
        monkeypatch.setattr(module, name, value)
    parameters = FitParameters(model="m4_nested", sampling=Sampling(draws=200))
    tree = sample(wide, parameters, seed=1)
    measured = exact_diagnostics(tree)
    assert measured.interpolation_error >= error
    assert measured.interpolation_error > parameters.thresholds.interpolation_error_max
    assert tree["sample_stats"]["n_passes"] < 300
    assert "review" in [status for status, _ in exact_findings(measured, parameters.thresholds)]


def test_the_degree_is_the_first_that_is_accurate_enough(monkeypatch):
    found = located("m4")
    box = found.density
    assert isinstance(box, InterpolatedDensity)
    assert module.FIRST_DEGREE <= box.degree < module.MOST_DEGREE and box.degree % 2 == 1
    fresh = found.proposal.points(64, np.random.SeedSequence(3))
    assert found.error_at(fresh, fresh) < 10 * module.TOLERANCE
    monkeypatch.setattr(module, "TOLERANCE", 0.0)
    for wanted, degree in ((4 * 36, 7), (4 * 36 - 1, 5)):  # of degree 7 are 36 nodes
        box = module._interpolated(found.screen, found.proposal, wanted, large=True)
        assert isinstance(box, InterpolatedDensity) and box.degree == degree
    # Where no degree is usable, a small screen is passed over at every point.
    monkeypatch.setattr(module, "USABLE", 1e-9)
    none = located("m4")
    assert none.density is none.screen
    assert none.error_at(np.zeros((3, 4)), np.zeros((3, 4))) == 0


def test_the_error_is_the_largest_difference_inside_the_box():
    found = located("m4")
    mode, covariance = found.proposal.location, found.proposal.covariance
    inside, outside = mode[None], mode[None] + 10 * np.eye(len(mode))[-1]
    both = np.concatenate([inside, outside])
    difference = found.density(inside).log_density[0] - found.screen(inside).log_density[0]
    assert found.error_at(both, both) == abs(difference)
    assert found.error_at(outside, both) == 0
    narrow = InterpolatedDensity(found.screen, mode, covariance, 5.0, zero_outside=True)
    narrow.raise_degree(3)
    large = replace(found, density=narrow)
    # One weighted point in a hundred may lie outside, two may not.
    weighted = np.concatenate([np.repeat(inside, 98, axis=0), both])
    assert large.error_at(inside, weighted) < 0.05
    assert large.error_at(inside, np.concatenate([weighted[1:], outside])) == np.inf
    # Points at which neither has a density do not differ.
    a, b = np.array([-1.0, -np.inf, -3.0]), np.array([-1.5, -np.inf, -3.0])
    assert module.largest_difference(a, b) == 0.5
    assert module.largest_difference(a, np.array([-1.0, -2.0, -3.0])) == np.inf
