"""Where the mass is: the mode, the box around it, and what is told of its error."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from benchmarks.screens import TRUTHS, made
from model.design import ScreenDesign
from model.exact import search as module
from model.exact.density import InterpolatedDensity
from model.exact.proposal import Proposal
from model.exact.search import Located, locate
from model.exact.work import SMALLEST_PART, Work
from model.exact.workers import ThisProcess
from schemas.parameters import FitParameters
from tests.designs import design_from_rows, nested_rows
from tests.model.exact.pieces import MODELS

ROWS = nested_rows(6, 7, 3, 2)[0]
DESIGN = design_from_rows(ROWS)


def located(model: str, design: ScreenDesign = DESIGN) -> Located:
    parameters = FitParameters(model=model)
    told: list[int] = []
    work = Work(design, parameters, lambda done, total: told.append(done))
    found = locate(design, parameters, ThisProcess(), work)
    assert told and told == sorted(set(told))
    return found


@pytest.mark.parametrize("model", MODELS)
def test_the_proposal_has_the_mode_and_the_curvature_of_the_density(model):
    found = located(model)
    mode, covariance = found.proposal.location, found.proposal.covariance
    root = np.linalg.cholesky(covariance)
    step = 0.02

    def at(z: np.ndarray) -> np.ndarray:
        return found.screen(mode + z @ root.T).log_density

    unit = np.eye(len(mode))
    plus, minus, middle = at(step * unit), at(-step * unit), at(np.zeros((1, len(mode))))[0]
    # In SDs of the posterior: slopes of none, curvatures of one.
    np.testing.assert_allclose((plus - minus) / (2 * step), 0, atol=0.03)
    np.testing.assert_allclose((plus + minus - 2 * middle) / step**2, -1, atol=0.1)
    assert found.proposal.df == module.HEAVIEST_TAIL


def test_tails_are_thinner_the_more_genes_there_are():
    for n_genes, df in ((6, 7.0), (100, 10.0), (400, 40.0), (1000, 60.0)):
        assert module._most_df(replace(DESIGN, genes=tuple(map(str, range(n_genes))))) == df


def test_the_scale_of_the_search_is_the_sd_of_the_log_of_an_sd_of_n_effects():
    """Of n normal effects log(sd) has the SD 1 / sqrt(2 n)."""
    rows = ROWS.iloc[:-1]  # one sequence fewer in one unit
    design = design_from_rows(rows)
    found = located("m4_nested")
    scale = module._expected_scale(design, found.screen.marginal)
    n = {"sigma_alpha": 6, "sigma_beta": 6, "sigma_gamma": 7, "sigma_guide": 18}
    n |= {"sigma_gene_line": 42, "sigma_guide_line": 126, "sigma": 251}
    expected = [1 / np.sqrt(2 * n[name]) for name in found.screen.marginal.hyperparameters]
    np.testing.assert_allclose(scale, np.diag(expected))


def test_genes_of_the_part_are_taken_evenly(monkeypatch):
    monkeypatch.setattr("model.exact.work.LARGE_PASS", 1.0)
    monkeypatch.setattr("model.exact.work.SMALLEST_PART", 1)
    monkeypatch.setattr(module, "SMALLEST_PART", 3)
    part = module._part(DESIGN, FitParameters())
    assert part.genes == tuple(DESIGN.genes[at] for at in (0, 2, 5))
    monkeypatch.setattr("model.exact.work.LARGE_PASS", np.inf)
    assert module._part(DESIGN, FitParameters()) is DESIGN
    assert SMALLEST_PART == 200


@pytest.mark.parametrize(
    ("model", "away", "n_zooms"), [("m4", 1.5, 1), ("m4_nested", 1.5, 1), ("m4", 12, 3)]
)
def test_zooming_in_from_elsewhere_ends_beside_the_mode(model, away, n_zooms):
    """As the mode of a part of a large screen is left for that of the whole.

    Of a polynomial of degree 2 that reaches over four SDs no more is wanted: the points that are
    weighed reach over five.
    """
    design = made(150, 40, 3, TRUTHS["m4_nested"], seed=1)[0]
    found = located(model, design)
    screen, mode, covariance = found.screen, found.proposal.location, found.proposal.covariance
    sd, passes = np.sqrt(np.diag(covariance)), screen.n_passes
    scale = module._expected_scale(design, screen.marginal)
    zoomed, narrow = module._zoomed(screen, mode + away * sd, covariance, scale)
    assert np.abs((zoomed - mode) / sd).max() < 1
    assert np.abs(np.log(np.sqrt(np.diag(narrow)) / sd)).max() < 0.3
    n_nodes = {2: 6, 5: 21}[len(screen.marginal.to_ratios())]
    assert screen.n_passes - passes == n_zooms * n_nodes


@pytest.mark.parametrize("model", ["m4", "m4_nested"])
def test_a_part_of_the_genes_leads_to_the_mass_of_the_whole(model, monkeypatch):
    design = made(150, 40, 3, TRUTHS["m4_nested"], seed=1)[0]
    whole = located(model, design)
    monkeypatch.setattr("model.exact.work.LARGE_PASS", 1.0)
    monkeypatch.setattr("model.exact.work.SMALLEST_PART", 1)
    monkeypatch.setattr(module, "SMALLEST_PART", 75)
    found = located(model, design)
    assert found.screen.n_passes < whole.screen.n_passes
    assert isinstance(found.density, InterpolatedDensity)
    sd = np.sqrt(np.diag(whole.proposal.covariance))
    # Well inside the box, which reaches over five.
    assert np.abs((found.proposal.location - whole.proposal.location) / sd).max() < 2
    assert np.abs(np.log(np.sqrt(np.diag(found.proposal.covariance)) / sd)).max() < 0.3
    assert sum(len(block.genes) for block in found.blocks) == 150
    # Of a large screen nothing is known outside the box.
    away = found.proposal.location[None] + 20 * sd * np.eye(len(sd))[0]
    assert found.density(away).log_density[0] == -np.inf
    assert np.isfinite(whole.density(away).log_density[0])


@pytest.mark.parametrize(
    ("model", "nodes", "degrees"), [("m4", 36, [3, 5, 7]), ("m4_nested", 126, [3, 4])]
)
def test_degrees_are_raised_while_there_is_room(model, nodes, degrees, monkeypatch):
    found = located(model)
    tried, checked = [], []
    raise_degree, near_and_far = InterpolatedDensity.raise_degree, InterpolatedDensity.near_and_far

    def raising(box: InterpolatedDensity, degree: int) -> None:
        tried.append(degree)
        raise_degree(box, degree)

    def checking(box: InterpolatedDensity, theta: np.ndarray) -> np.ndarray:
        checked.append(theta)
        return near_and_far(box, theta)

    monkeypatch.setattr(InterpolatedDensity, "raise_degree", raising)
    monkeypatch.setattr(InterpolatedDensity, "near_and_far", checking)
    monkeypatch.setattr(module, "TOLERANCE", 0.0)
    for _ in range(2):
        module._interpolated(found.screen, found.proposal, 4 * nodes, large=True)
    assert tried == 2 * degrees
    # The same points are looked at every time: the same inputs give the same draws.
    np.testing.assert_array_equal(checked[0], checked[1])
    assert len(checked[0]) == 8 * module.N_CHECKS


def test_a_few_points_are_passed_over_one_by_one_where_no_degree_suffices(monkeypatch):
    monkeypatch.setattr(module, "FIRST_DEGREE", 1)
    monkeypatch.setattr(module, "MOST_DEGREE", 1)
    monkeypatch.setattr(module, "USABLE", 1e-9)
    found = located("m4")
    assert found.density is found.screen
    assert found.error_at(np.zeros((3, 4)), np.zeros((3, 4))) == 0
    # Of a large screen the box stays, and its error is told.
    kept = module._interpolated(found.screen, found.proposal, 1000, large=True)
    assert isinstance(kept, InterpolatedDensity)
    assert kept.degree == 1


def test_the_degree_is_the_first_that_is_good_enough(monkeypatch):
    found = located("m4")
    assert isinstance(found.density, InterpolatedDensity)
    degree = found.density.degree
    assert module.FIRST_DEGREE <= degree < module.MOST_DEGREE
    assert (degree - module.FIRST_DEGREE) % 2 == 0  # of two ratios, every other degree is tried
    fresh = found.proposal.points(64, np.random.SeedSequence(3))
    assert found.error_at(fresh, fresh) < 10 * module.TOLERANCE
    monkeypatch.setattr(module, "TOLERANCE", 1e-9)
    finer = module._interpolated(found.screen, found.proposal, 1000, large=False)
    assert isinstance(finer, InterpolatedDensity)
    assert finer.degree > degree
    # No more nodes than a quarter of the points that will be wanted.
    few = module._interpolated(found.screen, found.proposal, 4 * 10, large=True)
    assert isinstance(few, InterpolatedDensity)
    assert few.degree == 3  # ten nodes


def test_what_is_told_of_the_error():
    found = located("m4")
    box, mode = found.density, found.proposal.location
    assert isinstance(box, InterpolatedDensity)
    inside = mode[None]
    outside = mode[None].copy()
    outside[0, -1] += 10
    both = np.concatenate([inside, outside])
    small = found.error_at(both, both)
    assert small == abs(box(inside).log_density[0] - found.screen(inside).log_density[0])
    assert found.error_at(outside, both) == 0
    narrow = InterpolatedDensity(
        found.screen, mode, found.proposal.covariance, 5.0, zero_outside=True
    )
    narrow.raise_degree(3)
    large = Located(found.blocks, found.screen, narrow, Proposal(mode, np.eye(len(mode)), 7.0))
    assert large.error_at(inside, np.repeat(inside, 200, axis=0)) < 0.05
    # One in a hundred may lie outside, two in a hundred not.
    weighted = np.concatenate([np.repeat(inside, 99, axis=0), outside])
    assert np.isfinite(large.error_at(inside, weighted))
    assert large.error_at(inside, np.concatenate([weighted[1:], outside])) == np.inf
