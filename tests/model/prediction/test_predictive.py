"""Replicates, prior draws and fitted cells agree with exact laws and with loops over rows."""

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from scipy import stats

from model.prediction.predictive import (
    data_groups,
    draw_prior,
    draws,
    fitted_cells,
    prediction_subset,
    replicated_part,
    thin,
)
from model.prediction.replicates import replicate_screens
from model.screen.design import guide_lines
from schemas.model_spec import MODEL_SPECS
from schemas.parameters import Priors
from tests.designs import NESTED_SDS, covariance_of_cells, design_from_rows, nested_rows
from tests.model.predictive_checks import expectation

ROWS = nested_rows(n_genes=6, n_lines=5, n_guides=3, n_replicates=2)[0].drop(index=[0, 3, 17, 60])
ROWS = ROWS.reset_index(drop=True)
DESIGN = design_from_rows(ROWS)
DIMS = ("chain", "draw")


def parameters(n_draws: int, sds: dict[str, float] = NESTED_SDS) -> xr.Dataset:
    """Two chains of draws of m4_nested with these SDs, labelled 2 and 5, and from 3 on."""
    chains = [draw_prior("m4_nested", DESIGN, Priors(), n_draws, seed) for seed in (1, 2)]
    both = xr.concat(chains, "chain").assign_coords(chain=[2, 5], draw=3 + np.arange(n_draws))
    return both.assign({name: both["sigma"] * 0 + sd for name, sd in sds.items()})


def test_replicates_have_the_moments_of_measurements_of_the_model():
    n_draws = 6000
    one = parameters(1).isel(chain=[0])
    repeated = one.isel(draw=[0] * n_draws)
    replicates = replicate_screens(repeated, DESIGN, "posterior", seed=1).cells
    assert replicates["cell_mean"].dims == (*DIMS, "cell")
    assert replicates["chain"].to_numpy().tolist() == [2]
    means = replicates["cell_mean"].to_numpy()[0]
    cell = ROWS.groupby(["gene", "cell_line"]).ngroup().to_numpy()
    averaging = np.eye(cell.max() + 1)[:, cell]
    averaging /= averaging.sum(axis=1, keepdims=True)
    covariance, expected = covariance_of_cells(ROWS, NESTED_SDS), expectation(one, ROWS)[0, 0]
    spread = averaging @ covariance @ averaging.T
    standard = (means - averaging @ expected) / np.sqrt(np.diag(spread))
    # 6,000 draws: a mean has an SD of 0.013, a variance one of 0.018.
    np.testing.assert_allclose(standard.mean(axis=0), 0, atol=0.06)
    np.testing.assert_allclose(np.cov(standard.T), np.eye(len(spread)), atol=0.08)
    within = np.eye(len(ROWS)) - averaging[cell]
    mean_ss = np.trace(within @ covariance) + ((within @ expected) ** 2).sum()
    assert replicates["within_cell_ss"].mean().item() == pytest.approx(mean_ss, rel=0.01)


def test_noise_between_replicates_of_a_guide_is_chi_squared_by_line():
    rows = ROWS[(ROWS.cell_line != "c003") | ~ROWS.duplicated(["guide", "cell_line"])]
    cells, random = guide_lines(design_from_rows(rows)), np.random.default_rng(1)
    draw, _ = draws(parameters(1), DESIGN)
    every = [draw.replicate(draw.expected(cells), cells, random)[1] for _ in range(2000)]
    df = (rows.groupby(["guide", "cell_line"]).size() - 1).groupby("cell_line").sum()
    for of_line, free in zip(np.transpose(every), df, strict=True):
        if free:
            assert stats.kstest(of_line / 0.5**2, stats.chi2(free).cdf).pvalue > 0.001
        else:
            assert not of_line.any()
    assert df["c003"] == 0


def test_thinned_draws_are_spread_over_each_chain():
    every = xr.Dataset({"x": (DIMS, np.arange(22).reshape(2, 11))})
    cases = {1: [0], 2: [0], 3: [0, 10], 6: [0, 5, 10], 7: [0, 3, 7, 10], 40: list(range(11))}
    for n_draws, kept in cases.items():
        expected = [kept, [11 + at for at in kept]]
        assert thin(every, n_draws)["x"].to_numpy().tolist() == expected


