"""PSIS-LOO of draws out of the air: what is cut, kept and counted, reckoned by hand."""

from __future__ import annotations

import arviz as az
import numpy as np
import pandas as pd
import pytest

from model.design import ScreenDesign
from model.loo import _pieces, cell_log_likelihood, leave_one_cell_out, log_likelihood_group
from tests.designs import design_from_rows
from tests.model.exact.pieces import MODELS, random_rows
from tests.model.test_loo import draws_of

ROWS = random_rows(3)
CELLS = list(ROWS.groupby(["gene", "cell_line"]).size().index)


@pytest.fixture(scope="module")
def design() -> ScreenDesign:
    return design_from_rows(ROWS)


@pytest.mark.parametrize("model", MODELS)
def test_genes_alone_have_the_densities_they_have_among_others(model, design):
    parameters = draws_of(model, design, 1)
    whole = cell_log_likelihood(parameters, design)
    for genes in ([0, 2], [1]):
        found = cell_log_likelihood(parameters, design.of_genes(genes))
        mine = [gene in {design.genes[index] for index in genes} for gene, _ in CELLS]
        np.testing.assert_allclose(found, whole[:, mine], rtol=1e-12)


def test_the_group_has_a_value_a_chain_draw_and_cell(design):
    parameters = draws_of("m4_nested", design, 2).assign_coords(chain=[4, 7], draw=[10, 20, 30])
    group = log_likelihood_group(parameters, design)
    assert list(group.data_vars) == ["logfc"]
    assert group["logfc"].dims == ("chain", "draw", "cell")
    assert group["logfc"].shape == (2, 3, len(CELLS))
    assert group["chain"].to_numpy().tolist() == [4, 7]
    assert group["draw"].to_numpy().tolist() == [10, 20, 30]
    for chain in (4, 7):
        for draw in (10, 20, 30):
            one = parameters.sel(chain=[chain], draw=[draw])
            expected = cell_log_likelihood(one, design)[0]
            found = group["logfc"].sel(chain=chain, draw=draw)
            np.testing.assert_allclose(found, expected, rtol=1e-12)


@pytest.mark.parametrize(
    ("numbers", "expected"),
    [
        (100, [[0, 1, 2]]),
        (99, [[0, 1], [2]]),
        (50, [[0, 1], [2]]),
        (49, [[0], [1], [2]]),
        (1, [[0], [1], [2]]),
    ],
)
def test_genes_are_cut_into_no_more_pieces_than_their_numbers_need(monkeypatch, numbers, expected):
    """Ten guide-line cells, one of them measured twice, with ten draws."""
    cells = [("g0", "g0/0"), ("g1", "g1/0"), ("g1", "g1/1"), ("g2", "g2/0"), ("g2", "g2/1")]
    rows = pd.DataFrame(
        [(*one, line, 0.5, 1.0) for one in [*cells, cells[0]] for line in ("c0", "c1")],
        columns=["gene", "guide", "cell_line", "rna", "logfc"],
    )
    monkeypatch.setattr("model.loo.NUMBERS_AT_ONCE", numbers)
    assert [piece.tolist() for piece in _pieces(design_from_rows(rows), 10)] == expected


def likely_draws(design: ScreenDesign):
    """Two chains of sixty draws that differ as those of a posterior would."""
    alike = draws_of("m4_nested", design, 1).isel(draw=[0] * 60)
    random = np.random.default_rng(1)
    return alike.map(lambda values: values + random.uniform(0, 0.3, values.shape))


@pytest.mark.parametrize("numbers", [1, 10**6])
def test_the_table_and_its_totals_are_arviz_s_of_those_densities(monkeypatch, design, numbers):
    draws = likely_draws(design)
    monkeypatch.setattr("model.loo.NUMBERS_AT_ONCE", numbers)
    density = cell_log_likelihood(draws, design).reshape(2, 60, -1)
    theirs = az.loo(
        az.from_dict({"posterior": {}, "log_likelihood": {"cell": density}}),
        reff=1.0,
        pointwise=True,
    )
    pareto_k = theirs.pareto_k.to_numpy().ravel()
    worst_but_two = float(np.sort(pareto_k)[-3])
    loo = leave_one_cell_out(draws, design, pareto_k_max=worst_but_two, n_cells_of_screen=99)
    assert list(loo.cells) == ["gene", "cell_line", "elpd_loo", "pareto_k"]
    assert list(zip(loo.cells["gene"], loo.cells["cell_line"], strict=True)) == CELLS
    elpd = theirs.elpd_i.to_numpy().ravel()
    np.testing.assert_allclose(loo.cells["elpd_loo"], elpd, rtol=1e-12)
    np.testing.assert_allclose(loo.cells["pareto_k"], pareto_k, rtol=1e-12)
    assert loo.summary.elpd_loo == pytest.approx(sum(elpd))
    assert loo.summary.elpd_loo_se == pytest.approx(pd.Series(elpd).std() * len(CELLS) ** 0.5)
    assert loo.summary.p_loo == pytest.approx(theirs.p)
    assert loo.summary.pareto_k_bad == pytest.approx(2 / len(CELLS))
    assert (loo.summary.n_cells, loo.summary.n_cells_of_screen) == (len(CELLS), 99)


def test_draws_are_thinned_before_they_are_weighed(monkeypatch, design):
    draws = likely_draws(design)
    monkeypatch.setattr("model.loo.LOO_DRAWS", 60)
    found = leave_one_cell_out(draws, design, pareto_k_max=0.7, n_cells_of_screen=12)
    evenly = draws.isel(draw=[round(59 / 29 * index) for index in range(30)])
    monkeypatch.setattr("model.loo.LOO_DRAWS", 1000)
    pieces: list[int] = []
    monkeypatch.setattr(
        "model.loo._pieces", lambda _, n_draws: pieces.append(n_draws) or [np.arange(3)]
    )
    expected = leave_one_cell_out(evenly, design, pareto_k_max=0.7, n_cells_of_screen=12)
    pd.testing.assert_frame_equal(found.cells, expected.cells)
    assert pieces == [60]
