"""Replicates, draws of the prior and parts of a screen: as laws and a loop over rows have them."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from scipy import stats

from model.guide_lines import guide_lines
from model.predictive import (
    data_groups,
    draw_from,
    draw_prior,
    draws,
    fitted_cells,
    looked_at,
    replicate_cells,
    replicated_part,
    thin,
)
from schemas.parameters import Distribution, Priors
from tests.designs import design_from_rows, nested_rows
from tests.model.test_predictive import DESIGN, DIMS, ROWS, expected_rows, fixed

NO_SCATTER = dict.fromkeys(("sigma", "sigma_gene_line", "sigma_guide_line"), 0.0)


def moving(n_draws: int, **values: float) -> xr.Dataset:
    """Parameters that differ from draw to draw, each draw's level by its own number."""
    parameters = fixed(n_draws, **values)
    number = np.arange(n_draws, dtype=float).reshape(2, -1)
    return parameters.assign(
        alpha_g=parameters["alpha_g"] + xr.DataArray(number, dims=DIMS),
        beta_g=parameters["beta_g"] * xr.DataArray(1 + number, dims=DIMS),
    )


def by_hand(parameters: xr.Dataset, chain: int, draw: int) -> np.ndarray:
    """The expectation of every measurement in one draw of `moving`."""
    number = chain * parameters.sizes["draw"] + draw
    beta = np.cos([int(gene[1:]) for gene in ROWS.gene])  # of `fixed`
    return expected_rows() + number + number * beta * ROWS.rna.to_numpy()


# ---- replicates


def test_without_scatter_a_replicate_is_the_expectation_of_its_draw():
    parameters = moving(6, **NO_SCATTER).assign_coords(chain=[2, 5], draw=[3, 4, 7])
    replicates = replicate_cells(parameters, DESIGN, seed=1)
    assert replicates["cell_mean"].dims == (*DIMS, "cell")
    assert replicates["within_cell_ss"].dims == DIMS
    assert replicates["draw"].to_numpy().tolist() == [3, 4, 7]
    assert replicates["chain"].to_numpy().tolist() == [2, 5]
    for chain, draw in np.ndindex(2, 3):
        expected = pd.Series(by_hand(parameters, chain, draw))
        cells = expected.groupby([ROWS.gene, ROWS.cell_line])
        got = replicates.isel(chain=chain, draw=draw)
        np.testing.assert_allclose(got["cell_mean"], cells.mean())
        apart = ((expected - cells.transform("mean")) ** 2).sum()
        assert got["within_cell_ss"].item() == pytest.approx(apart)


def test_an_effect_of_a_gene_in_a_line_moves_its_guides_together():
    parameters = fixed(200, **NO_SCATTER | {"sigma_gene_line": 2.0})
    replicates = replicate_cells(parameters, DESIGN, seed=1)
    expected = pd.Series(expected_rows()).groupby([ROWS.gene, ROWS.cell_line])
    apart = ((expected_rows() - expected.transform("mean")) ** 2).sum()
    np.testing.assert_allclose(replicates["within_cell_ss"], apart)
    effects = (replicates["cell_mean"] - expected.mean().to_numpy()).to_numpy()
    assert effects.std() == pytest.approx(2, rel=0.05)  # 6,000 effects
    assert effects.mean() == pytest.approx(0, abs=0.1)
    assert np.unique(effects.round(9)).size == effects.size


def test_means_and_noise_of_a_replicate_have_their_laws():
    cells = guide_lines(DESIGN)
    draw, _ = draws(fixed(2), DESIGN)
    random = np.random.default_rng(1)
    every = [draw.replicate(draw.expected(cells), cells, random) for _ in range(2000)]
    means, noise = (np.array(part) for part in zip(*every, strict=True))
    count = ROWS.groupby(["guide", "cell_line"]).size().to_numpy()
    sd = np.sqrt(0.35**2 + 0.3**2 + 0.5**2 / count)
    np.testing.assert_allclose(means.std(axis=0), sd, rtol=0.1)  # 6 standard errors
    df = (ROWS.groupby(["guide", "cell_line"]).size() - 1).groupby("cell_line").sum()
    for of_line, free in zip(noise.T, df, strict=True):
        assert stats.kstest(of_line / draw.sigma**2, stats.chi2(free).cdf).pvalue > 0.001


def test_a_line_without_replicates_has_no_noise_between_them():
    design = design_from_rows(ROWS.drop_duplicates(["guide", "cell_line"]))
    draw, _ = draws(fixed(2), design)
    cells = guide_lines(design)
    _, noise = draw.replicate(draw.expected(cells), cells, np.random.default_rng(1))
    assert noise.tolist() == [0] * 5


