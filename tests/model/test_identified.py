"""A screen that cannot identify the parameters of a model is refused, and each gap is named."""

from __future__ import annotations

import pandas as pd
import pytest

from model.engines import run_engine
from model.identified import NotIdentified, require_identified
from schemas.parameters import FitParameters
from tests.designs import design_from_rows, nested_rows


def rows(n_genes: int = 3, n_lines: int = 4, n_guides: int = 2, n_replicates: int = 2):
    return nested_rows(n_genes, n_lines, n_guides, n_replicates)[0]


def one_of_each(by: str) -> pd.DataFrame:
    return rows().groupby(by, as_index=False).first()


def in_turns(column: str) -> pd.DataFrame:
    """Of two genes or guides every line has one alone, and the next line the other."""
    table = rows(n_genes=2)
    code = table[column].str[-1].astype(int)
    return table[code == table.cell_line.str[1:].astype(int) % 2]


@pytest.mark.parametrize(
    ("model", "sizes"),
    [
        ("m4", (2, 2, 1, 1)),
        ("m4_zero_mean", (2, 2, 1, 1)),
        ("m4_nested", (2, 2, 2, 2)),
        ("m4_nested", (3, 4, 2, 2)),
    ],
)
def test_two_of_each_are_enough(model, sizes):
    require_identified(model, design_from_rows(rows(*sizes)))


LINE = "sigma and sigma_gamma cannot be told apart: expected several measurements of a cell line"
GENE = "sigma and sigma_alpha cannot be told apart: expected several measurements of a gene"
REPLICATES = "sigma and sigma_guide_line cannot be told apart: expected replicates"
GUIDES = "sigma_guide_line and sigma_gene_line cannot be told apart: expected several guides"
GENES = "sigma_gene_line and sigma_gamma cannot be told apart: expected several genes"
LINES = "sigma_gene_line and sigma_alpha, sigma_guide_line and sigma_guide cannot be told apart"
ALL = (LINE, GENE, REPLICATES, GUIDES, GENES, LINES)


@pytest.mark.parametrize(
    ("model", "table", "gaps", "advice"),
    [
        ("m4", one_of_each("cell_line"), (LINE,), "fit more genes or cell lines"),
        ("m4_zero_mean", one_of_each("gene"), (GENE,), "fit more genes or cell lines"),
        ("m4", rows().head(1), (LINE, GENE), "fit more genes or cell lines"),
        ("m4_nested", rows(n_replicates=1), (REPLICATES,), "take --model m4_zero_mean"),
        ("m4_nested", rows(n_guides=1), (GUIDES,), "take --model m4_zero_mean"),
        ("m4_nested", in_turns("guide"), (GUIDES,), "take --model m4_zero_mean"),
        ("m4_nested", rows(n_genes=1), (GENES,), "take --model m4_zero_mean"),
        ("m4_nested", in_turns("gene"), (GENES,), "take --model m4_zero_mean"),
        ("m4_nested", rows(n_lines=1), (LINES,), "take --model m4_zero_mean"),
        ("m4_nested", rows(1, 1), (GENES, LINES), "take --model m4_zero_mean"),
        # No model can be fitted to this one: another model is not advised.
        (
            "m4_nested",
            rows().head(1),
            (REPLICATES, GUIDES, GENES, LINES),
            "fit more genes or cell lines",
        ),
    ],
)
def test_a_refusal_names_every_gap_and_what_to_do(model, table, gaps, advice):
    design = design_from_rows(table)
    with pytest.raises(NotIdentified, match=f"^{model} cannot be fitted to this screen: ") as error:
        require_identified(model, design)
    assert tuple(gap for gap in ALL if gap in str(error.value)) == gaps
    assert str(error.value).count("cannot be told apart") == len(gaps)
    assert advice in str(error.value).split("; ")[-1]
    if "m4_zero_mean" in advice:
        require_identified("m4_zero_mean", design)


@pytest.mark.parametrize("engine", ["exact", "nuts"])
def test_engines_refuse_before_they_begin(engine):
    design = design_from_rows(rows(n_replicates=1))
    with pytest.raises(NotIdentified):
        run_engine(design, FitParameters(model="m4_nested", engine=engine))
