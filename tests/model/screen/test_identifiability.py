"""A screen that cannot identify the parameters of a model is refused, and each gap is named."""

import pandas as pd
import pytest

from model.screen.identifiability import NotIdentified, require_identified
from tests.designs import design_from_rows, nested_rows


def rows(n_genes: int = 3, n_lines: int = 4, n_guides: int = 2, n_replicates: int = 2):
    return nested_rows(n_genes, n_lines, n_guides, n_replicates)[0]


def in_turns(column: str) -> pd.DataFrame:
    """Of two genes or guides every line has one alone, and the next line the other."""
    table = rows(n_genes=2)
    code = table[column].str[-1].astype(int)
    return table[code == table.cell_line.str[1:].astype(int) % 2]


@pytest.mark.parametrize(
    ("model", "sizes"),
    [("m4", (2, 2, 1, 1)), ("m4_zero_mean", (2, 2, 1, 1)), ("m4_nested", (2, 2, 2, 2))],
)
def test_two_of_each_are_enough(model, sizes):
    require_identified(model, design_from_rows(rows(*sizes)))


@pytest.mark.parametrize("model", ["m4_nested", "m4_screen"])
def test_one_value_per_pair_needs_a_model_without_guides(model):
    design = design_from_rows(rows(n_guides=1, n_replicates=1))
    with pytest.raises(NotIdentified) as error:
        require_identified(model, design)
    assert "sigma_guide, sigma_gene_line, sigma_guide_line and sigma cannot" in str(error.value)
    assert "use --model m4_zero_mean" in str(error.value).split("; ")[-1]
    require_identified("m4_zero_mean", design)


GAPS = {
    "LINE": "sigma_gamma cannot be distinguished: expected several measurements of a cell line",
    "GENE": "sigma and sigma_alpha cannot be distinguished: expected several measurements",
    "REPLICATES": "expected replicates, several measurements of a guide in a cell line, got",
    "GUIDES": "sigma_guide_line and sigma_gene_line cannot be distinguished: expected several",
    "GENES": "sigma_gene_line and sigma_gamma cannot be distinguished: expected several genes",
    "LINES": "sigma_gene_line and sigma_alpha, sigma_guide_line and sigma_guide cannot be",
}


@pytest.mark.parametrize(
    ("model", "table", "gaps"),
    [
        ("m4", rows().groupby("cell_line", as_index=False).first(), "LINE"),
        ("m4", rows().head(1), "LINE GENE"),
        ("m4_nested", rows(n_replicates=1), "REPLICATES"),
        ("m4_nested", in_turns("guide"), "GUIDES"),
        ("m4_nested", in_turns("gene"), "GENES"),
        ("m4_nested", rows().head(1), "REPLICATES GUIDES GENES LINES"),
    ],
)
def test_a_refusal_names_every_gap_and_what_to_do(model, table, gaps):
    design = design_from_rows(table)
    with pytest.raises(NotIdentified, match=f"^{model} cannot be fitted to this screen: ") as error:
        require_identified(model, design)
    assert [gap for gap, words in GAPS.items() if words in str(error.value)] == gaps.split()
    assert str(error.value).count("cannot be distinguished") == len(gaps.split())
    if model == "m4_nested" and len(table) > 1:  # else no model can be fitted, and none is advised
        assert "or use --model m4_zero_mean" in str(error.value).split("; ")[-1]
        require_identified("m4_zero_mean", design)
    else:
        assert "fit more genes or cell lines" in str(error.value).split("; ")[-1]
