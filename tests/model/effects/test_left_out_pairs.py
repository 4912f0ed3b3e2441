"""LOO of influential pairs against the log evidence of the exact engine with and without them."""

import numpy as np

from model.effects.left_out_pairs import with_influential_pairs
from model.engines.run import run_engine
from model.prediction.loo import leave_one_pair_out
from schemas.parameters import FitParameters, Sampling
from tests.designs import design_from_rows, nested_rows

NESTED = FitParameters(model="m4_nested", engine="exact", sampling=Sampling(draws=2000))


def test_pairs_that_the_fit_rests_on_have_the_density_of_a_fit_without_them():
    rows, _ = nested_rows(n_genes=25, n_lines=10, n_guides=3, n_replicates=2)
    pairs = [("g001", "c002"), ("g003", "c004"), ("g005", "c007")]
    for gene, line in pairs:
        rows.loc[(rows.gene == gene) & (rows.cell_line == line), "logfc"] += 4
    design = design_from_rows(rows)
    tree = run_engine(design, NESTED)
    posterior, evidence = tree["posterior"].dataset, float(tree["sample_stats"]["log_evidence"])
    plain = leave_one_pair_out(posterior, design, pareto_k_max=0.7, n_cells_of_screen=250)
    of_model = (NESTED.model, design, NESTED.priors, posterior)
    found = with_influential_pairs(plain, *of_model, pareto_k_max=0.7)
    for gene, line in pairs[:2]:
        without = rows[(rows.gene != gene) | (rows.cell_line != line)]
        refit = run_engine(design_from_rows(without), NESTED)["sample_stats"]["log_evidence"]
        ours, theirs = (
            one.cells.set_index(["gene", "cell_line"]).loc[(gene, line)] for one in (found, plain)
        )
        exact = evidence - float(refit)
        assert abs(ours.elpd_loo - exact) < 0.2 < abs(theirs.elpd_loo - exact)
    change = found.cells["elpd_loo"].sum() - plain.cells["elpd_loo"].sum()
    assert np.isclose(found.summary.elpd_loo - plain.summary.elpd_loo, change)
    # Where weights are good anyway, both ways agree.
    every = with_influential_pairs(plain, *of_model, pareto_k_max=-np.inf)
    good = plain.cells["pareto_k"] < 0.3
    assert good.sum() > 20
    assert (every.cells["elpd_loo"] - plain.cells["elpd_loo"])[good].abs().max() < 0.1
