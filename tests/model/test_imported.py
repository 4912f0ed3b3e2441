"""Traces with codes for labels find their labels; whatever does not belong is refused."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import xarray as xr

from model.engines import run_engine
from model.imported import imported, model_of, parameters_of
from schemas.parameters import FitParameters, Priors, Sampling
from schemas.posterior import CONTRACTS
from schemas.trace import Trace, TraceError, TraceOrigin
from tests.designs import design_from_rows, nested_rows, original_rows

ORIGIN = TraceOrigin(location="old.nc", sha256="0" * 64, library="pymc3", version="3.9.3")


def let_in(trace, design, model="m4", **settings):
    return imported(trace, ORIGIN, design, FitParameters(model=model, **settings))


def shuffled(rows):
    """The same rows in an order in which no label stands where sorting puts it."""
    return rows.sample(frac=1, random_state=5).reset_index(drop=True)


def trace_of(tree, design, rows, codes="sorted", labels=False):
    """A trace as pymc3 kept it: dims numbered by variable, codes of the table `rows`."""
    posterior = tree["posterior"].to_dataset()
    known = {"gene": design.genes, "cell_line": design.cell_lines, "guide": design.guides}
    variables, coords = {}, {}
    for name, variable in posterior.data_vars.items():
        if variable.ndim == 2:
            variables[name] = variable.variable
            continue
        dim, column = f"{name}_dim_0", variable.dims[2]
        order = list(rows[column].unique()) if codes == "appearance" else sorted(known[column])
        position = [known[column].index(label) for label in order]
        variables[name] = (("chain", "draw", dim), variable.to_numpy()[..., position])
        coords[dim] = order if labels else np.arange(len(order))
    variables["mu_gc"] = (("chain", "draw", "mu_gc_dim_0"), np.zeros((4, 500, len(rows))))
    sizes = posterior.sizes["chain"], posterior.sizes["draw"]
    statistics = {
        "diverging": np.zeros(sizes, bool),
        "energy": np.random.default_rng(1).normal(size=sizes),
        "step_size": np.full(sizes, 0.3),
    }
    return Trace(
        xr.Dataset(variables, coords),
        xr.Dataset({name: (("chain", "draw"), of) for name, of in statistics.items()}),
        rows.logfc.to_numpy(),
    )


@pytest.fixture(scope="module", params=["m4", "m4_zero_mean", "m4_nested"])
def fit(request):
    rows = shuffled(nested_rows(6, 8, 3, 2)[0] if request.param == "m4_nested" else original_rows())
    design = design_from_rows(rows)
    parameters = FitParameters(
        model=request.param, engine="exact", sampling=Sampling(draws=500, chains=4)
    )
    return request.param, rows, design, run_engine(design, parameters)


@pytest.fixture(scope="module")
def m4():
    rows = shuffled(original_rows())
    design = design_from_rows(rows)
    parameters = FitParameters(engine="exact", sampling=Sampling(draws=500, chains=4))
    tree = run_engine(design, parameters)
    return rows, design, tree, trace_of(tree, design, rows)


@pytest.mark.parametrize("codes", ["sorted", "appearance"])
def test_codes_find_their_labels(fit, codes):
    model, rows, design, tree = fit
    trace = trace_of(tree, design, rows, codes)
    assert model_of(trace.posterior) == model
    result = let_in(trace, design, model)
    assert list(result["posterior"].data_vars) == list(CONTRACTS[model].variables)
    for name in CONTRACTS[model].variables:
        xr.testing.assert_equal(
            result["posterior"][name].drop_vars(["chain", "draw"]),
            tree["posterior"][name].drop_vars(["chain", "draw"]),
        )
    assert set(result["sample_stats"].data_vars) == {"diverging", "energy", "step_size"}
    assert result.attrs == {"engine": "nuts", "imported_from": "pymc3 3.9.3"}


def test_labels_of_the_trace_are_taken_at_their_word(m4):
    rows, design, tree, _ = m4
    trace = trace_of(tree, design, rows, "appearance", labels=True)
    result = let_in(trace, design)
    np.testing.assert_array_equal(
        result["posterior"]["beta_g"].sel(gene="geneB"),
        tree["posterior"]["beta_g"].sel(gene="geneB"),
    )


def test_genes_may_be_named_by_symbol(m4):
    rows, _, tree, _ = m4
    entrez = {gene: f"{gene} ({number})" for number, gene in enumerate(rows.gene.unique(), 7)}
    design = design_from_rows(rows.assign(gene=rows.gene.map(entrez)))
    labels = (
        tree["posterior"]
        .to_dataset()
        .assign_coords(gene=[*map(entrez.get, design_from_rows(rows).genes)])
    )
    trace = trace_of(
        {"posterior": xr.DataTree(labels)},
        design,
        rows.assign(gene=rows.gene.map(entrez)),
        labels=True,
    )
    symbols = trace.posterior.assign_coords(alpha_g_dim_0=[*sorted(entrez)])
    result = let_in(replace(trace, posterior=symbols), design)
    assert result["posterior"]["alpha_g"].coords["gene"].values.tolist() == sorted(entrez.values())


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda p: p.drop_vars("sigma_beta"), "also needs sigma_beta"),
        (lambda p: p.drop_vars(list(p.data_vars)), "got none"),
    ],
)
def test_variables_of_no_model_are_refused(m4, spoil, said):
    with pytest.raises(TraceError) as error:
        model_of(spoil(m4[3].posterior))
    assert said in str(error.value)


def changed(trace, name, change):
    values = trace.posterior[name].to_numpy().copy()
    change(values)
    variable = (trace.posterior[name].dims, values)
    return replace(trace, posterior=trace.posterior.assign({name: variable}))


def exchanged(values):
    values[..., [3, 8]] = values[..., [8, 3]]


def nan(values):
    values[0, 7] = np.nan


def negative(values):
    values[1, 3] = -0.1


def elsewhere(values):
    values += 0.1


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda t: replace(t, observed=t.observed[1:]), "the 300 measurements of the dataset as"),
        (lambda t: replace(t, observed=t.observed + 1e-4), "300 of 300 are others"),
        (lambda t: replace(t, observed=t.observed * np.nan), "300 of 300 are others"),
        (lambda t: replace(t, posterior=t.posterior.isel(gamma_c_dim_0=range(19))),
         "expected gamma_c by the cell lines of the dataset after its preparation, 20, got 19"),
        (lambda t: replace(t, posterior=t.posterior.isel(alpha_g_dim_0=0)), "expected alpha_g by"),
        (lambda t: changed(t, "sigma", nan), "expected positive draws, got nan in sigma (1 of"),
        (lambda t: changed(t, "sigma_beta", negative), "got -0.1 in sigma_beta"),
        (lambda t: changed(t, "beta_g", nan), "expected finite draws, got nan in beta_g (5 of"),
        (lambda t: changed(t, "gamma_c", exchanged), "disagree about which gene, cell line"),
        (lambda t: changed(t, "beta_g", elsewhere), "disagree about"),
        (lambda t: replace(t, posterior=t.posterior.assign_coords(alpha_g_dim_0=[*"ABCDE"])),
         "expected as labels of the trace the 5 genes of the dataset, got A, B, C"),
        (lambda t: replace(t, posterior=t.posterior.assign_coords(
            alpha_g_dim_0=["geneA", "geneA", "geneC", "geneD", "geneE"])), "one of them twice"),
        (lambda t: replace(t, sample_stats=t.sample_stats.isel(draw=range(100))),
         "expected diverging of the sampler for the"),
    ],
)  # fmt: skip
def test_what_does_not_belong_is_refused(m4, spoil, said):
    _, design, _, trace = m4
    with pytest.raises(TraceError) as error:
        let_in(spoil(trace), design)
    assert said in str(error.value)


def test_other_priors_are_refused(m4):
    _, design, _, trace = m4
    with pytest.raises(TraceError, match="sampled under other priors; give them with --priors"):
        let_in(trace, design, priors=Priors.preset("as_written"))


def test_measurements_that_were_not_kept_are_asked_for(m4):
    _, design, _, trace = m4
    with pytest.raises(TraceError, match="raise preparation"):
        let_in(trace, replace(design, measurements=None))


def test_rows_of_the_same_value_do_not_say_which_is_which(m4):
    rows, _, _, _ = m4
    rows = rows.assign(logfc=rows.logfc.mask(rows.index < 2, 1.25))
    design = design_from_rows(rows)
    tree = run_engine(design, FitParameters(engine="exact", sampling=Sampling(draws=500)))
    for codes in ("sorted", "appearance"):
        trace = trace_of(tree, design, rows, codes)
        if codes == "appearance":  # their labels come later, with a row of their own
            with pytest.raises(TraceError, match="give the labels in the trace"):
                let_in(trace, design)
        else:
            let_in(trace, design)


def test_the_parameters_are_those_the_trace_was_sampled_with(m4):
    trace = m4[3]
    given = FitParameters(seed=7, priors=Priors.preset("as_written"))
    found = parameters_of(trace, ORIGIN.model_copy(update={"tune": 1500}), given)
    assert (found.model, found.engine, found.seed) == ("m4", "nuts", 7)
    assert (found.sampling.chains, found.sampling.draws, found.sampling.tune) == (4, 500, 1500)
    assert found.priors == given.priors
    assert "sampling.tune" in ORIGIN.model_copy(update={"tune": 1500}).known(found)
    assert not {"sampling.tune", "sampling.sampler"} & set(ORIGIN.known(found))


@pytest.mark.parametrize(
    ("cut", "said"),
    [
        ({"chain": [0]}, r"sampling.chains: .* greater than or equal to 2, got 1"),
        ({"draw": range(49)}, r"sampling.draws: .* greater than or equal to 50, got 49"),
    ],
)
def test_a_trace_that_is_too_short_is_refused(m4, cut, said):
    short = replace(m4[3], posterior=m4[3].posterior.isel(cut))
    with pytest.raises(TraceError, match=said):
        parameters_of(short, ORIGIN, FitParameters())
