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


@pytest.mark.parametrize("model", ["m4", "m4_zero_mean", "m4_nested"])
def test_a_replicated_screen_is_enough(model):
    require_identified(model, design_from_rows(rows()))


@pytest.mark.parametrize(
    ("table", "what"),
    [
        (rows(n_replicates=1), "sigma and sigma_guide_line .* expected replicates"),
        (rows(n_guides=1), "sigma_guide_line and sigma_gene_line .* several guides"),
        (rows(n_genes=1), "sigma_gene_line and sigma_gamma .* several genes"),
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


@pytest.mark.parametrize("engine", ["exact", "nuts"])
def test_engines_refuse_before_they_begin(engine):
    design = design_from_rows(rows(n_replicates=1))
    with pytest.raises(NotIdentified):
        run_engine(design, FitParameters(model="m4_nested", engine=engine))
