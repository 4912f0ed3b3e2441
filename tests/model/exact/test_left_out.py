"""A screen without some lines against the dense normal of the lines that are kept."""

import numpy as np
import pytest

from model.exact.by_line import line_terms
from model.exact.left_out import ByLine, left_out
from tests.model.exact.dense import dense
from tests.model.exact.pieces import MODELS, PRIORS, Pieces, random_rows


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("seed", range(2))
def test_leaving_lines_out_equals_the_dense_normal_of_the_others(model, seed):
    rows = random_rows(seed, n_genes=4, n_lines=5)
    pieces = Pieces(model, rows, np.random.default_rng(seed).normal(0, 0.7, 7))
    design = pieces.design
    lines = np.array(design.cell_lines)
    groups = np.array([lines == "none", lines == "c1", lines == "c4", np.isin(lines, ["c0", "c3"])])
    by_line = ByLine(
        design.count.sum(axis=0, dtype=float),
        design.within_ss_by_line(by_guide=model == "m4_nested"),
    )
    terms = [line_terms(block, pieces.log_ratios[0, 3:]) for block in pieces.blocks]
    found = left_out(pieces.blocks, terms, pieces.marginal, by_line, pieces.theta, groups)
    for index, group in enumerate(groups):
        kept = rows[~rows.cell_line.isin(lines[group])]
        naive = dense(model, kept, design, PRIORS, pieces.sd)
        assert found.log_likelihood[index] == pytest.approx(naive.log_likelihood, rel=1e-9)
        np.testing.assert_allclose(found.beta[index], naive.mean["beta_g"], atol=1e-10)
        np.testing.assert_allclose(found.beta_sd[index], naive.sd("beta_g"), rtol=1e-8)
    prior = pieces.factored.log_density - pieces.factored.log_likelihood
    np.testing.assert_allclose(found.log_density - found.log_likelihood, np.full(4, prior))
