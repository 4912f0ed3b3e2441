"""Traces with codes for labels find their labels; whatever does not belong is refused."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from model import imported as module
from model.engines import run_engine
from model.imported import (
    _orders_of_codes,
    _own_order,
    _residual_ss,
    _rows,
    imported,
    model_of,
    parameters_of,
)
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


UNKNOWN = ["cellA", *"BCDEFGHIJKLMNOPQRST"]
"""Labels of cell lines, the first of which is known."""


def changed(trace, name, change):
    values = trace.posterior[name].to_numpy().copy()
    change(values)
    variable = (trace.posterior[name].dims, values)
    return replace(trace, posterior=trace.posterior.assign({name: variable}))


def exchanged(values):
    values[..., [3, 8]] = values[..., [8, 3]]


def nan(values):
    values[0, 7] = np.nan


def zero(values):
    values[2, 3:5] = 0


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
            alpha_g_dim_0=["geneA", "geneA", "geneC", "geneD", "geneE"])),
         "got one of them twice; name them as the dataset does"),
        (lambda t: replace(t, sample_stats=t.sample_stats.isel(draw=range(100))),
         "expected diverging of the sampler for the"),
        (lambda t: replace(t, sample_stats=t.sample_stats.isel(chain=range(3))),
         "got {'chain': 3, 'draw': 500}; save the trace whole"),
        (lambda t: replace(t, sample_stats=t.sample_stats.assign(
            step_size=t.sample_stats.step_size.isel(chain=0))),
         "expected step_size of the sampler for the {'chain': 4, 'draw': 500} of the posterior, "
         "got {'draw': 500};"),
        (lambda t: replace(t, observed=t.observed[1:]),
         "as observed data, got 299; name the dataset, and the part of it, that was sampled"),
        (lambda t: replace(t, observed=np.where(t.observed == t.observed.max(), 50, t.observed)),
         "1 of 300 are others, such as 50 where the dataset has"),
        (lambda t: replace(t, observed=t.observed * np.nan),
         "such as nan where the dataset has -"),
        (lambda t: replace(t, posterior=t.posterior.isel(alpha_g_dim_0=0)),
         "by chain and draw and gene, got the dims chain, draw; the trace is of another model"),
        (lambda t: replace(t, posterior=t.posterior.transpose("draw", "chain", ...)),
         "expected mu_alpha by chain and draw, got the dims draw, chain;"),
        (lambda t: replace(t, posterior=t.posterior.isel(beta_g_dim_0=range(4))),
         "expected beta_g by the genes of the dataset after its preparation, 5, got 4; name the "
         "dataset that was sampled, and with --genes, --cell-lines, --lineages the part of it"),
        (lambda t: changed(t, "sigma", zero), "got 0.0 in sigma (2 of 2,000 values); sample again"),
        (lambda t: replace(t, posterior=t.posterior.assign_coords(gamma_c_dim_0=[*UNKNOWN])),
         "the 20 cell lines of the dataset, got B, C, D, E, F; name them as the dataset does"),
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


@pytest.mark.parametrize("model", CONTRACTS)
def test_the_model_is_the_richest_whose_variables_are_all_there(model):
    names = [*CONTRACTS[model].variables, "mu_gc"]
    assert model_of(xr.Dataset(dict.fromkeys(names, 0.0))) == model


def test_what_lacks_of_the_nearest_model_is_named():
    names = set(CONTRACTS["m4"].variables) - {"sigma_beta", "alpha_g"} | {"zeta"}
    with pytest.raises(TraceError) as error:
        model_of(xr.Dataset(dict.fromkeys(names, 0.0)))
    nearest, lacking = min(
        ((name, sorted(set(contract.variables) - names)) for name, contract in CONTRACTS.items()),
        key=lambda each: len(each[1]),
    )
    said = str(error.value)
    assert f"one of the models {', '.join(CONTRACTS)}, got {', '.join(sorted(names))};" in said
    assert said.endswith(
        f"{nearest}, the nearest, also needs {', '.join(lacking)}; rename the variables, or fit "
        "the dataset anew"
    )


def test_statistics_and_draws_are_taken_over_as_they_are(m4):
    _, design, _, trace = m4
    in_singles = trace.posterior.astype(np.float32)
    result = let_in(replace(trace, posterior=in_singles), design)
    assert all(variable.dtype == np.float64 for variable in result["posterior"].values())
    for group in ("posterior", "sample_stats"):
        for dim, size in {"chain": 4, "draw": 500}.items():
            assert result[group][dim].values.tolist() == [*range(size)]
    for name, given in trace.sample_stats.items():
        assert result["sample_stats"][name].dims == ("chain", "draw")
        np.testing.assert_array_equal(result["sample_stats"][name], given)


def test_measurements_may_be_off_by_rounding(m4):
    _, design, _, trace = m4
    let_in(replace(trace, observed=trace.observed + 9e-7), design)
    with pytest.raises(TraceError, match="300 of 300 are others"):
        let_in(replace(trace, observed=trace.observed + 1.1e-6), design)


def test_rows_that_were_not_kept_are_counted(m4):
    _, design, _, trace = m4
    count = np.full_like(design.count, 70)
    many = f"{70 * count.size:,}"
    with pytest.raises(TraceError, match=f"got {many} of them; raise preparation.max_measurem"):
        let_in(trace, replace(design, measurements=None, count=count))


def test_rows_find_their_labels_by_their_values():
    """Values within 2e-6 of the next are alike, and tell only what all of them share."""
    rows = pd.DataFrame(
        [
            ("a", "c1", "a/0", 0.5), ("b", "c2", "b/0", -1.0), ("a", "c2", "a/0", 0.5 + 1.9e-6),
            ("b", "c1", "b/0", -1.0 + 2.1e-6), ("a", "c3", "a/1", 0.25), ("b", "c3", "b/0", 3.0),
            ("b", "c3", "b/0", 3.0), ("c", "c3", "c/0", -9.0),
        ],
        columns=["gene", "cell_line", "guide", "logfc"],
    ).assign(rna=0.0)  # fmt: skip
    design = design_from_rows(rows)
    order = [4, 2, 7, 0, 6, 3, 1, 5]
    found = _rows(rows.logfc.to_numpy()[order], design)
    expected = {
        "gene": [0, 1, 0, 1, 0, 1, 1, 2],
        "cell_line": [-1, 1, -1, 0, 2, 2, 2, 2],
        "guide": [0, 2, 0, 2, 1, 2, 2, 3],
    }
    assert [*found.columns] == [*expected]
    for column, codes in expected.items():
        assert found[column].tolist() == [codes[row] for row in order]


def test_codes_follow_the_sorted_labels_or_their_first_appearance():
    def orders(codes, labels):
        return [order.tolist() for order in _orders_of_codes(pd.Series(codes), [*labels])]

    assert orders([0, 1, 1, 2], "abc") == [[0, 1, 2]]
    assert orders([2, 0, 2, 1], "abc") == [[0, 1, 2], [2, 0, 1]]
    assert orders([-1, 2, -1, 0, 1], "abc") == [[0, 1, 2], [2, 0, 1]]
    assert orders([2, 0, -1], "abc") == [[0, 1, 2]]
    assert orders([0, 1, 2], "bac") == [[1, 0, 2], [0, 1, 2]]


@pytest.mark.parametrize("guides", [False, True])
def test_what_is_left_is_the_squares_around_the_means(guides):
    rows, _ = nested_rows(3, 4, 2, 2)
    design = design_from_rows(rows)
    random = np.random.default_rng(1)
    sizes = {"alpha_g": ("gene", 3), "beta_g": ("gene", 3), "gamma_c": ("cell_line", 4)}
    if guides:
        sizes["delta_k"] = ("guide", 6)
    posterior = xr.Dataset(
        {
            name: (("chain", "draw", dim), random.normal(size=(2, 5, size)))
            for name, (dim, size) in sizes.items()
        },
        coords={dim: [*labels] for dim, labels in design.labels.items()},
    )
    mean = {name: posterior[name].mean(("chain", "draw")).to_series() for name in sizes}
    expected = 0.0
    for gene, line, guide, rna, logfc in rows[
        ["gene", "cell_line", "guide", "rna", "logfc"]
    ].itertuples(index=False):
        at = mean["alpha_g"][gene] + mean["gamma_c"][line] + mean["beta_g"][gene] * rna
        expected += (logfc - at - (mean["delta_k"][guide] if guides else 0)) ** 2
    assert _residual_ss(posterior, design) == pytest.approx(expected)


def test_symbols_name_genes_where_some_have_no_number():
    variable = xr.DataArray(np.zeros((1, 1, 3)), {"x": ["B", "C", "A"]}, ("chain", "draw", "x"))
    assert list(_own_order(variable, ["A (1)", "B", "C (3)"], "gene")) == [1, 2, 0]


def test_symbols_of_several_genes_name_none():
    variable = xr.DataArray(np.zeros((1, 1, 2)), {"x": ["A", "B (3)"]}, ("chain", "draw", "x"))
    with pytest.raises(TraceError, match="the 3 genes of the dataset, got A; name"):
        _own_order(variable, ["A (1)", "A (2)", "B (3)"], "gene")


def test_symbols_are_for_genes_alone():
    variable = xr.DataArray(np.zeros((1, 1, 1)), {"x": ["A"]}, ("chain", "draw", "x"))
    with pytest.raises(TraceError, match="the 1 cell lines of the dataset, got A; name"):
        _own_order(variable, ["A (1)"], "cell_line")


@pytest.mark.parametrize(
    ("off", "said"),
    [
        ({}, ""),
        ({"mu_beta": (0.1, 9.0), "sigma": (-9.0, 5.0), "beta_g[x]": (-0.1, -9.0)}, ""),
        ({"sigma": (9.0, -5.0)}, ""),
        ({"mu_beta": (-0.375, 6.0), "sigma_beta": (0.25, -6.0)},
         "2 of 4 parameters .*most of all mu_beta, by 0.38 of .*; it was sampled under other"),
        ({"mu_beta": (0.5, 6.0), "beta_g[x]": (0.25, 6.0)},
         "2 of 4 .*most of all mu_beta, by 0.5 of .*; the trace and the dataset disagree about "
         "which gene, cell line or guide is which, about RNA or about the log fold change; give "
         "the labels in the trace, as coordinates of its dims, and the RNA it was sampled with$"),
        ({"sigma": (0.25, -6.0)}, "1 of 4 .* sigma, by 0.25 of .* the dataset disagree about"),
        ({"mu_beta": (np.nan, np.nan), "sigma_beta": (99.0, 99.0)},
         "2 of 4 .*most of all mu_beta, by nan of .* priors; give them with --priors"),
    ],
)  # fmt: skip
def test_scores_off_by_little_or_by_chance_are_let_in(m4, monkeypatch, off, said):
    _, design, _, trace = m4
    names = ["mu_beta", "sigma_beta", "sigma", "beta_g[x]"]
    table = pd.DataFrame(
        [(name, *off.get(name, (0.0, 0.0))) for name in names], columns=["parameter", "shift", "z"]
    )
    monkeypatch.setattr(module, "scores", lambda *_: table)
    if not said:
        let_in(trace, design)
        return
    with pytest.raises(TraceError, match=said):
        let_in(trace, design)


def test_a_trace_without_chains_and_draws_has_none(m4):
    single = replace(m4[3], posterior=m4[3].posterior.isel(chain=0, draw=0))
    with pytest.raises(TraceError) as error:
        parameters_of(single, ORIGIN, FitParameters())
    problems = str(error.value).split("; ")
    assert len(problems) == 3
    for name in ("chains", "draws"):
        (one,) = (problem for problem in problems if f"sampling.{name}: " in problem)
        assert one.endswith("got 0")


def test_tuning_that_the_trace_does_not_tell_is_as_given(m4):
    given = FitParameters(engine="exact", sampling=Sampling(tune=777, chains=2, sampler="nutpie"))
    found = parameters_of(m4[3], ORIGIN, given).sampling
    assert (found.tune, found.chains, found.sampler) == (777, 4, "pymc")
