"""The nodes at which terms of the effects are computed, and what is interpolated from them."""

import numpy as np
import pytest

from model.exact import effect_nodes as module
from model.exact.blocks import data_terms
from model.exact.effect_nodes import TOLERANCE, effect_nodes
from tests.model.exact.pieces import Pieces, random_rows

BLOCK = Pieces("m4_nested", random_rows(2, n_genes=5), np.zeros(7)).blocks[-1]
TERMS = {"gram": "sn,ijng->ijsg", "coupling": "sn,ingc->isgc", "score": "sn,ing->isg"}


def pairs_of(n: int, sd: float) -> np.ndarray:
    """Correlated log ratios around a centre."""
    noise = np.random.default_rng(7).standard_normal((n, 2))
    return np.array([-0.4, 0.3]) + sd * noise @ np.array([[1.0, 0.6], [0.0, 0.8]])


@pytest.mark.parametrize(("n", "sd"), [(400, 0.05), (9, 0.0)])
def test_a_few_nodes_give_the_terms_of_every_draw(n, sd):
    pairs = pairs_of(n, sd)
    pairs[0] = pairs.mean(axis=0)  # the first node alone is exact there
    nodes = effect_nodes(BLOCK, pairs)
    assert nodes.weights is not None
    assert nodes.weights.shape == (n, len(nodes.at))
    assert len(nodes.at) < 40
    at_nodes, truth = data_terms(BLOCK, nodes.at), data_terms(BLOCK, pairs)
    for name, spec in TERMS.items():
        made = np.einsum(spec, nodes.weights, getattr(at_nodes, name))
        expected = getattr(truth, name)
        assert np.abs(made - expected).max() < 10 * TOLERANCE * np.abs(expected).max(), name
    if sd:
        # The box is centred at the mean of the draws and ends at the most remote one.
        axes, centre = np.linalg.cholesky(np.cov(pairs.T)), pairs.mean(axis=0)
        of_draws, of_nodes = (np.linalg.solve(axes, (x - centre).T) for x in (pairs, nodes.at))
        assert np.abs(of_nodes).max() == pytest.approx(np.abs(of_draws).max(), rel=1e-5)
        assert len(effect_nodes(BLOCK, pairs_of(400, 0.002)).at) < len(nodes.at)


def test_there_are_no_more_nodes_than_draws(monkeypatch):
    pairs = pairs_of(5, 0.05)
    each = effect_nodes(BLOCK, pairs)
    assert each.weights is None
    np.testing.assert_array_equal(each.at, pairs)
    monkeypatch.setattr(module, "TOLERANCE", np.inf)
    assert effect_nodes(BLOCK, pairs[:3]).weights is None
    assert len(effect_nodes(BLOCK, pairs[:4]).at) == 3
