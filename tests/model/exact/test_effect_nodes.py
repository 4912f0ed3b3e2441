"""Where the terms of the effects are taken, and what they make of them in between."""

from __future__ import annotations

import numpy as np
import pytest

from model.exact import effect_nodes as module
from model.exact.blocks import GeneBlock, data_terms
from model.exact.effect_nodes import TOLERANCE, EffectNodes, effect_nodes
from schemas.parameters import ModelName
from tests.model.exact.pieces import Pieces, random_rows

CORRELATED = np.linalg.cholesky(np.array([[1.0, 0.6], [0.6, 1.0]]))


def block_of(model: ModelName) -> GeneBlock:
    return Pieces(model, random_rows(2, n_genes=5), np.zeros(7)).blocks[-1]


def pairs_of(n: int, sd: float) -> np.ndarray:
    noise = np.random.default_rng(7).standard_normal((n, 2))
    return np.array([-0.4, 0.3]) + sd * noise @ CORRELATED.T


def test_without_ratios_one_node_serves_all_draws():
    nodes = effect_nodes(block_of("m4"), np.empty((6, 0)))
    assert nodes.at.shape == (1, 0)
    np.testing.assert_array_equal(nodes.weights, np.ones((6, 1)))


def test_a_few_nodes_make_the_terms_of_every_draw():
    block, pairs = block_of("m4_nested"), pairs_of(400, 0.05)
    pairs[0] = pairs.mean(axis=0)  # there the first of the nodes is right by itself
    nodes = effect_nodes(block, pairs)
    assert nodes.weights is not None
    assert nodes.weights.shape == (400, len(nodes.at))
    assert len(nodes.at) < 40
    np.testing.assert_allclose(nodes.weights.sum(axis=1), 1, rtol=1e-10)
    few, all_of_them = data_terms(block, nodes.at), data_terms(block, pairs)
    for spec, name in (
        ("sn,ijng->ijsg", "gram"),
        ("sn,ingc->isgc", "coupling"),
        ("sn,ing->isg", "score"),
    ):
        made, truth = np.einsum(spec, nodes.weights, getattr(few, name)), getattr(all_of_them, name)
        assert np.abs(made - truth).max() < 10 * TOLERANCE * np.abs(truth).max(), name


def test_the_nodes_lie_about_the_draws_along_their_axes():
    block, pairs = block_of("m4_nested"), pairs_of(400, 0.05)
    nodes = effect_nodes(block, pairs)
    np.testing.assert_allclose(nodes.at[0], pairs.mean(axis=0), atol=1e-12)
    axes = np.linalg.cholesky(np.cov(pairs.T))
    remote = np.abs(np.linalg.solve(axes, (pairs - pairs.mean(axis=0)).T)).max()
    in_box = np.linalg.solve(axes, (nodes.at - nodes.at[0]).T) / remote
    assert np.abs(in_box).max() == pytest.approx(1, abs=1e-5)


def test_draws_that_are_all_the_same_have_nodes_too():
    block, pairs = block_of("m4_nested"), np.repeat(pairs_of(1, 0.05), 9, axis=0)
    nodes = effect_nodes(block, pairs)
    assert nodes.weights is not None
    gram = np.einsum("sn,ijng->ijsg", nodes.weights, data_terms(block, nodes.at).gram)
    np.testing.assert_allclose(gram, data_terms(block, pairs).gram, rtol=1e-9, atol=1e-9)


def test_wider_draws_take_more_nodes():
    block = block_of("m4_nested")
    narrow, wide = (effect_nodes(block, pairs_of(400, sd)) for sd in (0.002, 0.1))
    assert len(narrow.at) < len(wide.at) < 400


def test_no_more_nodes_than_there_are_draws(monkeypatch):
    block, pairs = block_of("m4_nested"), pairs_of(5, 0.05)
    each = effect_nodes(block, pairs)
    assert each.weights is None
    np.testing.assert_array_equal(each.at, pairs)
    # Three nodes for three draws save nothing; four draws want a node fewer.
    monkeypatch.setattr(module, "TOLERANCE", np.inf)
    assert effect_nodes(block, pairs[:3]).weights is None
    assert len(effect_nodes(block, pairs[:4]).at) == 3


@pytest.mark.parametrize("which", ["gram", "coupling", "score"])
def test_each_of_the_terms_has_to_be_right(which, monkeypatch):
    """With the others right by themselves, one that never is leaves a node a draw."""
    block, pairs = block_of("m4_nested"), pairs_of(400, 0.05)
    terms = data_terms(block, pairs[:1])

    def spoilt(_: GeneBlock, at: np.ndarray):
        class Terms:
            gram = np.repeat(terms.gram, len(at), axis=2)
            coupling = np.repeat(terms.coupling, len(at), axis=1)
            score = np.repeat(terms.score, len(at), axis=1)

        rough = np.random.default_rng(len(at)).standard_normal(getattr(Terms, which).shape)
        setattr(Terms, which, rough)
        return Terms

    monkeypatch.setattr(module, "data_terms", spoilt)
    nodes = effect_nodes(block, pairs)
    assert isinstance(nodes, EffectNodes)
    assert nodes.weights is None
