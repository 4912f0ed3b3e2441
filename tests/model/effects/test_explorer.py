"""The gene explorer: histograms, guides and influence by gene, and pairs of a large screen."""

import numpy as np
import pandas as pd

from model.effects.explorer import BINS, explorer
from schemas.model_spec import MODEL_SPECS
from tests.designs import design_from_rows, nested_rows, random_draws

LINES = 30


def test_all_draws_are_shown_and_of_a_large_screen_lines_at_even_ranks_unless_called():
    design = design_from_rows(nested_rows(6, LINES, 3, 2)[0])
    posterior = random_draws(MODEL_SPECS["m4_nested"], design.labels, 2, 40)
    beta = posterior["beta_g"]
    beta[:, ::2, 3], beta[:, :, 4] = 0, 0
    effects = pd.DataFrame({"gene": design.genes, "beta_mean": beta.mean(("chain", "draw"))})
    effects = effects.assign(lfsr=0.5, call=["negative", *["none"] * 5])
    effects = effects.sort_values("beta_mean", ignore_index=True)
    change = {"gene": "g002", "change_in_sd": np.arange(LINES) - 20}
    influence = pd.DataFrame({**change, "cell_line": design.cell_lines, "beta_without": 0.1})
    shown = explorer(
        *(posterior, design, effects, influence.assign(lfsr_without=0.2)), most_pairs=LINES + 50
    )
    for at, gene in enumerate(effects["gene"]):
        draws, histograms = beta.sel(gene=gene).to_numpy(), shown.histograms
        ends = histograms.low[at], histograms.high[at]
        counts = np.histogram(draws[draws != 0], BINS, ends)[0] if draws.any() else np.zeros(BINS)
        np.testing.assert_array_equal(histograms.counts[at], counts)
        assert histograms.n_zero[at] == (draws == 0).sum()
        guides = shown.guides["guide"][shown.guides["gene"] == at]
        assert list(guides) == [f"{gene}/{k}" for k in range(3)]
    assert set(shown.left_out["gene"]) == {list(effects["gene"]).index("g002")}
    assert list(shown.left_out["change_in_sd"]) == [-20, -19, -18, -17, -16]

    called = list(effects["call"]).index("negative")
    assert shown.pairs.n.tolist() == [LINES if at == called else 10 for at in range(6)]
    at = 0 if called else 1
    lines = shown.pairs.cell_line[shown.pairs.n[:at].sum() :][:10]
    rna = design.rna[design.genes.index(effects["gene"][at])]
    assert np.ptp(np.diff(np.sort(np.argsort(np.argsort(rna))[lines]))) <= 1
    assert explorer(posterior, design, effects, most_pairs=12).pairs.n.tolist() == [2] * 6
