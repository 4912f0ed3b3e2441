"""Flags of genes that rest on one line or mark a lineage: known culprits, and an honest gene."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from matplotlib.text import Text

from model.design import ScreenDesign
from model.engines import run_engine
from model.influence import (
    LINE_COLUMNS,
    LINEAGE_COLUMNS,
    _columns,
    assess_influence,
    with_influence,
)
from model.left_out import GroupsOut, Slopes, integrable
from model.plots.influence import influence_of_lines
from model.plots.influence import within_lineages as within_lineages_picture
from model.within_lineage import strata, within_lineages
from schemas.parameters import FitParameters, ModelName, Priors
from tests.designs import design_from_rows, nested_rows

LINEAGES = ("Bowel", "Lung", "Lymphoid", "Skin")
N_GENES, N_LINES = 40, 60
MARKER, HONEST, ONE_LINE, NULL = "g000", "g001", "g002", "g003"
LINEAGE_OF = np.array(LINEAGES)[np.arange(N_LINES) % 4]
OUTLIER = "c005"


def screen(*, lineage: bool = True) -> ScreenDesign:
    """Return genes of the model, but for four.

    MARKER differs between lineages in RNA and in dependency, and not within; HONEST has RNA alike,
    and a slope that is the same everywhere; ONE_LINE depends in one line only, which expresses it
    much; NULL not at all.
    """
    rows, beta = nested_rows(N_GENES, N_LINES, 3, 2, seed=11)
    random = np.random.default_rng(12)
    gene = rows.gene.str[1:].astype(int).to_numpy()
    line = rows.cell_line.str[1:].astype(int).to_numpy()
    own = gene < 4
    rna, logfc = rows.rna.to_numpy().copy(), rows.logfc.to_numpy().copy()
    logfc[own] -= beta[gene[own]] * rna[own]

    between = np.array([-1.2, -0.3, 0.2, 1.3])[np.arange(N_LINES) % 4]
    scatter = random.normal(0, 0.9, (2, N_LINES))
    cells = np.stack(
        [between + scatter[0], between + scatter[1], *random.normal(0, 1, (2, N_LINES))]
    )
    cells[2, 5] = 6.0
    cells = (cells - cells.mean(axis=1, keepdims=True)) / cells.std(axis=1, ddof=1, keepdims=True)
    rna[own] = cells[gene[own], line[own]]
    logfc[gene == 0] -= 0.8 * between[line[gene == 0]]
    logfc[gene == 1] -= 0.7 * rna[gene == 1]
    logfc[(gene == 2) & (line == 5)] -= 4.0
    design = design_from_rows(rows.assign(rna=rna, logfc=logfc))
    return ScreenDesign(
        **{
            name: getattr(design, name) for name in design.__dataclass_fields__ if name != "lineage"
        },
        lineage=tuple(LINEAGE_OF) if lineage else None,
    )


def assessed(name: ModelName, design: ScreenDesign):
    parameters = FitParameters(model=name, engine="exact")
    return assess_influence(run_engine(design, parameters)["posterior"].dataset, design, parameters)


@pytest.fixture(scope="module")
def nested():
    return assessed("m4_nested", screen())


def test_the_marker_is_flagged_and_the_honest_gene_is_not(nested):
    genes = nested.genes.set_index("gene")
    assert genes["marks_lineage"][MARKER]
    assert not genes["marks_lineage"][[HONEST, NULL]].any()
    assert abs(genes["beta_within_lineage_mean"][MARKER]) < 0.25
    assert genes["beta_within_lineage_mean"][HONEST] == pytest.approx(-0.7, abs=0.2)
    # The other genes' RNA knows no lineage: hardly any may be flagged.
    assert genes["marks_lineage"].sum() <= 2
    assert nested.summary.n_genes_marking_a_lineage == genes["marks_lineage"].sum()
    assert genes["rna_within_lineage"][NULL] > 0.7
    assert 0.3 < genes["rna_within_lineage"][MARKER] < 0.6


def test_the_gene_that_one_line_carries_is_flagged_with_that_line(nested):
    genes = nested.genes.set_index("gene")
    assert genes["carried_by_one_line"][ONE_LINE]
    assert genes["most_influential_line"][ONE_LINE] == OUTLIER
    assert genes["influence"][ONE_LINE] > 1  # without it, beta is less negative
    assert not genes["carried_by_one_line"][[HONEST, MARKER, NULL]].any()
    assert nested.summary.n_genes_carried_by_one_line == genes["carried_by_one_line"].sum() <= 3
    row = nested.line_influence.set_index(["gene", "cell_line"]).loc[(ONE_LINE, OUTLIER)]
    assert row["change_in_sd"] == genes["influence"][ONE_LINE]
    assert row["lfsr_without"] > 0.05
    of_lineage = nested.lineage_sensitivity.set_index(["gene", "lineage"])
    assert of_lineage.loc[(ONE_LINE, LINEAGE_OF[5]), "change_in_sd"] > 1


def test_tables_hold_every_gene_and_group(nested):
    assert len(nested.line_influence) == N_GENES * N_LINES
    assert list(nested.line_influence) == [
        *("gene", "cell_line", "beta_without", "change_in_sd", "lfsr_without"),
    ]
    assert len(nested.lineage_sensitivity) == N_GENES * 4
    assert list(nested.lines) == ["cell_line", "elpd_lolo", "pareto_k"]
    assert nested.summary.elpd_lolo == pytest.approx(nested.lines["elpd_lolo"].sum())
    assert nested.summary.n_lineages == 4
    assert list(nested.genes) == ["gene", *LINE_COLUMNS, *LINEAGE_COLUMNS]


def test_without_lineages_there_is_nothing_of_them(monkeypatch):
    monkeypatch.setattr("model.influence.MOST_ROWS", 10)
    found = assessed("m4", screen(lineage=False))
    assert list(found.genes) == ["gene", *LINE_COLUMNS]
    assert found.lineage_sensitivity is None
    assert found.summary.n_lineages == found.summary.n_genes_marking_a_lineage == 0
    # Of a large table, what changes much and the most of each gene.
    table = found.line_influence
    assert set(table["gene"]) == set(found.genes["gene"])
    small = table[table["change_in_sd"].abs() < 1]
    assert not small["gene"].duplicated().any()
    assert len(table) < N_GENES * N_LINES


def test_a_very_large_screen_is_looked_at_in_part(monkeypatch):
    design = screen(lineage=False)
    rows = 2 * N_GENES
    monkeypatch.setattr("model.left_out.MOST_WORK", 0.25 * (N_LINES + 1) * rows * N_LINES**2)
    found = assessed("m4", design)
    assert found.summary.n_genes == 10
    assert found.summary.n_genes_of_screen == N_GENES
    assert np.isnan(found.summary.pareto_k_max)


def test_rna_within_lineages_is_that_of_a_groupby():
    rows, _ = nested_rows(5, 8, 1, 2)
    design = design_from_rows(rows)
    posterior = run_engine(design, FitParameters(engine="exact"))["posterior"].dataset
    lineage = ("a", "a", "b", "b", "b", "", "", "c")
    inside, left = within_lineages(integrable("m4", design, Priors(), posterior), lineage)
    expected = pd.DataFrame(design.rna.T)
    of_line = expected.groupby(["a", "a", "b", "b", "b", "?1", "?2", "c"]).transform("mean")
    np.testing.assert_allclose(inside.blocks[0].rna, (expected - of_line).T, atol=1e-12)
    share = ((expected - of_line) ** 2).sum() / ((expected - expected.mean()) ** 2).sum()
    np.testing.assert_allclose(left, share)
    assert strata(lineage).sum(axis=0).tolist() == [1, 1, 2, 3, 1]


def test_the_table_of_genes_gets_the_columns(nested):
    effects = pd.DataFrame({"gene": ["g003", "zzz", "g002"], "beta_mean": [0.1, 0.2, 0.3]})
    joined = with_influence(effects, nested)
    assert joined["gene"].tolist() == effects["gene"].tolist()
    assert joined["carried_by_one_line"].tolist() == [False, pd.NA, True]
    assert joined["most_influential_line"][2] == OUTLIER
    assert joined["influence"].isna().tolist() == [False, True, False]


def test_pictures_show_the_culprits(nested):
    effects = with_influence(
        pd.DataFrame({"gene": nested.genes["gene"], "beta_mean": -0.3, "beta_sd": 0.07}), nested
    )
    labels = [text.get_text() for text in influence_of_lines(effects).findobj(Text)]
    assert f"{ONE_LINE}, {OUTLIER}" in labels
    assert "rests on that line" in labels
    labels = [text.get_text() for text in within_lineages_picture(effects).findobj(Text)]
    assert MARKER in labels
    assert "marks a lineage" in labels


def test_the_line_named_is_the_one_that_carries():
    """Without one line the effect is larger, without another it is gone: the other is named.

    Not carried: a sign that stays sure, one that never was, one that is lost by a small change.
    """
    whole = Slopes(np.full(4, -0.2), np.full(4, 0.05), np.array([0.001, 0.001, 0.2, 0.049]))
    without = Slopes(
        np.array([[-0.5, -0.5, -0.2, -0.2], [-0.05, -0.1, 0.1, -0.16]]),
        np.full((2, 4), 0.05),
        np.array([[1e-9, 1e-9, 0.2, 0.04], [0.16, 0.02, 0.3, 0.06]]),
    )
    out = GroupsOut(whole, without, np.zeros(2), np.zeros(2))
    found = _columns(out, ("a", "b", "c", "d"), "line", ("away", "carrier"), FitParameters())
    assert found["most_influential_line"].tolist() == ["carrier", "away", "carrier", "carrier"]
    assert found["carried_by_one_line"].tolist() == [True, False, False, False]
    np.testing.assert_allclose(found["influence"], [3, -6, 6, 0.8])


def test_a_sampler_that_has_broken_down_leaves_nothing_to_say():
    """Of chains that never moved, and of NaN."""
    rows, _ = nested_rows(6, 8, 2, 2)
    design, parameters = design_from_rows(rows), FitParameters(engine="exact")
    posterior = run_engine(design, parameters)["posterior"].dataset
    assert assess_influence(posterior, design, parameters) is not None
    assert assess_influence(posterior * np.nan, design, parameters) is None
    stuck = posterior.isel(draw=np.zeros(50, int), chain=[0, 0])
    assert assess_influence(stuck, design, parameters) is None
