"""What a screen must hold for a model to be told apart."""

from __future__ import annotations

import pandas as pd
import pytest

from model.engines import run_engine
from model.identified import NotIdentified, require_identified
from schemas.parameters import FitParameters
from tests.designs import design_from_rows, nested_rows


def rows(n_genes: int = 3, n_lines: int = 4, n_guides: int = 2, n_replicates: int = 2):
    return nested_rows(n_genes, n_lines, n_guides, n_replicates)[0]


def one_each(by: str) -> pd.DataFrame:
    return rows().groupby(by, as_index=False).first()


def one_gene_a_line() -> pd.DataFrame:
    """Two genes in two cell lines each, in none of them both."""
    table = rows(n_genes=2)
    return table[table.gene.str[1:].astype(int) == table.cell_line.str[1:].astype(int) % 2]


def one_guide_a_cell() -> pd.DataFrame:
    """Two guides of each gene in two cell lines each, in none of them both."""
    table = rows()
    return table[table.guide.str[-1].astype(int) == table.cell_line.str[1:].astype(int) % 2]


@pytest.mark.parametrize("model", ["m4", "m4_zero_mean", "m4_nested"])
def test_a_replicated_screen_is_enough(model):
    require_identified(model, design_from_rows(rows()))


@pytest.mark.parametrize(
    ("model", "n_guides", "n_replicates"),
    [("m4", 1, 1), ("m4_zero_mean", 1, 1), ("m4_nested", 2, 2)],
)
def test_two_of_each_are_several(model, n_guides, n_replicates):
    require_identified(model, design_from_rows(rows(2, 2, n_guides, n_replicates)))


@pytest.mark.parametrize(
    ("table", "what"),
    [
        (rows(n_replicates=1), "sigma and sigma_guide_line .* expected replicates"),
        (rows(n_guides=1), "sigma_guide_line and sigma_gene_line .* several guides"),
        (one_guide_a_cell(), "sigma_guide_line and sigma_gene_line .* several guides"),
        (rows(n_genes=1), "sigma_gene_line and sigma_gamma .* several genes"),
        (one_gene_a_line(), "sigma_gene_line and sigma_gamma .* several genes"),
        (rows(n_lines=1), "sigma_gene_line and sigma_alpha, .* several cell lines"),
    ],
)
def test_what_the_nested_model_lacks_is_named(table, what):
    design = design_from_rows(table)
    with pytest.raises(NotIdentified, match=what) as refused:
        require_identified("m4_nested", design)
    assert "take --model m4_zero_mean" in str(refused.value)
    require_identified("m4_zero_mean", design)


@pytest.mark.parametrize(("by", "sd"), [("cell_line", "sigma_gamma"), ("gene", "sigma_alpha")])
def test_single_measurements_hold_no_noise_of_their_own(by, sd):
    design = design_from_rows(one_each(by))
    with pytest.raises(NotIdentified, match=f"sigma and {sd} cannot be told apart"):
        require_identified("m4", design)


def test_all_that_lacks_is_named_at_once():
    with pytest.raises(NotIdentified) as refused:
        require_identified("m4_nested", design_from_rows(rows(n_guides=1, n_replicates=1)))
    assert str(refused.value).count("cannot be told apart") == 2


LINE = (
    "sigma and sigma_gamma cannot be told apart: expected several measurements of a cell line, got "
    "at most one of each"
)
GENE = (
    "sigma and sigma_alpha cannot be told apart: expected several measurements of a gene, got at "
    "most one of each"
)
REPLICATES = (
    "sigma and sigma_guide_line cannot be told apart: expected replicates, several measurements of "
    "a guide in a cell line, got at most one of each"
)
GUIDES = (
    "sigma_guide_line and sigma_gene_line cannot be told apart: expected several guides of a gene "
    "in a cell line, got at most one of each"
)
GENES = (
    "sigma_gene_line and sigma_gamma cannot be told apart: expected several genes in a cell line, "
    "got one"
)
LINES = (
    "sigma_gene_line and sigma_alpha, sigma_guide_line and sigma_guide cannot be told apart: "
    "expected a gene measured in several cell lines, got one"
)
MORE = "fit more genes or cell lines, or give the single replicates"
OR_ANOTHER_MODEL = "give the screen with what is missing, or take --model m4_zero_mean"


@pytest.mark.parametrize(
    ("model", "table", "said"),
    [
        ("m4", one_each("cell_line"), (LINE, MORE)),
        ("m4_zero_mean", one_each("gene"), (GENE, MORE)),
        ("m4", rows().head(1), (LINE, GENE, MORE)),
        ("m4_nested", rows(n_replicates=1), (REPLICATES, OR_ANOTHER_MODEL)),
        ("m4_nested", rows(1, 1), (GENES, LINES, OR_ANOTHER_MODEL)),
        # One that no model can be fitted to is not sent to another model.
        ("m4_nested", rows().head(1), (REPLICATES, GUIDES, GENES, LINES, MORE)),
    ],
)
def test_a_refusal_says_all_that_lacks_and_how_to_mend_it(model, table, said):
    with pytest.raises(NotIdentified) as refused:
        require_identified(model, design_from_rows(table))
    assert str(refused.value) == f"{model} cannot be fitted to this screen: {'; '.join(said)}"


@pytest.mark.parametrize("engine", ["exact", "nuts"])
def test_engines_refuse_before_they_begin(engine):
    design = design_from_rows(rows(n_replicates=1))
    with pytest.raises(NotIdentified):
        run_engine(design, FitParameters(model="m4_nested", engine=engine))
