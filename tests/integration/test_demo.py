"""The demonstration by NUTS: the published table is reproduced and the run is whole."""

from __future__ import annotations

import arviz as az
import pytest
from scipy.special import ndtri

from deployments.command_line import main
from deployments.demo import comparison
from deployments.exit_codes import BAD_INPUT, DONE
from schemas.posterior import CONTRACTS
from tests.integration.runs import artifact, inputs_of, runs_in

pytestmark = [pytest.mark.integration]

PLOTS = {
    "prior_of_sds", "logfc_over_rna", "logfc_over_rna_by_gene", "logfc_by_cell_line", "trace",
    "rank", "forest_alpha", "forest_beta", "forest_gamma", "posterior_predictive_by_gene",
    "energy", "volcano", "top_genes", "residual_spread", "residual_spread_by_line",
    "predictive_checks", "influence_of_lines",
}  # fmt: skip
METRICS = {
    "rhat_max", "ess_bulk_min", "ess_tail_min", "divergences", "bfmi_min", "n_genes",
    "n_cell_lines", "n_guides", "n_measurements", "seconds_total", "seconds_validate",
    "seconds_prepare", "seconds_fit", "seconds_checks", "seconds_track", "ppc_mean", "ppc_sd",
    "calls_negative", "calls_positive", "calls_none", "calls_not_enough_data",
    "elpd_loo", "elpd_loo_se", "p_loo", "loo_pareto_k_bad", "elpd_lolo", "elpd_lolo_se",
    "n_genes_carried_by_one_line", "ppc_guide_variance", "ppc_within_cell_correlation",
}  # fmt: skip
EFFECTS = [
    "gene", "call", "call_error", "call_reason", "beta_mean", "beta_sd", "beta_hdi_low",
    "beta_hdi_high", "prob_negative", "lfsr", "s_value", "beta_per_log2_mean", "beta_per_log2_sd",
    "beta_per_log2_hdi_low", "beta_per_log2_hdi_high", "alpha_mean", "n_cell_lines", "n_guides",
    "rna_sd", "most_influential_line", "influence", "carried_by_one_line",
]  # fmt: skip
TAGS = {
    "dataset",
    "release",
    "library",
    "model",
    "engine",
    "data_digest",
    "code_version",
    "verdict",
}


@pytest.fixture(scope="module")
def demo(prefect_server, tmp_path_factory):
    """The demo's exit code, words and run."""
    import contextlib
    import io

    folder = tmp_path_factory.mktemp("demo")
    said = io.StringIO()
    with contextlib.chdir(folder), contextlib.redirect_stdout(said):
        code = main(["demo", "--engine", "nuts"])
    return code, said.getvalue(), runs_in(folder)


def test_it_passes_and_says_where_to_look(demo):
    code, said, runs = demo
    assert code == DONE
    assert len(runs) == 1
    assert "Verdict: pass" in said and "nuts: largest R-hat" in said
    assert runs[0].info.run_id in said and "mlflow ui" in said
    for column in ("true", "published", "difference"):
        assert column in said


def test_it_reproduces_the_published_table(demo):
    import pandas as pd

    rows = comparison(pd.read_csv(artifact(demo[2][0], "summary.csv")))
    assert len(rows) == 36
    assert rows.difference_in_mcse.abs().max() < 4
    assert (rows.sd / rows.published_sd - 1).abs().max() < 0.10


def test_the_embedded_published_table_is_the_published_one(shared):
    import pandas as pd

    from deployments.demo import published

    reference = pd.read_csv(shared / "reference" / "m4_seed103_published.csv")
    columns = ["mean", "sd", "ess_bulk"]
    pd.testing.assert_frame_equal(published()[columns], reference[columns])


def test_the_fit_of_the_cells_is_the_published_one(demo, shared):
    import pandas as pd

    fitted = pd.read_parquet(artifact(demo[2][0], "fitted_cells.parquet"))
    assert len(fitted) == 100
    published = pd.read_csv(shared / "reference" / "m4_seed103_published_fit_rows.csv")
    rows = published.merge(fitted, on=["gene", "cell_line"], suffixes=("_published", ""))
    assert len(rows) == len(published) == 10
    assert (rows.rna - rows.rna_published).abs().max() < 1e-6
    assert (rows.fitted - rows.post_logfc).abs().max() < 0.02  # measured: 0.004
    # The published interval is of 94 %, the default of its library, and ours of 89 %: a Normal's
    # is narrower by this. 2,000 draws leave an end unsure to 0.01 (measured: at most 0.02).
    narrower = ndtri(0.945) / ndtri(0.97)
    for ours, theirs in (("hdi_low", "hpi_lower"), ("hdi_high", "hpi_upper")):
        expected = rows.post_logfc + narrower * (rows[theirs] - rows.post_logfc)
        assert (rows[ours] - expected).abs().max() < 0.03
    width = (rows.hdi_high - rows.hdi_low) / (rows.hpi_upper - rows.hpi_lower)
    assert abs(width.mean() / narrower - 1) < 0.05


def test_the_run_holds_all_it_should(demo):
    run = demo[2][0]
    assert run.info.status == "FINISHED"
    assert set(run.data.metrics) >= METRICS
    assert set(run.data.tags) >= TAGS
    assert run.data.params["sampling.draws"] == "20000"
    assert run.data.tags["engine"] == "nuts" and run.info.run_name == "seed103 m4 nuts"
    assert {entry.dataset.name for entry in inputs_of(run)} >= {"logfc"}
    assert (run.data.metrics["n_genes"], run.data.metrics["n_measurements"]) == (5, 300)
    for name in (
        "posterior.nc", "summary.csv", "gene_effects.parquet", "gene_effects.csv",
        "fitted_cells.parquet", "parameters.json", "validation.json", "report.html",
        "model_graph.svg", "environment.txt",
    ):  # fmt: skip
        assert artifact(run, name).stat().st_size > 0, name
    assert {path.stem for path in artifact(run, "plots").glob("*.png")} == PLOTS


def test_the_posterior_comes_back_whole(demo):
    tree = az.from_netcdf(artifact(demo[2][0], "posterior.nc"))
    CONTRACTS["m4"].check(tree)
    assert tree["posterior"]["beta_g"].shape == (4, 20_000, 5)


def test_summary_and_effects_have_the_agreed_columns(demo):
    import pandas as pd

    run = demo[2][0]
    summary = pd.read_csv(artifact(run, "summary.csv"))
    assert summary.columns[0] == "parameter"
    assert {"mu_alpha", "beta_g[geneA]", "gamma_c[cellT]"} <= set(summary.parameter)
    effects = pd.read_parquet(artifact(run, "gene_effects.parquet"))
    assert list(effects.columns) == EFFECTS
    written = pd.read_csv(artifact(run, "gene_effects.csv"))
    assert (effects["call"] == "negative").all() and (effects["call_reason"] == "").all()
    written["call_reason"] = written["call_reason"].fillna("")  # CSV has no empty text
    pd.testing.assert_frame_equal(effects, written, check_dtype=False)


def test_unknown_gene_is_bad_input_and_no_run(working_folder, capsys):
    assert main(["demo", "--genes", "geneX"]) == BAD_INPUT
    said = capsys.readouterr().err
    assert "geneX" in said and "geneE" in said  # what was asked for, and what comes near
    assert not runs_in(working_folder)
