"""`screenbayes import-trace`: a pymc3 trace becomes a run like any other, and agrees with ours.

The trace is part of the shared data.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from deployments.command_line import main
from deployments.demo import write_demo_dataset
from deployments.exit_codes import BAD_INPUT, DONE
from schemas.parameters import FitParameters
from schemas.posterior import CONTRACTS
from tests.integration.runs import artifact, inputs_of, runs_in, summary_of

pytestmark = [pytest.mark.integration]

MOST_MCSE = 4.0


@pytest.fixture(scope="module")
def pymc3_trace(shared):
    path = shared / "data" / "pymc3_m4_seed103.nc"
    if not path.exists():
        pytest.skip(f"no pymc3 trace at {path}")
    return path


@pytest.fixture(scope="module")
def imported(pymc3_trace, prefect_server, tmp_path_factory):
    """A working folder with the import, an import of the same once more, and an exact fit."""
    folder = tmp_path_factory.mktemp("import")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        dataset = str(write_demo_dataset(folder))
        words = ["import-trace", str(pymc3_trace), "--dataset", dataset]
        assert [main(words), main(words)] == [DONE, DONE]
        assert main(["fit", dataset, "--engine", "exact", "--draws", "8000"]) == DONE
        yield folder, runs_in(folder)


@pytest.fixture
def there(imported, monkeypatch):
    monkeypatch.chdir(imported[0])
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    return imported


def test_importing_twice_gives_one_run_and_a_fit_is_made_beside_it(imported):
    _, runs = imported
    assert [run.info.run_name for run in runs] == [
        "seed103 m4 exact",
        "seed103 m4 nuts (pymc3 3.9.3)",
    ]
    fit, trace = runs
    assert fit.data.tags["fit_key"] != trace.data.tags["fit_key"]
    assert "parameters_digest" not in trace.data.tags  # no release is compared with it unasked


def test_the_run_holds_what_that_of_a_fit_holds(imported):
    _, (fit, trace) = imported
    own = {"imported_from": "pymc3 3.9.3", "trace_digest": trace.data.tags["trace_digest"]}
    assert own.items() <= trace.data.tags.items()
    assert len(own["trace_digest"]) == 64
    assert (trace.data.tags["engine"], trace.data.tags["verdict"]) == ("nuts", "pass")
    assert set(fit.data.tags) - set(trace.data.tags) == {"parameters_digest"}
    exact = {"pareto_k", "importance_efficiency", "log_evidence", "log_evidence_mcse"}
    assert set(fit.data.metrics) - set(trace.data.metrics) == exact | {"interpolation_error"}
    assert trace.data.metrics["divergences"] == 0
    assert trace.data.metrics["seconds_fit"] == pytest.approx(178.5, abs=0.1)  # of pymc3 itself
    # What the trace does not tell is not claimed.
    unknown = {"sampling.sampler", "sampling.target_accept"}
    assert set(fit.data.params) - set(trace.data.params) == unknown
    assert (trace.data.params["sampling.tune"], trace.data.params["sampling.draws"]) == (
        "2000",
        "2000",
    )
    files = [{path.name for path in artifact(run, ".").rglob("*")} for run in (fit, trace)]
    assert files[0] - files[1] == set() and files[1] - files[0] == {"energy.png"}
    assert "trace" in {found.dataset.name for found in inputs_of(trace)}


def test_the_report_says_where_the_draws_come_from(imported, pymc3_trace):
    _, (_, trace) = imported
    report = artifact(trace, "report.html").read_text(encoding="utf-8")
    assert "sampled by pymc3 3.9.3 and imported" in report
    assert f"screenbayes import-trace {pymc3_trace} --dataset" in report
    assert "screenbayes fit" not in report
    assert trace.data.tags["trace_digest"] in report


def test_every_parameter_agrees_with_the_exact_engine(imported):
    _, (fit, trace) = imported
    exact, theirs = summary_of(fit), summary_of(trace)
    assert list(exact.index) == list(theirs.index) and len(exact) == 37
    apart = (theirs["mean"] - exact["mean"]) / np.hypot(exact["mcse_mean"], theirs["mcse_mean"])
    assert apart.abs().max() < MOST_MCSE, apart.sort_values()
    np.testing.assert_allclose(theirs["sd"], exact["sd"], rtol=0.06)
    spread = (theirs["sd"] - exact["sd"]) / np.hypot(exact["mcse_sd"], theirs["mcse_sd"])
    assert spread.abs().max() < MOST_MCSE, spread.sort_values()


def test_the_draws_are_those_of_the_trace(imported, pymc3_trace):
    import arviz as az
    import xarray as xr

    _, (_, trace) = imported
    tree = az.from_netcdf(artifact(trace, "posterior.nc"))
    CONTRACTS["m4"].check(tree)
    old = xr.open_dataset(pymc3_trace, group="posterior", engine="h5netcdf")
    for name in CONTRACTS["m4"].variables:
        np.testing.assert_array_equal(tree["posterior"][name], old[name])
    assert tree.attrs["imported_from"] == "pymc3 3.9.3"


def test_it_is_compared_like_any_other(there, tmp_path):
    _, (fit, trace) = there
    out = tmp_path / "comparison"
    assert main(["compare", trace.info.run_id, fit.info.run_id, "--out", str(out)]) == DONE
    genes = pd.read_csv(out / "comparison.csv")
    assert len(genes) == 5
    in_sds = (genes["beta_mean_b"] - genes["beta_mean_a"]) / genes["beta_sd_b"]
    assert in_sds.abs().max() < 0.1


def test_a_trace_of_other_priors_leaves_no_run(there, pymc3_trace, capsys):
    folder, runs = there
    words = ["import-trace", str(pymc3_trace), "--dataset", "simulated_screen.yaml"]
    assert main([*words, "--priors", "as_written"]) == BAD_INPUT
    assert "give them with --priors" in capsys.readouterr().err
    kinds = [run.data.tags.get("kind", "fit") for run in runs_in(folder)]
    assert kinds.count("fit") == len(runs)


def test_the_parameters_of_the_run_repeat_it_as_a_fit(imported):
    _, (_, trace) = imported
    text = artifact(trace, "parameters.json").read_text(encoding="utf-8")
    parameters = FitParameters.model_validate_json(text)
    assert (parameters.model, parameters.engine, parameters.sampling.chains) == ("m4", "nuts", 4)
