"""PSIS-LOO by gene-line cell agrees with dense normals, with ArviZ and with refits."""

import arviz as az
import numpy as np
import pandas as pd
import pytest
import xarray as xr
from scipy.stats import multivariate_normal

from model.engines.run import run_engine
from model.prediction.loo import cell_log_likelihood, leave_one_pair_out, log_likelihood_group
from model.screen.design import ScreenDesign
from schemas.model_spec import MODEL_SPECS
from schemas.parameters import FitParameters
from tests.designs import covariance_of_cells, design_from_rows, nested_rows, random_draws
from tests.model.engines.exact.pieces import MODELS, random_rows
from tests.model.predictive_checks import expectation

SDS = ("sigma", "sigma_gene_line", "sigma_guide_line")


@pytest.mark.parametrize(("model", "seed"), zip(MODELS, range(3), strict=True))
def test_likelihood_of_a_cell_is_the_dense_normal_of_its_measurements(model, seed):
    rows = random_rows(seed)
    design = design_from_rows(rows)
    parameters = random_draws(MODEL_SPECS[model], design.labels, 2, 3, seed)
    parameters = parameters.assign_coords(chain=[4, 7], draw=[10, 20, 30])
    none, expected = dict.fromkeys(SDS, 0.0), []
    for _, cell in rows.groupby(["gene", "cell_line"]):
        means = expectation(parameters, cell)
        for chain, draw in np.ndindex(2, 3):
            one = parameters.isel(chain=chain, draw=draw)
            sd = none | {name: float(one[name]) for name in SDS if name in one}
            normal = multivariate_normal(means[chain, draw], covariance_of_cells(cell, sd))
            expected.append(normal.logpdf(cell.logfc))
    whole = np.reshape(expected, (-1, 6)).T
    group = log_likelihood_group(parameters, design)["logfc"]
    assert group.dims == ("chain", "draw", "cell")
    assert group["chain"].to_numpy().tolist() == [4, 7]
    assert group["draw"].to_numpy().tolist() == [10, 20, 30]
    np.testing.assert_allclose(group.to_numpy().reshape(6, -1), whole, rtol=1e-10)
    part = cell_log_likelihood(parameters, design.of_genes([0, 2]))
    cells = rows.groupby(["gene", "cell_line"]).size().index
    np.testing.assert_allclose(part, whole[:, cells.get_level_values(0) != "g1"], rtol=1e-10)


def test_leaving_a_cell_out_equals_a_refit_without_it():
    """Tolerance: Monte Carlo error of a thousand weighted draws and of 8,000 of a refit."""
    rows, _ = nested_rows(12, 12, 2, 2, seed=4)
    parameters = FitParameters(model="m4", engine="exact")
    design = design_from_rows(rows)
    fitted = run_engine(design, parameters)["posterior"].dataset
    loo = leave_one_pair_out(fitted, design, pareto_k_max=0.7, n_cells_of_screen=144)
    table = loo.cells.set_index(["gene", "cell_line"])
    seen = cell_log_likelihood(fitted, design)
    for cell in (("g003", "c005"), ("g005", "c007")):
        mine = (rows.gene == cell[0]) & (rows.cell_line == cell[1])
        assert table.loc[cell, "pareto_k"] < 0.6
        # RNA is standardised already: that of the other cells stays as it is.
        again = run_engine(design_from_rows(rows[~mine]), parameters)["posterior"].dataset
        index = list(table.index).index(cell)
        unseen = cell_log_likelihood(again, design)[:, index]
        truth, optimistic = (
            np.logaddexp.reduce(density) - np.log(len(density))
            for density in (unseen, seen[:, index])
        )
        assert table.loc[cell, "elpd_loo"] == pytest.approx(truth, abs=0.06)
        assert optimistic > truth


def test_table_and_totals_are_those_of_arviz_for_thinned_draws(monkeypatch):
    """Genes are computed in two pieces."""
    rows = random_rows(3)
    design = design_from_rows(rows)
    alike = random_draws(MODEL_SPECS["m4_nested"], design.labels, 2, 1).isel(draw=[0] * 60)
    random = np.random.default_rng(1)
    draws = alike.map(lambda values: values + random.uniform(0, 0.3, values.shape))
    evenly = draws.isel(draw=[round(59 / 29 * index) for index in range(30)])
    group = log_likelihood_group(evenly, design)
    theirs = az.loo(
        xr.DataTree.from_dict({"posterior": evenly, "log_likelihood": group}),
        reff=1.0,
        pointwise=True,
    )
    elpd, pareto_k = theirs.elpd_i.to_numpy().ravel(), theirs.pareto_k.to_numpy().ravel()
    third = float(np.sort(pareto_k)[-3])
    seen: list[str] = []

    def spied(parameters: xr.Dataset, part: ScreenDesign) -> np.ndarray:
        seen.append("".join(part.genes))
        return cell_log_likelihood(parameters, part)

    numbers = 60 * len(rows.groupby(["guide", "cell_line"]))
    monkeypatch.setattr("model.prediction.loo.cell_log_likelihood", spied)
    monkeypatch.setattr("model.prediction.loo.LOO_DRAWS", 60)
    monkeypatch.setattr("model.prediction.loo.NUMBERS_AT_ONCE", numbers - 1)
    loo = leave_one_pair_out(draws, design, pareto_k_max=third, n_cells_of_screen=99)
    assert sorted(seen) == ["g0g1", "g2"]
    expected = rows.groupby(["gene", "cell_line"]).size().index.to_frame(index=False)
    expected = expected.assign(elpd_loo=elpd, pareto_k=pareto_k)
    pd.testing.assert_frame_equal(loo.cells, expected, rtol=1e-12, check_dtype=False)
    assert loo.summary.model_dump() == pytest.approx(
        {
            "elpd_loo": elpd.sum(),
            "elpd_loo_se": pd.Series(elpd).std() * len(elpd) ** 0.5,
            "p_loo": theirs.p,
            "pareto_k_bad": 2 / len(elpd),
            "n_cells": len(elpd),
            "n_cells_of_screen": 99,
        }
    )
