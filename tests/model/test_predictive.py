"""Replicates, prior draws and fitted cells agree with exact laws and with loops over measurements."""

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
from schemas.posterior import CONTRACTS
from tests.designs import NESTED_SDS, covariance_of_cells, design_from_rows, nested_rows

ROWS = nested_rows(n_genes=6, n_lines=5, n_guides=3, n_replicates=2)[0].drop(index=[0, 3, 17, 60])
ROWS = ROWS.reset_index(drop=True)
DESIGN = design_from_rows(ROWS)
DIMS = ("chain", "draw")


def repeated(n_draws: int, **sds: float) -> xr.Dataset:
    """The same parameters of m4_nested in every draw; all effects differ from each other."""
    frequency = {"alpha_g": 2.0, "gamma_c": 1.5, "beta_g": 1.0, "delta_k": 2.5}
    variables: dict[str, tuple[tuple[str, ...], np.ndarray]] = {
        name: ((*DIMS, dims[0]), np.cos(frequency[name] * np.arange(len(DESIGN.labels[dims[0]]))))
        for name, dims in CONTRACTS["m4_nested"].variables.items()
        if dims
    } | {name: (DIMS, np.array(sd)) for name, sd in (NESTED_SDS | sds).items()}
    shape = (2, n_draws // 2)
    return xr.Dataset(
        {
            name: (dims, np.broadcast_to(one, shape + one.shape).copy())
            for name, (dims, one) in variables.items()
        },
        coords={"chain": [2, 5], "draw": 3 + np.arange(n_draws // 2)}
        | {dim: list(labels) for dim, labels in DESIGN.labels.items()},
    )


def moving(n_draws: int, **sds: float) -> xr.Dataset:
    """Parameters whose level and slopes grow with the number of the draw."""
    number = xr.DataArray(np.arange(n_draws, dtype=float).reshape(2, -1), dims=DIMS)
    one = repeated(n_draws, **sds)
    return one.assign(alpha_g=one["alpha_g"] + number, beta_g=one["beta_g"] * (1 + number))


def expected_rows(number: float = 0) -> pd.Series:
    """The expectation of every measurement in one draw of `moving`, the first of `repeated`."""
    codes = [ROWS[name].map(DESIGN.labels[name].index) for name in ("gene", "cell_line", "guide")]
    gene, line, guide = codes
    slope = (1 + number) * np.cos(gene)
    level = number + np.cos(2 * gene) + np.cos(1.5 * line) + np.cos(2.5 * guide)
    return level + slope * ROWS.rna


# ---- replicates


def test_replicate_without_scatter_is_the_expectation_of_its_draw():
    none = dict.fromkeys(("sigma", "sigma_gene_line", "sigma_guide_line"), 0.0)
    replicates = replicate_cells(moving(6, **none), DESIGN, seed=1)
    assert replicates["cell_mean"].dims == (*DIMS, "cell")
    assert replicates["within_cell_ss"].dims == DIMS
    assert replicates["draw"].to_numpy().tolist() == [3, 4, 5]
    assert replicates["chain"].to_numpy().tolist() == [2, 5]
    for chain, draw in np.ndindex(2, 3):
        expected = expected_rows(3 * chain + draw)
        cells = expected.groupby([ROWS.gene, ROWS.cell_line])
        got = replicates.isel(chain=chain, draw=draw)
        np.testing.assert_allclose(got["cell_mean"], cells.mean())
        squares = ((expected - cells.transform("mean")) ** 2).sum()
        assert got["within_cell_ss"].item() == pytest.approx(squares)
        part = replicate_cells(moving(6, **none), DESIGN.of_genes([1, 4]), seed=1)
        mine = cells.mean().loc[["g001", "g004"]]
        np.testing.assert_allclose(part["cell_mean"].isel(chain=chain, draw=draw), mine)


def test_replicates_have_the_moments_of_measurements_of_the_model():
    n_draws = 6000
    replicates = replicate_cells(repeated(n_draws), DESIGN, seed=1)
    means = replicates["cell_mean"].to_numpy().reshape(n_draws, -1)
    cell = ROWS.groupby(["gene", "cell_line"]).ngroup().to_numpy()
    averaging = np.eye(cell.max() + 1)[:, cell]
    averaging /= averaging.sum(axis=1, keepdims=True)
    covariance = covariance_of_cells(ROWS, NESTED_SDS)
    spread = averaging @ covariance @ averaging.T
    standard = (means - averaging @ expected_rows()) / np.sqrt(np.diag(spread))
    # 6,000 draws: a mean has an SD of 0.013, a variance one of 0.018.
    np.testing.assert_allclose(standard.mean(axis=0), 0, atol=0.06)
    np.testing.assert_allclose(np.cov(standard.T), np.eye(len(spread)), atol=0.08)
    within = np.eye(len(ROWS)) - averaging[cell]
    centred = within @ expected_rows()
    mean_ss = np.trace(within @ covariance) + centred @ centred
    assert replicates["within_cell_ss"].mean().item() == pytest.approx(mean_ss, rel=0.01)


def test_guide_line_means_and_noise_of_a_replicate_have_their_laws():
    rows = ROWS[(ROWS.cell_line != "c003") | ~ROWS.duplicated(["guide", "cell_line"])]
    cells = guide_lines(design_from_rows(rows))
    draw, _ = draws(repeated(2), DESIGN)
    random = np.random.default_rng(1)
    every = [draw.replicate(draw.expected(cells), cells, random) for _ in range(2000)]
    means, noise = (np.array(part) for part in zip(*every, strict=True))
    count = rows.groupby(["guide", "cell_line"]).size()
    sd = np.sqrt(0.35**2 + 0.3**2 + 0.5**2 / count)
    np.testing.assert_allclose(means.std(axis=0), sd, rtol=0.1)  # 6 standard errors
    for of_line, df in zip(noise.T, (count - 1).groupby("cell_line").sum(), strict=True):
        if df:
            assert stats.kstest(of_line / draw.sigma**2, stats.chi2(df).cdf).pvalue > 0.001
        else:
            assert not of_line.any()
    assert (noise == 0).all(axis=0).tolist() == [False, False, False, True, False]


def test_seed_decides_replicates_and_prior_draws():
    for once, again, other in (
        tuple(replicate_cells(repeated(4), DESIGN, seed) for seed in (1, 1, 2)),
        tuple(draw_prior("m4_nested", DESIGN, Priors(), 3, seed) for seed in (1, 1, 2)),
    ):
        xr.testing.assert_identical(once, again)
        assert all(not np.any(once[name] == other[name]) for name in once)


# ---- draws


@pytest.mark.parametrize("nested", [True, False])
def test_draws_are_of_the_genes_and_guides_of_the_part_chain_by_chain(nested):
    part, parameters = DESIGN.of_genes([1, 4]), moving(4)
    if not nested:
        parameters = parameters[["alpha_g", "gamma_c", "beta_g", "sigma"]]
    every = list(draws(parameters, part))
    assert len(every) == 4
    for number, one in enumerate(every):
        of_draw = parameters.isel(chain=number // 2, draw=number % 2)
        for name in ("alpha", "beta"):
            of_genes = of_draw[f"{name}_g"].to_series()[["g001", "g004"]]
            assert getattr(one, name).tolist() == of_genes.tolist()
        assert one.gamma.tolist() == of_draw["gamma_c"].to_numpy().tolist()
        delta = np.cos(2.5 * np.array([3, 4, 5, 12, 13, 14])) if nested else np.zeros(6)
        assert one.delta.tolist() == delta.tolist()
        sds = one.sigma, one.sigma_gene_line, one.sigma_guide_line
        assert sds == ((0.5, 0.35, 0.3) if nested else (0.5, 0, 0))


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
def test_draws_from_a_prior_have_its_law(prior, law):
    random = np.random.default_rng(1)
    drawn = draw_from(Distribution.from_text(prior), (40, 50), random)
    assert drawn.shape == (40, 50)
    assert stats.kstest(drawn.ravel(), law.cdf).pvalue > 0.001
    assert np.ndim(draw_from(Distribution.from_text(prior), (), random)) == 0


@pytest.mark.parametrize("name", ["m4_nested", "m4_zero_mean"])
def test_prior_draws_of_effects_scatter_about_their_mean_by_their_own_sd(name):
    laws = {
        "mu_alpha": ("Normal(5, 2)", stats.norm(5, 2)),
        "mu_gamma": ("Normal(-3, 2)", stats.norm(-3, 2)),
        "sigma_alpha": ("HalfNormal(1)", stats.halfnorm(scale=1)),
        "sigma_gamma": ("HalfNormal(2)", stats.halfnorm(scale=2)),
        "sigma_beta": ("HalfNormal(3)", stats.halfnorm(scale=3)),
        "sigma_guide": ("HalfNormal(4)", stats.halfnorm(scale=4)),
    }
    priors = Priors.model_validate({key: text for key, (text, _) in laws.items()})
    prior = draw_prior(name, DESIGN, priors, 400, seed=1)
    variables = CONTRACTS[name].variables
    assert {key: prior[key].dims for key in prior} == {
        key: (*DIMS, *dims) for key, dims in variables.items()
    }
    assert prior["chain"].to_numpy().tolist() == [0]
    assert prior["draw"].to_numpy().tolist() == list(range(400))
    for key in laws.keys() & variables.keys():
        assert stats.kstest(prior[key].to_numpy().ravel(), laws[key][1].cdf).pvalue > 0.001
    for key in ("alpha_g", "gamma_c", "beta_g", "delta_k"):
        if key in variables:
            which = "guide" if key == "delta_k" else key.split("_")[0]
            mean = prior.get(f"mu_{which}", 0.0)
            assert tuple(prior[variables[key][0]].to_numpy()) == DESIGN.labels[variables[key][0]]
            standard = ((prior[key] - mean) / prior[f"sigma_{which}"]).to_numpy()
            assert stats.kstest(standard.ravel(), stats.norm.cdf).pvalue > 0.001
            assert np.unique(standard.round(9)).size == standard.size


# ---- parts of a screen and its tables


@pytest.mark.parametrize(
    ("most_cells", "genes"),
    [
        (103, [0, 1, 2, 3, 4, 6, 7, 8, 9]),
        (99, [0, 1, 3, 4, 5, 6, 8, 9]),
        (96, [0, 1, 3, 4, 5, 6, 8, 9]),
        (95, [0, 2, 3, 4, 6, 8, 9]),
        (72, [0, 9]),
        (71, [0]),
        (3, [0]),
    ],
)
def test_genes_with_no_more_cells_than_allowed_are_taken_evenly(most_cells, genes):
    """The first and the last gene have 36 cells each, the eight others 4: 72 + 4 (n - 2) of n."""
    rows, _ = nested_rows(n_genes=10, n_lines=4, n_guides=9, n_replicates=1)
    rows = rows[rows.gene.isin(["g000", "g009"]) | rows.guide.str.endswith("/0")]
    design = design_from_rows(rows)
    assert looked_at(design, most_cells).genes == tuple(f"g{gene:03d}" for gene in genes)
    assert looked_at(design, 104) is design


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
    np.testing.assert_array_equal(found.count, DESIGN.count[[3, 4, 5, 12, 13, 14]])
    assert replicated_part(xr.DataTree.from_dict(data_groups(DESIGN)), DESIGN) is DESIGN


def narrowest(values: np.ndarray) -> tuple[float, float]:
    """The narrowest interval between two values with 89 % of all values inside."""
    ranked = sorted(values.tolist())
    pairs = zip(ranked, ranked[int(0.89 * len(ranked)) :], strict=False)
    return min(pairs, key=lambda interval: interval[1] - interval[0])


@pytest.mark.parametrize("with_guides", [True, False])
def test_fitted_cell_has_mean_and_narrowest_interval_of_its_expectation(with_guides):
    random = np.random.default_rng(1)
    posterior = repeated(60).map(lambda values: values + random.gamma(1, 1, values.shape))
    if not with_guides:
        posterior = posterior.drop_vars("delta_k")
    rows = ROWS[(ROWS.gene != "g001") | (ROWS.cell_line != "c002")]
    part = design_from_rows(rows).of_genes([1, 4])
    expected = []
    for (gene, line), cell in rows[rows.gene.isin(part.genes)].groupby(["gene", "cell_line"]):
        rna, of_gene = cell.rna.iloc[0], posterior.sel(gene=gene, cell_line=line)
        of_cell = of_gene["alpha_g"] + of_gene["gamma_c"] + of_gene["beta_g"] * rna
        if with_guides:
            of_cell = of_cell + posterior["delta_k"].sel(guide=cell.guide.tolist()).mean("guide")
        values = of_cell.to_numpy().ravel()
        expected.append((gene, line, rna, cell.logfc.mean(), values.mean(), *narrowest(values)))
    columns = ["gene", "cell_line", "rna", "logfc_mean", "fitted", "hdi_low", "hdi_high"]
    found = fitted_cells(posterior, part)
    pd.testing.assert_frame_equal(found, pd.DataFrame(expected, columns=columns))