@pytest.mark.parametrize("name", ["m4_nested", "m4_zero_mean"])
def test_prior_draws_of_effects_scatter_about_their_mean_by_their_own_sd(name):
    own = {"mu_alpha": "Normal(5, 2)", "mu_gamma": "Normal(-3, 2)", "sigma_alpha": "HalfNormal(2)"}
    own |= {"sigma_gamma": "HalfNormal(3)", "sigma_guide": "HalfNormal(4)"}
    own |= {"sigma": "Exponential(3)"}
    prior = draw_prior(name, DESIGN, Priors.model_validate(own), 400, seed=1)
    variables = MODEL_SPECS[name].variables
    assert {key: prior[key].dims for key in prior} == {
        key: (*DIMS, *dims) for key, dims in variables.items()
    }
    assert prior["chain"].to_numpy().tolist() == [0]
    assert prior["draw"].to_numpy().tolist() == list(range(400))
    laws = {"mu_alpha": stats.norm(5, 2), "sigma_gamma": stats.halfnorm(scale=3)}
    laws |= {"sigma": stats.expon(scale=1 / 3)}
    for key, law in laws.items():
        assert stats.kstest(prior[key].to_numpy().ravel(), law.cdf).pvalue > 0.001
    for key in [key for key, dims in variables.items() if dims]:
        which, (dim,) = "guide" if key == "delta_k" else key.split("_")[0], variables[key]
        assert tuple(prior[dim].to_numpy()) == DESIGN.labels[dim]
        standard = (prior[key] - prior.get(f"mu_{which}", 0.0)) / prior[f"sigma_{which}"]
        assert stats.kstest(standard.to_numpy().ravel(), stats.norm.cdf).pvalue > 0.001
        assert np.unique(standard.round(9)).size == standard.size


def test_genes_with_no_more_cells_than_allowed_are_taken_evenly():
    """The first and the last gene have 36 cells each, the eight others 4: 72 + 4 (n - 2) of n."""
    rows, _ = nested_rows(n_genes=10, n_lines=4, n_guides=9, n_replicates=1)
    rows = rows[rows.gene.isin(["g000", "g009"]) | rows.guide.str.endswith("/0")]
    design = design_from_rows(rows)
    assert prediction_subset(design, 104) is design
    cases = {103: "012346789", 99: "01345689", 96: "01345689", 95: "0234689", 72: "09", 71: "0"}
    for most_cells, genes in (cases | {3: "0"}).items():
        assert prediction_subset(design, most_cells).genes == tuple(f"g00{gene}" for gene in genes)


def test_groups_of_data_hold_the_cells_of_the_part_that_is_replicated():
    part = DESIGN.of_genes([1, 4])
    groups = data_groups(part)
    rows = ROWS[ROWS.gene.isin(["g001", "g004"])]
    cells = rows.groupby(["gene", "cell_line"])
    means, within = cells.logfc.mean(), rows.logfc - cells.logfc.transform("mean")
    observed = xr.Dataset({"cell_mean": ("cell", means), "within_cell_ss": (within**2).sum()})
    constant = xr.Dataset(
        {
            "cell_gene": ("cell", [int(gene == "g004") for gene, _ in means.index]),
            "cell_line_of_cell": ("cell", [int(line[1:]) for _, line in means.index]),
            "count": ("cell", cells.size()),
            "rna": ("cell", cells.rna.first()),
            "rna_sd": ("gene", cells.rna.first().groupby("gene").std()),
        },
        coords={"gene": ["g001", "g004"]},
    )
    assert set(groups) == {"observed_data", "constant_data"}
    xr.testing.assert_allclose(groups["observed_data"], observed)
    xr.testing.assert_allclose(groups["constant_data"], constant)
    found = replicated_part(xr.DataTree.from_dict(groups), DESIGN)
    assert found.genes == part.genes
    assert replicated_part(xr.DataTree.from_dict(data_groups(DESIGN)), DESIGN) is DESIGN


@pytest.mark.parametrize("nested", [True, False])
def test_fitted_cell_has_mean_and_narrowest_interval_of_its_expectation(nested):
    posterior = parameters(30) if nested else parameters(30).drop_vars("delta_k")
    rows = ROWS[(ROWS.gene != "g001") | (ROWS.cell_line != "c002")]
    part = design_from_rows(rows).of_genes([1, 4])
    expected = []
    for (gene, line), cell in rows[rows.gene.isin(part.genes)].groupby(["gene", "cell_line"]):
        values = np.sort(expectation(posterior, cell).mean(axis=2).ravel())
        mass = int(0.89 * values.size)
        narrowest = np.argmin(values[mass:] - values[:-mass])
        interval = values[narrowest], values[narrowest + mass]
        of_cell = gene, line, cell.rna.iloc[0], cell.logfc.mean(), values.mean(), *interval
        expected.append(of_cell)
    columns = ["gene", "cell_line", "rna", "logfc_mean", "fitted", "hdi_low", "hdi_high"]
    found = fitted_cells(posterior, part)
    pd.testing.assert_frame_equal(found, pd.DataFrame(expected, columns=columns))
