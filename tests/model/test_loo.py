"""PSIS-LOO by gene-line cell against dense normals of single measurements, and against refits."""

from __future__ import annotations

import arviz as az
import numpy as np
import pytest
import xarray as xr
from scipy.stats import multivariate_normal

from model.engines import complete, run_engine
from model.loo import cell_log_likelihood, leave_one_cell_out
from model.predictive import thin
from schemas.parameters import FitParameters, Sampling
from tests.designs import covariance_of_cells, design_from_rows, nested_rows
from tests.model.exact.pieces import MODELS, random_rows

SDS = ("sigma", "sigma_gene_line", "sigma_guide_line")


def draws_of(model: str, design, seed: int) -> xr.Dataset:
    """Two chains of three draws of all variables the likelihood knows, out of the air."""
    random = np.random.default_rng(seed)
    sizes = {
        "alpha_g": ("gene", design.genes),
        "beta_g": ("gene", design.genes),
        "gamma_c": ("cell_line", design.cell_lines),
        "delta_k": ("guide", design.guides),
    }
    nested = model == "m4_nested"
    variables: dict[str, tuple[tuple[str, ...], np.ndarray]] = {
        name: (("chain", "draw", dim), random.normal(0, 1, (2, 3, len(labels))))
        for name, (dim, labels) in sizes.items()
        if nested or name != "delta_k"
    }
    for name in SDS if nested else SDS[:1]:
        variables[name] = (("chain", "draw"), random.uniform(0.3, 2, (2, 3)))
    return xr.Dataset(
        variables,
        coords={
            "gene": list(design.genes),
            "cell_line": list(design.cell_lines),
            "guide": list(design.guides),
        },
    )


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("seed", range(3))
def test_the_likelihood_of_a_cell_is_that_of_its_single_measurements(model, seed):
    rows = random_rows(seed)
    design = design_from_rows(rows)
    parameters = draws_of(model, design, seed)
    found = cell_log_likelihood(parameters, design)
    assert found.shape == (6, design.cells.gene.size)
    flat = parameters.stack(sample=("chain", "draw"))
    for sample in range(6):
        one = flat.isel(sample=sample)
        sd = dict.fromkeys(SDS, 0.0) | {name: float(one[name]) for name in SDS if name in one}
        for index, (gene, line) in enumerate(
            zip(design.cells.gene, design.cells.cell_line, strict=True)
        ):
            labels = design.genes[gene], design.cell_lines[line]
            mine = rows[(rows.gene == labels[0]) & (rows.cell_line == labels[1])]
            expected = (
                float(one["alpha_g"].sel(gene=labels[0]))
                + float(one["gamma_c"].sel(cell_line=labels[1]))
                + float(one["beta_g"].sel(gene=labels[0])) * mine.rna.to_numpy()
            )
            if "delta_k" in one:
                expected = expected + one["delta_k"].sel(guide=list(mine.guide)).to_numpy()
            dense = multivariate_normal(expected, covariance_of_cells(mine, sd))
            assert found[sample, index] == pytest.approx(dense.logpdf(mine.logfc), rel=1e-10)


@pytest.mark.parametrize("model", ["m4", "m4_nested"])
def test_leaving_a_cell_out_is_refitting_without_it(model):
    """Within the Monte Carlo error of a thousand weighted draws against 8,000 of a refit."""
    rows, _ = nested_rows(6, 24, 2, 2, seed=4)
    parameters = FitParameters(model=model, engine="exact")
    design = design_from_rows(rows)
    fitted = run_engine(design, parameters)["posterior"].dataset
    loo = leave_one_cell_out(fitted, design, pareto_k_max=0.7, n_cells_of_screen=144)
    table = loo.cells.set_index(["gene", "cell_line"])
    for gene, line in (("g000", "c000"), ("g003", "c005"), ("g005", "c017")):
        mine = (rows.gene == gene) & (rows.cell_line == line)
        assert table.loc[(gene, line), "pareto_k"] < 0.6
        # RNA comes standardised: leaving rows out leaves that of the others as it is.
        again = run_engine(design_from_rows(rows[~mine]), parameters)["posterior"].dataset
        density = cell_log_likelihood(again, design)
        index = list(table.index).index((gene, line))
        truth = np.logaddexp.reduce(density[:, index]) - np.log(len(density))
        assert table.loc[(gene, line), "elpd_loo"] == pytest.approx(truth, abs=0.06)
        # What the fit that has seen the cell says of it is more than that error better.
        seen = cell_log_likelihood(fitted, design)[:, index]
        assert np.logaddexp.reduce(seen) - np.log(len(seen)) > truth


def test_totals_are_arviz_s(monkeypatch):
    rows, _ = nested_rows(5, 6, 2, 2)
    design = design_from_rows(rows)
    tree = run_engine(design, FitParameters(model="m4_nested", engine="exact"))
    posterior = tree["posterior"].dataset.isel(draw=slice(250))
    monkeypatch.setattr("model.loo.NUMBERS_AT_ONCE", 1)  # a gene at a time
    loo = leave_one_cell_out(posterior, design, pareto_k_max=0.7, n_cells_of_screen=99)
    log_likelihood = cell_log_likelihood(posterior, design).reshape(4, 250, -1)
    theirs = az.loo(
        az.from_dict({"posterior": {}, "log_likelihood": {"cell": log_likelihood}}), reff=1.0
    )
    assert loo.summary.elpd_loo == pytest.approx(theirs.elpd)
    assert loo.summary.elpd_loo_se == pytest.approx(theirs.se)
    assert loo.summary.p_loo == pytest.approx(theirs.p)
    assert loo.summary.n_cells == 30
    assert loo.summary.n_cells_of_screen == 99
    np.testing.assert_allclose(loo.cells["pareto_k"], theirs.pareto_k.to_numpy().ravel())
    assert loo.cells["gene"].tolist() == [gene for gene in design.genes for _ in range(6)]
    assert loo.cells["cell_line"].tolist() == list(design.cell_lines) * 5


def test_cells_that_cannot_be_weighed_are_counted():
    rows, _ = nested_rows(4, 24, 2, 2)
    odd = (rows.gene == "g002") & (rows.cell_line == "c003")
    design = design_from_rows(rows.assign(logfc=rows.logfc + 30 * odd))
    tree = run_engine(design, FitParameters(engine="exact"))
    loo = leave_one_cell_out(
        tree["posterior"].dataset, design, pareto_k_max=0.7, n_cells_of_screen=96
    )
    worst = loo.cells.loc[loo.cells["pareto_k"].idxmax()]
    assert (worst["gene"], worst["cell_line"]) == ("g002", "c003")
    assert worst["pareto_k"] > 0.7
    assert loo.summary.pareto_k_bad == pytest.approx((loo.cells["pareto_k"] > 0.7).mean())


def test_the_group_on_request_is_what_arviz_reads():
    rows, _ = nested_rows(4, 6, 2, 2)
    design = design_from_rows(rows)
    sampling = Sampling(draws=200, predictive_draws=200, log_likelihood=True)
    parameters = FitParameters(engine="exact", sampling=sampling)
    tree = complete(run_engine(design, parameters), design, parameters)
    theirs = az.loo(tree, reff=1.0)
    draws = thin(tree["posterior"].dataset, 200)
    own = leave_one_cell_out(draws, design, pareto_k_max=0.7, n_cells_of_screen=24)
    assert own.summary.elpd_loo == pytest.approx(theirs.elpd)
    without = FitParameters(engine="exact", sampling=Sampling(draws=200, predictive_draws=200))
    assert "log_likelihood" not in complete(run_engine(design, without), design, without)
