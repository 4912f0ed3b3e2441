"""Replicates of the nested model, and of a part of a large screen."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from model.checks import predictive_checks, replicated_quantities
from model.engines import complete
from model.guide_lines import guide_lines
from model.predictive import (
    data_groups,
    draw_prior,
    fitted_cells,
    looked_at,
    replicate_cells,
    replicated_part,
)
from schemas.parameters import FitParameters, Priors, Sampling
from schemas.posterior import CONTRACTS
from tests.designs import NESTED_SDS, covariance_of_cells, design_from_rows, nested_rows

ROWS = nested_rows(n_genes=6, n_lines=5, n_guides=3, n_replicates=2)[0].drop(index=[0, 3, 17, 60])
ROWS = ROWS.reset_index(drop=True)
DESIGN = design_from_rows(ROWS)
DIMS = ("chain", "draw")


def fixed(n_draws: int, **values: float) -> xr.Dataset:
    """The same parameters again and again, those of m4_nested, all effects different."""
    group = {
        name: (
            (*DIMS, dim),
            np.broadcast_to(np.cos(frequency * np.arange(n)), (2, n_draws // 2, n)),
        )
        for name, dim, n, frequency in (
            ("alpha_g", "gene", len(DESIGN.genes), 2.0),
            ("gamma_c", "cell_line", len(DESIGN.cell_lines), 1.5),
            ("beta_g", "gene", len(DESIGN.genes), 1.0),
            ("delta_k", "guide", len(DESIGN.guides), 2.5),
        )
    }
    sds = {
        name: (DIMS, np.full((2, n_draws // 2), sd)) for name, sd in (NESTED_SDS | values).items()
    }
    labels = {"gene": DESIGN.genes, "cell_line": DESIGN.cell_lines, "guide": DESIGN.guides}
    return xr.Dataset(
        {**group, **sds},
        coords={"chain": [0, 1], "draw": np.arange(n_draws // 2)}
        | {dim: list(of_dim) for dim, of_dim in labels.items()},
    )


def expected_rows() -> np.ndarray:
    """The expectation of every measurement under `fixed`."""
    one = fixed(2).isel(chain=0, draw=0)
    gene, line, guide = (
        xr.DataArray(ROWS[name].to_numpy(), dims="row") for name in ("gene", "cell_line", "guide")
    )
    return (
        one["alpha_g"].sel(gene=gene).to_numpy()
        + one["gamma_c"].sel(cell_line=line).to_numpy()
        + one["beta_g"].sel(gene=gene).to_numpy() * ROWS["rna"].to_numpy()
        + one["delta_k"].sel(guide=guide).to_numpy()
    )


def test_guide_lines_are_the_groups_of_the_rows():
    cells = guide_lines(DESIGN)
    groups = ROWS.groupby(["guide", "cell_line"]).logfc
    np.testing.assert_allclose(cells.mean, groups.mean())
    np.testing.assert_array_equal(cells.count, groups.size())
    assert cells.within_ss == pytest.approx(((ROWS.logfc - groups.transform("mean")) ** 2).sum())
    assert cells.within_df == len(ROWS) - len(groups)
    squares = ((ROWS.logfc - groups.transform("mean")) ** 2).groupby(ROWS.cell_line).sum()
    np.testing.assert_allclose(cells.line_within_ss, squares)
    by_line = ROWS.groupby("cell_line").guide
    np.testing.assert_array_equal(cells.line_within_df, by_line.size() - by_line.nunique())
    gene_lines = DESIGN.cells
    np.testing.assert_array_equal(gene_lines.gene[cells.cell], cells.gene)
    np.testing.assert_array_equal(gene_lines.cell_line[cells.cell], cells.cell_line)
    assert cells.n_gene_lines == gene_lines.gene.size


def test_replicates_have_the_moments_of_measurements_of_the_model():
    n_draws = 6000
    replicates = replicate_cells(fixed(n_draws), DESIGN, seed=1)
    means = replicates["cell_mean"].to_numpy().reshape(n_draws, -1)
    cell = ROWS.groupby(["gene", "cell_line"]).ngroup().to_numpy()
    averaging = np.eye(cell.max() + 1)[:, cell]
    averaging /= averaging.sum(axis=1, keepdims=True)
    covariance = covariance_of_cells(ROWS, NESTED_SDS)
    expected = averaging @ expected_rows()
    spread = averaging @ covariance @ averaging.T
    standard = (means - expected) / np.sqrt(np.diag(spread))
    # 6,000 draws: a mean has an SD of 0.013, a variance one of 0.018.
    np.testing.assert_allclose(standard.mean(axis=0), 0, atol=0.06)
    np.testing.assert_allclose(np.cov(standard.T), np.eye(len(spread)), atol=0.08)

    within = np.eye(len(ROWS)) - averaging[cell]
    centred = within @ expected_rows()
    mean_ss = np.trace(within @ covariance) + centred @ centred
    assert replicates["within_cell_ss"].mean().item() == pytest.approx(mean_ss, rel=0.01)


def test_without_guide_effects_the_replicates_are_those_of_m4():
    m4 = fixed(4000)[["alpha_g", "gamma_c", "beta_g", "sigma"]]
    replicates = replicate_cells(m4, DESIGN, seed=1)
    cells = DESIGN.cells
    noise = NESTED_SDS["sigma"] / np.sqrt(cells.count)
    sd = replicates["cell_mean"].std(DIMS).to_numpy()
    np.testing.assert_allclose(sd / noise, 1, atol=0.06)
    per_df = replicates["within_cell_ss"] / NESTED_SDS["sigma"] ** 2 / cells.within_df
    assert per_df.mean().item() == pytest.approx(1, abs=0.01)
    assert per_df.var().item() == pytest.approx(2 / cells.within_df, rel=0.1)


def test_checks_take_guides_as_they_are_and_the_other_effects_anew():
    rows = ROWS.assign(
        logfc=np.random.default_rng(2).multivariate_normal(
            expected_rows(), covariance_of_cells(ROWS, NESTED_SDS)
        )
    )
    design = design_from_rows(rows)

    def p_values(parameters: xr.Dataset) -> dict[str, float]:
        return {
            check.name: check.p_value
            for check in predictive_checks(
                replicated_quantities(parameters, design, "posterior", seed=1)
            )
        }

    calm = p_values(fixed(400))
    assert all(0.005 < p < 0.995 for p in calm.values()), calm
    without_guides = fixed(400)
    without_guides["delta_k"] = without_guides["delta_k"] * 0
    assert p_values(without_guides)["guide_variance"] < 0.1 * calm["guide_variance"]
    none = dict.fromkeys(("sigma_gene_line", "sigma_guide_line"), 0.0)
    assert p_values(fixed(400, **none))["sd"] < 0.1 * calm["sd"]


def test_the_fit_of_a_cell_has_its_guides_by_their_measurements():
    table = fitted_cells(fixed(10), DESIGN)
    rows = ROWS.assign(expected=expected_rows()).groupby(["gene", "cell_line"])
    np.testing.assert_allclose(table.fitted, rows.expected.mean())
    np.testing.assert_allclose(table.logfc_mean, rows.logfc.mean())


def test_prior_draws_of_the_nested_model():
    priors = Priors.model_validate({"sigma_guide": "HalfNormal(3)", "mu_gamma": "Normal(4, 0.1)"})
    prior = draw_prior("m4_nested", DESIGN, priors, 4000, seed=1)
    assert {name: prior[name].dims[2:] for name in prior} == CONTRACTS["m4_nested"].variables
    assert tuple(prior["guide"].to_numpy()) == DESIGN.guides
    assert (prior["delta_k"] / prior["sigma_guide"]).std().item() == pytest.approx(1, abs=0.02)
    assert prior["sigma_guide"].mean().item() == pytest.approx(3 * np.sqrt(2 / np.pi), abs=0.1)
    assert prior["gamma_c"].mean().item() == pytest.approx(4, abs=0.1)


def test_a_screen_that_fits_is_looked_at_whole():
    n_cells = np.count_nonzero(DESIGN.count)
    assert looked_at(DESIGN, n_cells) is DESIGN
    assert looked_at(DESIGN, n_cells - 1) is not DESIGN


@pytest.mark.parametrize(
    ("most_cells", "genes"),
    [(89, (0, 1, 2, 4, 5)), (45, (0, 2, 5)), (30, (0, 5)), (1, (0,))],
)
def test_genes_are_taken_evenly(most_cells, genes):
    part = looked_at(DESIGN, most_cells)
    assert part.genes == tuple(DESIGN.genes[index] for index in genes)
    assert np.count_nonzero(part.count) <= most_cells or len(genes) == 1


def test_a_gene_with_very_many_guides_does_not_burst_the_limit():
    rows, _ = nested_rows(n_genes=10, n_lines=4, n_guides=9, n_replicates=1)
    rows = rows[rows.gene.isin(["g000", "g009"]) | rows.guide.str.endswith("/0")]
    design = design_from_rows(rows)  # two genes of 36 cells, eight of 4
    assert np.count_nonzero(looked_at(design, 75).count) <= 75


def test_a_part_is_replicated_as_that_part_of_the_whole():
    part = DESIGN.of_genes([1, 4])
    replicates = replicate_cells(fixed(3000), part, seed=1)["cell_mean"].mean(DIMS)
    cells = ROWS.assign(expected=expected_rows()).groupby(["gene", "cell_line"]).expected.mean()
    np.testing.assert_allclose(replicates, cells.loc[["g001", "g004"]], atol=0.06)


def test_a_large_screen_is_completed_with_a_part_of_its_genes():
    design = design_from_rows(nested_rows(n_genes=30, n_lines=20, n_guides=2, n_replicates=1)[0])
    parameters = FitParameters(
        model="m4_nested", sampling=Sampling(predictive_draws=50, predictive_cells=1000)
    )
    posterior = draw_prior("m4_nested", design, Priors(), 100, seed=1)
    statistics = xr.Dataset({"diverging": (DIMS, np.zeros((1, 100), bool))})
    tree = complete(
        xr.DataTree.from_dict({"posterior": posterior, "sample_stats": statistics}),
        design,
        parameters,
    )
    part = replicated_part(tree, design)
    assert len(part.genes) == 25
    assert (part.genes[0], part.genes[-1]) == ("g000", "g029")
    constant = tree["constant_data"].dataset
    named = constant["gene"].to_numpy()[constant["cell_gene"].to_numpy()]
    assert named.tolist() == [part.genes[index] for index in part.cells.gene]
    assert tree["posterior"].sizes["gene"] == 30
    for group in ("posterior_predictive", "prior_predictive", "observed_data"):
        assert tree[group].sizes["cell"] == 500
    observed = tree["observed_data"].to_dataset()
    xr.testing.assert_equal(observed, data_groups(part)["observed_data"])
