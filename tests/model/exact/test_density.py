"""The density at many points, from the screen and from nodes, against one point at a time."""

from __future__ import annotations

import numpy as np
import pytest

from model.exact import density as module
from model.exact.collapse import n_sums
from model.exact.density import InterpolatedDensity, ScreenDensity
from model.exact.interpolation import n_nodes
from model.exact.work import Work
from model.exact.workers import ThisProcess
from schemas.parameters import ModelName
from tests.model.exact.pieces import MODELS, Pieces, random_rows

ROWS = random_rows(4, n_genes=4)
THETA = np.array([-0.3, -0.5, 0.1, -0.2, -0.4, 0.0, -0.6])


class Counted(Work):
    """Counts, and times nothing."""

    def __init__(self) -> None:
        self.n_passes, self.n_points = 0, 0

    def passes(self, n: int) -> None:
        self.n_passes += n

    def points(self, n: int) -> None:
        self.n_points += n


def screen_of(pieces: Pieces, work: Counted | None = None) -> ScreenDensity:
    return ScreenDensity(pieces.marginal, ThisProcess().hold(pieces.blocks), work)


def thetas(pieces: Pieces, n: int, sd: float = 0.3) -> np.ndarray:
    return pieces.theta + sd * np.random.default_rng(8).standard_normal((n, len(pieces.theta)))


def noise_of(pieces: Pieces, n: int) -> np.ndarray:
    return np.random.default_rng(2).standard_normal((n, pieces.marginal.size - 1))


def one_by_one(model: ModelName, points: np.ndarray, noise: np.ndarray):
    for theta, some in zip(points, noise, strict=True):
        pieces = Pieces(model, ROWS, theta)
        yield (
            pieces.factored.log_density[0],
            pieces.marginal.draw_common(pieces.factored, theta[None], some[None])[0],
        )


@pytest.mark.parametrize("at_once", [1, 10**8])
@pytest.mark.parametrize("model", MODELS)
def test_many_points_are_those_one_by_one(model, at_once, monkeypatch):
    monkeypatch.setattr(module, "SUMS_AT_ONCE", at_once)
    monkeypatch.setattr("model.exact.marginal.SOME_POINTS", 3)
    monkeypatch.setattr("model.exact.marginal.AT_ONCE", 1)
    pieces = Pieces(model, ROWS, THETA)
    work = Counted()
    screen, points = screen_of(pieces, work), thetas(pieces, 7)
    noise = noise_of(pieces, 7)
    found = screen(points, noise)
    densities, common = zip(*one_by_one(model, points, noise), strict=True)
    np.testing.assert_allclose(found.log_density, densities, rtol=1e-11)
    np.testing.assert_allclose(found.common, common, atol=1e-10)
    assert screen.n_passes == work.n_passes == 7
    alone = screen(points)
    np.testing.assert_array_equal(alone.log_density, found.log_density)
    assert alone.common.shape == (7, 0)


def test_as_many_points_are_asked_for_as_there_is_room_for(monkeypatch):
    pieces = Pieces("m4", ROWS, np.zeros(7))
    screen = screen_of(pieces)
    monkeypatch.setattr(module, "SUMS_AT_ONCE", 3 * n_sums(len(pieces.design.cell_lines)) + 1)
    parts = list(screen.pieces(7))
    assert [range(7)[part] for part in parts] == [range(3), range(3, 6), range(6, 7)]
    monkeypatch.setattr(module, "SUMS_AT_ONCE", 1)
    assert [range(2)[part] for part in screen.pieces(2)] == [range(1), range(1, 2)]


def test_as_many_points_are_factored_at_once_as_stay_in_cache(monkeypatch):
    marginal = Pieces("m4", ROWS, THETA).marginal
    monkeypatch.setattr("model.exact.marginal.SOME_POINTS", 2)
    monkeypatch.setattr("model.exact.marginal.AT_ONCE", 5 * marginal.size**2 + 1)
    parts = [range(12)[part] for part in marginal.batches(12)]
    assert parts == [range(5), range(5, 10), range(10, 12)]
    monkeypatch.setattr("model.exact.marginal.AT_ONCE", 1)
    assert [range(3)[part] for part in marginal.batches(3)] == [range(2), range(2, 3)]


def test_large_matrices_are_worked_on_side_by_side_to_the_same_end(monkeypatch):
    pieces = Pieces("m4_nested", ROWS, np.zeros(7))
    screen, points = screen_of(pieces), thetas(pieces, 20)
    noise = noise_of(pieces, 20)
    small = screen(points, noise)
    for where in ("density", "marginal"):
        monkeypatch.setattr(f"model.exact.{where}.LARGE_MATRIX", 1)
    large = screen(points, noise)
    np.testing.assert_allclose(large.log_density, small.log_density, rtol=1e-11)
    np.testing.assert_allclose(large.common, small.common, atol=1e-10)


# ---- the box


def box_of(
    screen: ScreenDensity, theta: np.ndarray, sd: float = 0.05, *, zero_outside: bool = False
) -> InterpolatedDensity:
    return InterpolatedDensity(
        screen, theta, sd**2 * np.eye(len(theta)), 2.0, zero_outside=zero_outside
    )


