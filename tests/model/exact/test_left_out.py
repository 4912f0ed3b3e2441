"""A screen without some lines, against the dense normal and against a design that lacks them."""

from __future__ import annotations

import numpy as np
import pytest

from model.exact.blocks import data_terms
from model.exact.by_line import line_terms
from model.exact.left_out import ByLine, LeftOut, left_out
from tests.model.exact.dense import dense
from tests.model.exact.pieces import MODELS, PRIORS, Pieces, random_rows


def without(pieces: Pieces, groups: np.ndarray) -> LeftOut:
    design, nested = pieces.design, pieces.marginal.model == "m4_nested"
    by_line = ByLine(
        design.count.sum(axis=0, dtype=float), design.within_ss_by_line(by_guide=nested)
    )
    terms = [line_terms(block, pieces.log_ratios[0, 3:]) for block in pieces.blocks]
    return left_out(pieces.blocks, terms, pieces.marginal, by_line, pieces.theta, groups)


@pytest.mark.parametrize("model", MODELS)
def test_terms_by_line_add_up_to_those_of_the_screen(model):
    pieces = Pieces(model, random_rows(2, n_genes=5), np.random.default_rng(4).normal(0, 0.7, 7))
    for block in pieces.blocks:
        own = line_terms(block, pieces.log_ratios[0, 3:])
        whole = data_terms(block, pieces.log_ratios[:, 3:])
        close = {"rtol": 1e-12, "atol": 1e-12}
        np.testing.assert_allclose(own.gram.sum(axis=-1), whole.gram[:, :, 0], **close)
        np.testing.assert_allclose(own.coupling, whole.coupling[:, 0], **close)
        np.testing.assert_allclose(own.score.sum(axis=-1), whole.score[:, 0], **close)
        np.testing.assert_allclose(own.line_score, whole.line_score[0], **close)
        np.testing.assert_allclose(own.square.sum(), whole.square[0], **close)
        np.testing.assert_allclose(own.half_log_det.sum(), whole.half_log_det[0], **close)


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("seed", range(4))
def test_leaving_lines_out_is_the_dense_normal_of_the_others(model, seed):
    rows = random_rows(seed, n_genes=4, n_lines=5)
    pieces = Pieces(model, rows, np.random.default_rng(seed).normal(0, 0.7, 7))
    lines = np.array(pieces.design.cell_lines)
    groups = np.array([lines == "none", lines == "c1", lines == "c4", np.isin(lines, ["c0", "c3"])])
    found = without(pieces, groups)
    for index, group in enumerate(groups):
        kept = rows[~rows.cell_line.isin(lines[group])]
        naive = dense(model, kept, pieces.design, PRIORS, pieces.sd)
        assert found.log_likelihood[index] == pytest.approx(naive.log_likelihood, rel=1e-9)
        np.testing.assert_allclose(found.beta[index], naive.mean["beta_g"], atol=1e-10)
        np.testing.assert_allclose(found.beta_sd[index], naive.sd("beta_g"), rtol=1e-8)


def test_leaving_nothing_out_is_the_fit():
    pieces = Pieces("m4_nested", random_rows(7), np.zeros(7))
    found = without(pieces, np.zeros((1, 4), bool))
    np.testing.assert_allclose(found.log_likelihood, pieces.factored.log_likelihood, rtol=1e-12)
    np.testing.assert_allclose(found.log_density, pieces.factored.log_density, rtol=1e-12)
    np.testing.assert_allclose(found.beta[0], pieces.means()["beta_g"], atol=1e-12)
