"""The table of genes compared with loops over draws; calls, error rates and s-values."""

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from model.effects.gene_effects import count_calls, gene_effects
from model.screen.design import ScreenDesign
from schemas.column_catalog import GENE_EFFECTS
from schemas.parameters import Calls
from tests.designs import design_from_rows

N_DRAWS = 61


def posterior(beta: np.ndarray, genes: tuple[str, ...]) -> xr.DataTree:
    """One chain of these draws (G, S) of beta; alpha of a gene is its number plus beta squared."""
    alpha, dims = np.arange(len(genes))[:, None] + beta**2, ("chain", "draw", "gene")
    data = xr.Dataset({"beta_g": (dims, beta.T[None]), "alpha_g": (dims, alpha.T[None])})
    return xr.DataTree.from_dict({"posterior": data.assign_coords(gene=list(genes))})


def design(genes: str) -> ScreenDesign:
    """Two guides a gene; A is measured in two lines, the others in three; RNA SDs 0.5, 1, 1.5."""
    cells = [(g, g + k, line) for g in genes for k in "12" for line in "xyz"[g == "A" :]]
    rows = pd.DataFrame(cells, columns=["gene", "guide", "cell_line"]).assign(logfc=0.0)
    sd = np.arange(1.0, len(genes) + 1) / 2
    return replace(design_from_rows(rows.assign(rna=range(len(rows)))), rna_sd=sd, rna_is_log2=True)


def row_of(beta: np.ndarray, number: int, min_effect: float) -> dict[str, Any]:
    ordered, n_inside = np.sort(beta), int(0.89 * N_DRAWS)
    start = np.argmin(ordered[n_inside:] - ordered[:-n_inside])
    row: dict[str, Any] = {
        "beta_mean": beta.mean(),
        "beta_sd": np.sqrt(((beta - beta.mean()) ** 2).sum() / (N_DRAWS - 1)),
        "beta_hdi_low": ordered[start],
        "beta_hdi_high": ordered[start + n_inside],
        "prob_negative": np.mean(beta < 0),
        "lfsr": min(np.mean(beta >= 0), np.mean(beta <= 0)),
        "call_error": min(np.mean(beta >= -min_effect), np.mean(beta <= min_effect)),
        "alpha_mean": number + np.mean(beta**2),
    }
    per_log2 = {
        name.replace("beta", "beta_per_log2"): row[name] / (number + 1) * 2
        for name in ("beta_mean", "beta_sd", "beta_hdi_low", "beta_hdi_high")
    }
    return row | per_log2 if np.isfinite(beta).all() else dict.fromkeys(row | per_log2, np.nan)


@pytest.mark.parametrize("at_once", [2, 1000])
def test_the_table_has_the_numbers_of_loops_over_draws(monkeypatch, at_once):
    monkeypatch.setattr("model.effects.gene_effects.GENES_AT_ONCE", at_once)
    of, random = design("ABCDEFG"), np.random.default_rng(1)
    centres = np.array([-1.3, -2, 1.2, -0.7, 0.1, -3, -1])[:, None]
    beta = random.normal(centres, 0.4, (7, N_DRAWS))
    beta[3, ::4] = 0
    beta[5, 5] = np.nan
    of.count[-1] = 0  # the second guide of G
    calls = Calls(min_cell_lines=3, min_rna_sd=1.5, min_effect=0.2, error_max=0.1)
    shuffled = posterior(beta, of.genes)["posterior"].dataset.sel(gene=[*"DBGAECF"])
    table = gene_effects(xr.DataTree.from_dict({"posterior": shuffled}), of, calls)
    expected = pd.DataFrame([row_of(own, at, calls.min_effect) for at, own in enumerate(beta)])
    lfsr = expected["lfsr"]
    expected = expected.assign(
        gene=of.genes,
        s_value=[lfsr[lfsr <= own].mean() for own in lfsr],
        n_cell_lines=[2, 3, 3, 3, 3, 3, 3],
        n_guides=[2, 2, 2, 2, 2, 2, 1],
        rna_sd=of.rna_sd,
        call=[*["not enough data"] * 2, "positive", "none", "none", "not enough data", "negative"],
    ).sort_values("beta_mean", ignore_index=True)
    assert table.columns.tolist() == [*GENE_EFFECTS]
    assert table["gene"].tolist() == [*"BAGDECF"]
    pd.testing.assert_frame_equal(table[expected.columns], expected, check_dtype=False)
    reason = table.set_index("gene")["call_reason"]
    assert "fewer than 3 cell lines" in reason["A"] and "RNA SD below 1.5" in reason["B"]
    assert "draws" in reason["F"] and not reason[[*"CDEG"]].any()
    assert count_calls(table) == {"negative": 1, "positive": 1, "none": 2, "not enough data": 3}


FOUR = np.array([[1.0, 2.0, 3.0, -2.0], [-4.0, -3.0, -2.0, -3.0], [0.0, 0.0, 0.0, 0.0]])
"""Draws of A, B and C, whose RNA SDs are 0.5, 1 and 1.5."""
ENOUGH = Calls(min_cell_lines=2, min_rna_sd=0)


@pytest.mark.parametrize(
    ("changes", "is_log2", "called"),
    [
        ({}, True, "none, negative, none"),
        ({"error_max": 0.25}, True, "positive, negative, none"),
        ({"min_effect": 2.0, "error_max": 0.25}, True, "none, negative, none"),
        ({"min_effect": 2.0}, True, "none, none, none"),
        ({"min_rna_sd": 1.0}, True, "not enough data, negative, none"),
        ({"min_rna_sd": 9.0}, False, "none, negative, none"),
        ({"min_cell_lines": 3}, False, "not enough data, negative, none"),
    ],
)
def test_a_gene_is_called_where_its_data_are_enough_and_its_sign_is_sure(changes, is_log2, called):
    of = replace(design("ABC"), rna_is_log2=is_log2)
    table = gene_effects(posterior(FOUR, of.genes), of, ENOUGH.model_copy(update=changes))
    table = table.set_index("gene").loc[[*"ABC"]]
    assert ", ".join(table["call"]) == called
    assert table.filter(like="per_log2").notna().all(axis=None) == is_log2
    assert table["lfsr"].tolist() == [0.25, 0, 1]
    with pytest.raises(KeyError):
        gene_effects(posterior(FOUR[:2], of.genes[:2]), of)