@pytest.mark.parametrize("model", MODELS)
def test_inside_the_box_the_density_is_the_screen_s(model):
    pieces = Pieces(model, ROWS, THETA)
    work = Counted()
    screen = screen_of(pieces, work)
    box, points = box_of(screen, pieces.theta), thetas(pieces, 9, sd=0.01)
    assert box.dim == len(pieces.log_ratios[0])
    box.raise_degree(4)
    assert screen.n_passes == n_nodes(box.dim, 4)
    noise = noise_of(pieces, 9)
    found = box(points, noise)
    assert screen.n_passes == n_nodes(box.dim, 4)
    assert work.n_points == 9
    truth = screen(points, noise)
    np.testing.assert_allclose(found.log_density, truth.log_density, atol=1e-4)
    np.testing.assert_allclose(found.common, truth.common, atol=1e-4)


def test_a_degree_that_is_raised_is_one_that_was_begun_with(monkeypatch):
    pieces = Pieces("m4", ROWS, THETA)
    monkeypatch.setattr(module, "SUMS_AT_ONCE", 1)
    in_steps, at_once = (box_of(screen_of(pieces), pieces.theta) for _ in range(2))
    for degree in (1, 2, 5):
        in_steps.raise_degree(degree)
        assert in_steps.degree == degree
    at_once.raise_degree(5)
    points = thetas(pieces, 5, sd=0.01)
    np.testing.assert_allclose(
        in_steps(points).log_density, at_once(points).log_density, rtol=1e-13
    )


def test_outside_the_box_it_is_the_screen_or_nothing():
    pieces = Pieces("m4", ROWS, THETA)
    screen = screen_of(pieces)
    near, far = pieces.theta + 0.01, pieces.theta.copy()
    far[-1] += 0.5
    points = np.array([near, far, near])
    noise = noise_of(pieces, 3)
    for zero_outside in (False, True):
        box = box_of(screen, pieces.theta, zero_outside=zero_outside)
        box.raise_degree(4)
        assert box.inside(points).tolist() == [True, False, True]
        assert box.share_cut_off(points) == (pytest.approx(1 / 3) if zero_outside else 0)
        passes = screen.n_passes
        found, inside = box(points, noise), box(points[[0, 2]], noise[[0, 2]])
        assert screen.n_passes == passes + (not zero_outside)
        np.testing.assert_array_equal(found.log_density[[0, 2]], inside.log_density)
        np.testing.assert_array_equal(found.common[[0, 2]], inside.common)
        if zero_outside:
            assert found.log_density[1] == -np.inf
            np.testing.assert_array_equal(found.common[1], 0)
        else:
            truth = screen(points[1:2], noise[1:2])
            np.testing.assert_array_equal(found.log_density[1:2], truth.log_density)
            np.testing.assert_array_equal(found.common[1:2], truth.common)
        assert box(points).common.shape == (3, 0)


def test_the_polynomial_goes_on_outside_the_box():
    pieces = Pieces("m4", ROWS, THETA)
    screen = screen_of(pieces)
    box = box_of(screen, pieces.theta, zero_outside=True)
    box.raise_degree(4)
    ratio = pieces.marginal.hyperparameters.index("sigma_alpha")
    outside = pieces.theta[None].copy()
    outside[0, ratio] += 0.2  # the box ends at 2 SDs of 0.05 and of that of sigma: 0.14
    assert not box.inside(outside).any()
    assert box(outside).log_density[0] == -np.inf
    np.testing.assert_allclose(
        box.extrapolated(outside).log_density, screen(outside).log_density, atol=1e-2
    )


def test_the_box_reaches_as_many_sds_as_it_is_told_to():
    pieces = Pieces("m4", ROWS, THETA)
    box = box_of(screen_of(pieces), pieces.theta, sd=0.1)
    of_alpha = pieces.marginal.hyperparameters.index("sigma_alpha")
    for away, inside in ((0.27, True), (0.29, False), (-0.27, True), (-0.29, False)):
        point = pieces.theta[None].copy()
        point[0, of_alpha] += away  # the ratio has the SD 0.1 sqrt(2); the box ends at twice that
        assert box.inside(point)[0] == inside, away
    # What does not change the ratios never leaves the box.
    assert box.inside(pieces.theta[None] + 10)[0]


def test_points_to_check_are_from_far_to_near():
    pieces = Pieces("m4", ROWS, THETA)
    box = box_of(screen_of(pieces), pieces.theta, sd=0.1)
    steps = np.linspace(0.01, 0.32, 32)
    points = np.repeat(pieces.theta[None], 32, axis=0)
    points[:, pieces.marginal.hyperparameters.index("sigma_alpha")] += steps
    inside = points[box.inside(points)]
    assert len(inside) == 28
    shuffled = points[np.random.default_rng(0).permutation(32)]
    np.testing.assert_array_equal(box.near_and_far(shuffled), inside[::-1][::8])


def test_as_many_nodes_are_kept_as_there_is_room_for(monkeypatch):
    pieces = Pieces("m4", ROWS, np.zeros(7))
    monkeypatch.setattr(module, "MOST_KEPT", 5 * n_sums(len(pieces.design.cell_lines)) + 1)
    assert box_of(screen_of(pieces), pieces.theta).most_nodes == 5
