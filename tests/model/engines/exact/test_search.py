"""Where the mass is: the mode, the interpolated box around it, and its reported error."""

import numpy as np
import pytest

from benchmarks.screens import TRUTHS, made
from model.diagnostics.convergence import exact_diagnostics
from model.diagnostics.verdict import exact_findings
from model.engines.exact import search as module
from model.engines.exact import workload as work
from model.engines.exact.density import InterpolatedDensity
from model.engines.exact.sampler import sample
from model.engines.exact.search import IntegrationTarget, locate
from model.engines.exact.start import start
from model.engines.exact.workload import ProgressEstimator
from model.runtime.executors import LocalExecutor
from model.screen.design import ScreenDesign
from schemas.model_spec import MODEL_SPECS
from schemas.parameters import FitParameters, ModelName, Priors, Sampling
from tests.designs import design_from_rows, nested_rows
from tests.model.engines.exact.pieces import MODELS

ROWS = nested_rows(6, 7, 3, 2)[0]
DESIGN = design_from_rows(ROWS)
MOST_KEPT = "model.engines.exact.density.MOST_KEPT"


def located(model: ModelName, design: ScreenDesign = DESIGN) -> IntegrationTarget:
    parameters = FitParameters(model=model, sampling=Sampling(draws=2000))
    counted = ProgressEstimator(design, parameters, lambda done, total: None)
    return locate(design, parameters, LocalExecutor(), counted)


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
    # Moments are a start within four SDs of it: a search from far away may find none.
    away = start(MODEL_SPECS[model], DESIGN, Priors())[2] - mode
    assert np.abs(np.linalg.solve(root, away)).max() < 4


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
    monkeypatch.setattr("model.engines.exact.density.SUMS_AT_ONCE", 1000)  # nodes in pieces
    found = located("m4")
    box = found.density
    assert isinstance(box, InterpolatedDensity)
    assert module.FIRST_DEGREE <= box.degree < module.MOST_DEGREE and box.degree % 2 == 1
    fresh = found.proposal.points(64, np.random.SeedSequence(3))
    assert found.error_at(fresh, fresh) < 10 * module.TOLERANCE
    # Where no degree is usable, or its nodes are too many, a screen is passed over at every point.
    for constant, value in ((f"{module.__name__}.USABLE", 1e-9), (MOST_KEPT, 100)):
        with monkeypatch.context() as patch:
            patch.setattr(constant, value)
            none = located("m4")
        assert none.density is none.screen
    assert none.error_at(np.zeros((3, 4)), np.zeros((3, 4))) == 0
