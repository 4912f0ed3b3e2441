"""Traces sampled elsewhere: labels are found for their codes; what does not belong is refused."""

from contextlib import nullcontext
from dataclasses import replace
from functools import cache
from typing import get_args

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from model.engines import import_trace as module
from model.engines.import_trace import align_trace, model_of, parameters_of
from model.engines.run import run_engine
from schemas.model_spec import MODEL_SPECS
from schemas.parameters import FitParameters, LinearModelName, Priors, Sampling
from schemas.trace import Trace, TraceError, TraceOrigin
from tests.designs import design_from_rows, nested_rows, original_rows

ORIGIN = TraceOrigin(location="old.nc", sha256="0" * 64, library="pymc3", version="3.9.3")


@cache
def fit(model):
    rows = nested_rows(6, 8, 3, 2)[0] if model == "m4_nested" else original_rows()
    rows = rows.sample(frac=1, random_state=5).reset_index(drop=True)  # no label is sorted
    design = design_from_rows(rows)
    sampling = Sampling(draws=500, chains=4)
    tree = run_engine(design, FitParameters(model=model, engine="exact", sampling=sampling))
    return rows, design, tree["posterior"].to_dataset().drop_vars(["chain", "draw"])


def trace_of(posterior, rows, codes="sorted"):
    """A trace as pymc3 kept it: dims numbered by variable, codes of the table `rows`.

    As `labels`, dims have the labels of the table in their order of appearance.
    """
    variables, coords = {}, {}
    for name, variable in posterior.data_vars.items():
        dim, column = f"{name}_dim_0", variable.dims[-1]
        variables[name] = variable.variable
        if column != "draw":
            order = sorted(rows[column].unique()) if codes == "sorted" else rows[column].unique()
            values = variable.sel({column: order})
            variables[name] = (("chain", "draw", dim), values.to_numpy())
            coords[dim] = order if codes == "labels" else np.arange(len(order))
    random, sizes = np.random.default_rng(1), variables["sigma"].shape
    variables["mu_gc"] = (("chain", "draw", "mu_gc_dim_0"), np.zeros((*sizes, len(rows))))
    statistics = {
        "diverging": random.random(sizes) < 0.1,
        "energy": random.normal(size=sizes),
        "step_size": random.random(sizes),
    }
    return Trace(
        xr.Dataset(variables, coords),
        xr.Dataset({name: (("chain", "draw"), of) for name, of in statistics.items()}),
        rows.logfc.to_numpy(),
    )


def let_in(trace, design, model="m4", **settings):
    return align_trace(trace, ORIGIN, design, FitParameters(model=model, **settings))


@pytest.fixture(scope="module")
def m4():
    rows, design, posterior = fit("m4")
    return design, trace_of(posterior, rows)


@pytest.mark.parametrize("codes", ["sorted", "appearance", "labels"])
@pytest.mark.parametrize("model", get_args(LinearModelName))
def test_draws_of_the_posterior_are_let_in_under_their_labels(model, codes):
    rows, design, posterior = fit(model)
    trace = trace_of(posterior.astype(np.float32), rows, codes)
    assert model_of(trace.posterior) == model
    found = let_in(trace, design, model)
    assert found.attrs == {"engine": "nuts", "imported_from": "pymc3 3.9.3"}
    assert [*found["posterior"].data_vars] == [*MODEL_SPECS[model].variables]
    assert all(variable.dtype == np.float64 for variable in found["posterior"].values())
    expected = posterior.astype(np.float32).assign_coords(chain=range(4), draw=range(500))
    xr.testing.assert_equal(found["posterior"].to_dataset(), expected)
    expected = trace.sample_stats.assign_coords(chain=range(4), draw=range(500))
    xr.testing.assert_equal(found["sample_stats"].to_dataset(), expected)


def test_genes_may_be_named_by_symbols():
    rows, design, posterior = fit("m4")
    known = ["Q (3)", "C", "A (7)", "D", "E"]
    rows = rows.assign(gene=rows.gene.map(dict(zip(design.genes, known, strict=True))))
    trace = trace_of(posterior.assign_coords(gene=known), rows, "labels")
    symbols = [label.split(" ")[0] for label in trace.posterior.alpha_g_dim_0.to_numpy()]
    trace = after("assign_coords", alpha_g_dim_0=symbols)(trace)
    found = let_in(trace, design_from_rows(rows))["posterior"]["alpha_g"]
    np.testing.assert_array_equal(found.sel(gene="A (7)"), posterior["alpha_g"][..., 2])


def changed(name, index, value):
    def change(trace):
        values = trace.posterior[name].to_numpy().copy()
        values[index] = value(values[index]) if callable(value) else value
        variable = (trace.posterior[name].dims, values)
        return replace(trace, posterior=trace.posterior.assign({name: variable}))

    return change


