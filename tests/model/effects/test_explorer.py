"""The gene explorer: its numbers are those of effects and data, and a large screen is thinned."""

import numpy as np
import pandas as pd
import pytest

from model.effects.explorer import BINS, POINTS_OF_A_LINE, explorer
from schemas.model_spec import MODEL_SPECS
from tests.designs import design_from_rows, nested_rows, random_draws

LINES = 30


@pytest.fixture(scope="module")
def fit():
    rows, _ = nested_rows(6, LINES, 3, 2)
    design = design_from_rows(rows[(rows.gene != "g001") | (rows.cell_line > "c004")])
    posterior = random_draws(MODEL_SPECS["m4_nested"], design.labels, 2, 40)
    beta = posterior["beta_g"]
    beta[:, ::2, 3] = 0
    beta[:, :, 4] = 0
    effects = pd.DataFrame({"gene": design.genes, "beta_mean": beta.mean(("chain", "draw"))})
    effects = effects.assign(lfsr=0.5, call=["negative", *["none"] * 5])
    return posterior, design, effects.sort_values("beta_mean", ignore_index=True)


def test_the_explorer_has_the_data_and_the_draws_of_every_gene(fit):
    posterior, design, effects = fit
    influence = {"beta_without": 0.1, "lfsr_without": 0.2}
    of_lines = pd.DataFrame(
        {"gene": "g002", "cell_line": design.cell_lines, "change_in_sd": np.arange(LINES) - 20}
    )
    shown = explorer(posterior, design, effects, of_lines.assign(**influence))
    start = np.concatenate([[0], np.cumsum(shown.pairs.n)])
    for at, gene in enumerate(effects["gene"]):
        index, mine = design.genes.index(gene), slice(start[at], start[at + 1])
        cells = design.of_genes([index]).cells
        np.testing.assert_array_equal(shown.pairs.cell_line[mine], cells.cell_line)
        np.testing.assert_allclose(shown.pairs.logfc[mine], cells.mean)
        np.testing.assert_allclose(shown.pairs.rna[mine], cells.rna)
        draws = posterior["beta_g"].sel(gene=gene).to_numpy()
        low, high = shown.histograms.low[at], shown.histograms.high[at]
        assert shown.histograms.n_zero[at] == (draws == 0).sum()
        if draws.any():
            counts, _ = np.histogram(draws[draws != 0], BINS, (low, high))
            np.testing.assert_array_equal(shown.histograms.counts[at], counts)
        else:
            assert np.isnan(low) and not shown.histograms.counts[at].any()
        guides = shown.guides[shown.guides["gene"] == at]
        assert list(guides["guide"]) == [f"{gene}/{k}" for k in range(3)]
    ends = np.arange(POINTS_OF_A_LINE)[[0, -1]]
    rna, fitted = shown.fitted.rna[:, ends], shown.fitted.fitted[:, ends]
    slopes = np.diff(fitted)[:, 0] / np.diff(rna)[:, 0]
    np.testing.assert_allclose(slopes, effects["beta_mean"], atol=1e-9)
    assert shown.left_out["gene"].unique() == [list(effects["gene"]).index("g002")]
    assert list(shown.left_out["change_in_sd"]) == [-20, -19, -18, -17, -16]
    assert shown.pairs.copy_number is None


def test_of_a_large_screen_called_genes_show_all_lines_and_others_some_at_even_ranks(fit):
    posterior, design, effects = fit
    shown = explorer(posterior, design, effects, most_pairs=LINES + 5 * 10)
    called = list(effects["call"]).index("negative")
    assert shown.pairs.n.tolist() == [LINES if at == called else 10 for at in range(6)]
    at = 0 if called else 1
    start = shown.pairs.n[:at].sum()
    lines = shown.pairs.cell_line[start : start + 10]
    cells = design.of_genes([design.genes.index(effects["gene"][at])]).cells
    ranks = np.argsort(np.argsort(cells.rna))[np.isin(cells.cell_line, lines)]
    assert np.ptp(np.diff(np.sort(ranks))) <= 1
    assert explorer(posterior, design, effects, most_pairs=12).pairs.n.tolist() == [2] * 6
