"""The density at many points, from the screen and interpolated, against one point at a time."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from model.engines.exact import density as module
from model.engines.exact import marginal
from model.engines.exact.density import InterpolatedDensity, ScreenDensity
from model.engines.exact.interpolation import n_nodes
from model.runtime.executors import LocalExecutor
from tests.model.engines.exact.pieces import MODELS, Pieces, random_rows

ROWS = random_rows(4, n_genes=4)
THETA = np.array([-0.3, -0.5, 0.1, -0.2, -0.4, 0.0, -0.6])


class Around:
    """A screen around THETA, and points near it."""

    def __init__(self, model: Any = "m4") -> None:
        self.pieces = Pieces(model, ROWS, THETA)
        self.theta = self.pieces.theta
        self.passes: list[int] = []
        self.points: list[int] = []
        work: Any = SimpleNamespace(passes=self.passes.append, points=self.points.append)
        held = LocalExecutor().scatter(self.pieces.blocks)
        self.screen = ScreenDensity(self.pieces.marginal, held, work)

    def thetas(self, n: int, sd: float) -> tuple[np.ndarray, np.ndarray]:
        """Return n points and the noise of a draw at each."""
        random = np.random.default_rng(8)
        points = self.theta + sd * random.standard_normal((n, len(self.theta)))
        return points, random.standard_normal((n, self.pieces.marginal.size - 1))

    def moved(self, *steps: float) -> np.ndarray:
        """Return points at which the log SD of alpha alone is moved."""
        at = self.pieces.marginal.hyperparameters.index("sigma_alpha")
        return self.theta + np.outer(steps, np.eye(len(self.theta))[at])

    def box(self, degree: int = 4, sd: float = 0.05, *, zero: bool = False) -> InterpolatedDensity:
        """Return a box that reaches over two SDs."""
        covariance = sd**2 * np.eye(len(self.theta))
        box = InterpolatedDensity(self.screen, self.theta, covariance, 2.0, zero_outside=zero)
        box.raise_degree(1)
        box.raise_degree(degree)
        return box


@pytest.mark.parametrize("large", [64, 1])
@pytest.mark.parametrize("at_once", [1, 10**8])
@pytest.mark.parametrize("model", MODELS)
def test_many_points_equal_those_one_by_one(model, at_once, large, monkeypatch):
    monkeypatch.setattr(module, "SUMS_AT_ONCE", at_once)
    monkeypatch.setattr("model.engines.exact.collapse.AT_ONCE", at_once)
    monkeypatch.setattr(marginal, "SOME_POINTS", 3)
    monkeypatch.setattr(marginal, "AT_ONCE", 1)
    around = Around(model)
    points, noise = around.thetas(7, sd=0.3)
    expected = [Pieces(model, ROWS, theta) for theta in points]
    common = [
        one.marginal.draw_common(one.factored, one.theta[None], some[None])[0]
        for one, some in zip(expected, noise, strict=True)
    ]
    for where in (module, marginal):  # matrices so large are factored one by one, in threads
        monkeypatch.setattr(where, "LARGE_MATRIX", large)
    found, alone = around.screen(points, noise), around.screen(points)
    density = [one.factored.log_density[0] for one in expected]
    np.testing.assert_allclose(found.log_density, density, rtol=1e-11)
    np.testing.assert_allclose(found.common, common, atol=1e-10)
    np.testing.assert_array_equal(alone.log_density, found.log_density)
    assert alone.common.shape == (7, 0)
    assert around.screen.n_passes == sum(around.passes) == 14


def test_points_and_nodes_are_limited_by_the_memory_they_take(monkeypatch):
    around = Around()
    of_a_point, size = around.pieces.marginal.n_sums, around.pieces.marginal.size
    monkeypatch.setattr(module, "MOST_KEPT", 5 * of_a_point + 1)
    assert around.box().most_nodes == 5
    monkeypatch.setattr(marginal, "SOME_POINTS", 2)
    for limit, pieces, batches in (
        ((3 * of_a_point + 1, 5 * size**2 + 1), [3, 3, 1], [5, 2]),
        ((1, 1), [1] * 7, [2, 2, 2, 1]),
    ):
        monkeypatch.setattr(module, "SUMS_AT_ONCE", limit[0])
        monkeypatch.setattr(marginal, "AT_ONCE", limit[1])
        for parts, sizes in (
            (around.screen.pieces(7), pieces),
            (around.pieces.marginal.batches(7), batches),
        ):
            assert [len(range(7)[part]) for part in parts] == sizes


@pytest.mark.parametrize("model", MODELS)
def test_inside_the_box_the_density_is_that_of_the_screen(model, monkeypatch):
    around = Around(model)
    # Nodes two by two.
    monkeypatch.setattr(module, "SUMS_AT_ONCE", 2 * around.pieces.marginal.n_sums)
    box = around.box(4)
    points, noise = around.thetas(9, sd=0.01)
    found = box(points, noise)
    assert box.dim == len(around.pieces.log_ratios[0])
    assert around.screen.n_passes == n_nodes(box.dim, 4)  # no node twice
    assert sum(around.points) == 9
    truth = around.screen(points, noise)
    np.testing.assert_allclose(found.log_density, truth.log_density, atol=1e-4)
    np.testing.assert_allclose(found.common, truth.common, atol=1e-4)


@pytest.mark.parametrize("zero", [False, True])
def test_outside_the_box_the_density_is_that_of_the_screen_or_zero(zero):
    around = Around()
    box = around.box(zero=zero)
    points, (_, noise) = around.moved(0.01, 0.5, -0.01), around.thetas(3, sd=0.01)
    assert box.inside(points).tolist() == [True, False, True]
    assert box.share_cut_off(points) == (pytest.approx(1 / 3) if zero else 0)
    passes = around.screen.n_passes
    found, truth = box(points, noise), around.screen(points, noise)
    assert around.screen.n_passes == passes + 3 + (not zero)
    if zero:
        truth.log_density[1], truth.common[1] = -np.inf, 0
    np.testing.assert_allclose(found.log_density, truth.log_density, atol=1e-4)
    np.testing.assert_allclose(found.common, truth.common, atol=1e-4)