def after(method, *args, **given):
    return lambda t: replace(t, posterior=getattr(t.posterior, method)(*args, **given))


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda t: replace(t, observed=t.observed[1:]), "300 measurements .*got 299; name the"),
        (lambda t: replace(t, observed=np.where(t.observed == t.observed.max(), 50, t.observed)),
         "1 of 300 differ, such as 50 where .* has .*; name the dataset"),
        (after("transpose", "draw", "chain", ...), "mu_alpha by chain and draw, .* draw, chain; "),
        (after("isel", beta_g_dim_0=range(4)), " 5, got 4; .*--genes, --cell-lines, --lineages"),
        (changed("sigma_beta", (1, 3), -0.1), "positive .*got -0.1 in sigma_beta .*sample again"),
        (changed("beta_g", (0, 7), np.inf), "finite draws.*got inf in beta_g .5 of 10,000 values"),
        (changed("beta_g", ..., lambda values: values + 0.1), "disagree about"),
        (after("assign_coords", alpha_g_dim_0=[*"ABCDE"]), "5 genes .*got A, B, C, D, E; use"),
        (after("assign_coords", beta_g_dim_0=[f"gene{of}" for of in "AACDE"]), "one of them twice"),
        (lambda t: replace(t, sample_stats=t.sample_stats.assign(step_size=("draw", range(500)))),
         "step_size of the sampler for the .'chain': 4, 'draw': 500. .*got .'draw': 500.;"),
    ],
)  # fmt: skip
def test_what_does_not_belong_is_refused(m4, spoil, words):
    design, trace = m4
    with pytest.raises(TraceError, match=words):
        let_in(spoil(trace), design)


def test_single_measurements_and_the_priors_of_the_trace_are_needed(m4):
    design, trace = m4
    let_in(replace(trace, observed=trace.observed + 9e-7), design)
    with pytest.raises(TraceError, match=r"other priors; .*--priors"):
        let_in(trace, design, priors=Priors.preset("as_written"))
    count = np.full_like(design.count, 70)
    with pytest.raises(TraceError, match=f"got {70 * count.size:,} .*raise preparation.max_meas"):
        let_in(trace, replace(design, measurements=None, count=count))


@pytest.mark.parametrize(
    ("off", "words"),
    [
        ({"mu_beta": (0.1, 9.0), "sigma": (-9.0, 5.0), "beta_g[x]": (-0.1, -9.0)}, None),
        ({"mu_beta": (-0.375, 6.0), "sigma_beta": (0.25, -6.0)},
         "2 of 4 param.*most of all mu_beta, by 0.38 of .*--priors"),
        ({"mu_beta": (0.5, 6.0), "beta_g[x]": (0.25, 6.0)},
         "2 of 4 .*mu_beta, by 0.5 .*disagree about the order .*, about RNA or about the log fold "
         "change; add the labels to the trace, as coordinates of its dims, and use the RNA it"),
        ({"sigma": (0.25, -6.0)}, "1 of 4 .* sigma, by 0.25 of .*disagree"),
    ],
)  # fmt: skip
def test_scores_may_be_off_by_little_or_by_chance(m4, monkeypatch, off, words):
    design, trace = m4
    names = ["mu_beta", "sigma_beta", "sigma", "beta_g[x]"]
    table = pd.DataFrame([(name, *off.get(name, (0.0, 0.0))) for name in names])
    table.columns = ["parameter", "shift", "z"]
    monkeypatch.setattr(module, "scores", lambda *_: table)
    with pytest.raises(TraceError, match=words) if words else nullcontext():
        let_in(trace, design)


@pytest.mark.parametrize(
    ("names", "words"),
    [
        ({*MODEL_SPECS["m4_zero_mean"].variables, "zeta"} - {"sigma_beta", "alpha_g"},
         "got beta_g, gamma_c, .*zeta; m4_zero_mean, the .* needs alpha_g, sigma_beta;"),
        (set(), "one of the models m4, m4_zero_mean, m4_nested, got none;"),
    ],
)  # fmt: skip
def test_the_variables_missing_for_the_nearest_model_are_named(names, words):
    with pytest.raises(TraceError, match=words):
        model_of(xr.Dataset(dict.fromkeys(names, 0.0)))


def test_no_two_models_have_the_same_variables():
    assert len({frozenset(spec.variables) for spec in MODEL_SPECS.values()}) == len(MODEL_SPECS)


@pytest.mark.parametrize("tune", [None, 1500])
def test_the_parameters_are_those_of_the_trace_and_the_others_as_given(m4, tune):
    sampling = Sampling(tune=777, predictive_draws=60)
    given = FitParameters(model="m4", seed=7, engine="exact", sampling=sampling)
    origin = ORIGIN.model_copy(update={"tune": tune})
    found = parameters_of(m4[1], origin, given.model_copy(update={"model": "m4_nested"}))
    sampling = {"chains": 4, "draws": 500, "tune": tune or 777, "sampler": "pymc"}
    sampling = given.sampling.model_copy(update=sampling)
    assert found == given.model_copy(update={"engine": "nuts", "sampling": sampling})
    assert ("sampling.tune" in origin.known(found)) == (tune is not None)


def test_a_trace_that_is_too_short_is_refused(m4):
    short = replace(m4[1], posterior=m4[1].posterior.isel(chain=[0], draw=range(49)))
    problems = "sampling.draws: .*equal to 50, got 49; sampling.chains: .*got 1; sample"
    with pytest.raises(TraceError, match=problems):
        parameters_of(short, ORIGIN, FitParameters())