def test_the_seed_decides_what_is_replicated_and_drawn_from_the_prior():
    for once, again, other in (
        tuple(replicate_cells(fixed(4), DESIGN, seed) for seed in (1, 1, 2)),
        tuple(draw_prior("m4_nested", DESIGN, Priors(), 3, seed) for seed in (1, 1, 2)),
    ):
        xr.testing.assert_identical(once, again)
        assert all(not np.any(once[name] == other[name]) for name in once)


# ---- draws


def test_draws_are_those_of_the_genes_and_guides_of_the_part_chain_by_chain():
    part = DESIGN.of_genes([1, 4])
    parameters = moving(4)
    every = list(draws(parameters, part))
    assert len(every) == 4
    for number, one in enumerate(every):
        of_draw = parameters.isel(chain=number // 2, draw=number % 2)
        for name in ("alpha", "beta"):
            expected = of_draw[f"{name}_g"].to_series()[["g001", "g004"]]
            assert getattr(one, name).tolist() == expected.tolist()
        assert one.gamma.tolist() == of_draw["gamma_c"].to_numpy().tolist()
        guides = [f"{gene}/{guide}" for gene in ("g001", "g004") for guide in range(3)]
        assert one.delta.tolist() == of_draw["delta_k"].to_series()[guides].tolist()
        assert (one.sigma, one.sigma_gene_line, one.sigma_guide_line) == (0.5, 0.35, 0.3)


def test_draws_of_a_model_without_guides_have_no_effects_of_them():
    part = DESIGN.of_genes([1, 4])
    every = list(draws(moving(4)[["alpha_g", "gamma_c", "beta_g", "sigma"]], part))
    assert [one.alpha[0] for one in every] == pytest.approx(np.cos(2) + np.arange(4))
    for one in every:
        assert one.delta.tolist() == [0] * 6
        assert (one.sigma_gene_line, one.sigma_guide_line) == (0, 0)


@pytest.mark.parametrize(
    ("n_draws", "kept"),
    [(1, [0]), (2, [0]), (3, [0, 10]), (6, [0, 5, 10]), (7, [0, 3, 7, 10]), (40, list(range(11)))],
)
def test_thinned_draws_are_spread_over_each_chain(n_draws, kept):
    number = np.arange(22).reshape(2, 11)
    thinned = thin(xr.Dataset({"x": (DIMS, number)}), n_draws)
    assert thinned["x"].to_numpy().tolist() == [kept, [11 + at for at in kept]]


# ---- the prior


@pytest.mark.parametrize(
    ("prior", "law"),
    [
        ("Normal(4, 0.5)", stats.norm(4, 0.5)),
        ("Exponential(3)", stats.expon(scale=1 / 3)),
        ("HalfNormal(2)", stats.halfnorm(scale=2)),
    ],
)
def test_what_is_drawn_from_a_prior_has_its_law(prior, law):
    random = np.random.default_rng(1)
    drawn = draw_from(Distribution.from_text(prior), (40, 50), random)
    assert drawn.shape == (40, 50)
    assert stats.kstest(drawn.ravel(), law.cdf).pvalue > 0.001
    assert np.ndim(draw_from(Distribution.from_text(prior), (), random)) == 0


def test_effects_of_the_prior_scatter_about_their_mean_by_their_own_sd():
    priors = Priors.model_validate(
        {
            "mu_alpha": "Normal(5, 2)", "sigma_alpha": "HalfNormal(1)",
            "mu_gamma": "Normal(-3, 2)", "sigma_gamma": "HalfNormal(2)",
            "mu_beta": "Normal(1, 2)", "sigma_beta": "HalfNormal(3)",
            "sigma_guide": "HalfNormal(4)",
        }
    )  # fmt: skip
    prior = draw_prior("m4_nested", DESIGN, priors, 400, seed=1)
    assert set(prior.coords) == {"chain", "draw", "gene", "cell_line", "guide"}
    assert prior["chain"].to_numpy().tolist() == [0]
    assert prior["draw"].to_numpy().tolist() == list(range(400))
    for name, mean, sd, dim in (
        ("alpha_g", prior["mu_alpha"], "sigma_alpha", "gene"),
        ("gamma_c", prior["mu_gamma"], "sigma_gamma", "cell_line"),
        ("beta_g", prior["mu_beta"], "sigma_beta", "gene"),
        ("delta_k", 0.0, "sigma_guide", "guide"),
    ):
        assert prior[name].dims == (*DIMS, dim)
        assert tuple(prior[dim].to_numpy()) == DESIGN.labels[dim]
        standard = ((prior[name] - mean) / prior[sd]).to_numpy()
        assert stats.kstest(standard.ravel(), stats.norm.cdf).pvalue > 0.001
        assert np.unique(standard.round(9)).size == standard.size


# ---- parts of a screen and its tables


@pytest.mark.parametrize(
    ("most_cells", "genes"),
    [
        (104, list(range(10))),
        (103, [0, 1, 2, 3, 4, 6, 7, 8, 9]),
        (99, [0, 1, 3, 4, 5, 6, 8, 9]),
        (96, [0, 1, 3, 4, 5, 6, 8, 9]),
        (95, [0, 2, 3, 4, 6, 8, 9]),
        (72, [0, 9]),
        (71, [0]),
        (3, [0]),
    ],
)
def test_as_many_genes_are_taken_as_have_no_more_cells(most_cells, genes):
    rows, _ = nested_rows(n_genes=10, n_lines=4, n_guides=9, n_replicates=1)
    rows = rows[rows.gene.isin(["g000", "g009"]) | rows.guide.str.endswith("/0")]
    # The first and the last gene have 36 cells each, the eight others 4: 72 + 4 (n - 2) of n.
    part = looked_at(design_from_rows(rows), most_cells)
    assert part.genes == tuple(f"g{gene:03d}" for gene in genes)


def test_the_part_replicated_is_that_of_the_genes_of_the_data():
    tree = xr.DataTree.from_dict(data_groups(DESIGN.of_genes([1, 4])))
    part = replicated_part(tree, DESIGN)
    assert part.genes == ("g001", "g004")
    np.testing.assert_array_equal(part.count, DESIGN.count[[3, 4, 5, 12, 13, 14]])
    assert replicated_part(xr.DataTree.from_dict(data_groups(DESIGN)), DESIGN) is DESIGN


def test_the_data_of_a_tree_are_the_groups_of_the_rows():
    groups = data_groups(DESIGN)
    cells = ROWS.groupby(["gene", "cell_line"])
    within = ((ROWS.logfc - cells.logfc.transform("mean")) ** 2).sum()
    means = cells.logfc.mean()
    observed = xr.Dataset({"cell_mean": ("cell", means), "within_cell_ss": within})
    assert set(groups) == {"observed_data", "constant_data"}
    xr.testing.assert_allclose(groups["observed_data"], observed)
    constant = xr.Dataset(
        {
            "cell_gene": ("cell", [int(gene[1:]) for gene, _ in means.index]),
            "cell_line_of_cell": ("cell", [int(line[1:]) for _, line in means.index]),
            "count": ("cell", cells.size()),
            "rna": ("cell", cells.rna.first()),
            "rna_sd": ("gene", cells.rna.first().groupby("gene").std()),
        },
        coords={"gene": list(DESIGN.genes)},
    )
    xr.testing.assert_allclose(groups["constant_data"], constant)


def narrowest(values: np.ndarray) -> tuple[float, float]:
    """The narrowest interval from one value to the one 89 % of all further up."""
    ranked = sorted(values.tolist())
    n_inside = int(0.89 * len(ranked))
    return min(
        zip(ranked, ranked[n_inside:], strict=False), key=lambda interval: interval[1] - interval[0]
    )


@pytest.mark.parametrize("with_guides", [True, False])
def test_a_fitted_cell_has_mean_and_narrowest_interval_of_its_expectation(with_guides):
    random = np.random.default_rng(1)
    posterior = fixed(60)
    posterior = posterior + xr.Dataset(
        {
            name: (posterior[name].dims, random.gamma(1, 1, posterior[name].shape))
            for name in posterior
        }
    )
    if not with_guides:
        posterior = posterior.drop_vars("delta_k")
    rows = ROWS[(ROWS.gene != "g001") | (ROWS.cell_line != "c002")]
    part = design_from_rows(rows).of_genes([1, 4])
    expected = []
    for (gene, line), cell in rows[rows.gene.isin(part.genes)].groupby(["gene", "cell_line"]):
        draws_of_cell = (
            posterior["alpha_g"].sel(gene=gene)
            + posterior["gamma_c"].sel(cell_line=line)
            + posterior["beta_g"].sel(gene=gene) * cell.rna.iloc[0]
        )
        if with_guides:
            draws_of_cell = draws_of_cell + posterior["delta_k"].sel(
                guide=cell.guide.tolist()
            ).mean("guide")
        values = draws_of_cell.to_numpy().ravel()
        of_cell = (gene, line, cell.rna.iloc[0], cell.logfc.mean(), values.mean())
        expected.append((*of_cell, *narrowest(values)))
    pd.testing.assert_frame_equal(
        fitted_cells(posterior, part),
        pd.DataFrame(
            expected,
            columns=["gene", "cell_line", "rna", "logfc_mean", "fitted", "hdi_low", "hdi_high"],
        ),
    )
