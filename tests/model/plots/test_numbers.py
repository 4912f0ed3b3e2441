"""The numbers behind the pictures: fitted lines, adjusted means, spread around the fit."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from model.checks import predictive_checks
from model.plots.gene_effects import fitted_lines, without_line_effects
from model.spread import furthest_out, noise_by_line, spread_by, with_furthest_out


def test_a_fitted_line_has_the_slope_of_its_gene_and_the_level_of_an_average_line(small):
    posterior = small.tree["posterior"].dataset
    mean = posterior.mean()
    lines = fitted_lines(posterior, small.design, ["geneD", "geneA"])
    for gene in ("geneD", "geneA"):
        line = lines[lines["gene"] == gene]
        slope, level = np.polyfit(line["rna"], line["fitted"], 1)
        one = posterior.sel(gene=gene).mean()
        assert slope == pytest.approx(one["beta_g"].item(), abs=0.01)
        assert level == pytest.approx((one["alpha_g"] + mean["gamma_c"]).item(), abs=0.01)
        assert (line["low"] < line["fitted"]).all()
        assert (line["fitted"] < line["high"]).all()


def with_guides(fit, delta):
    """The draws of another model: guides that differ by `delta`, taken with a shift off alpha."""
    shift = xr.DataArray(np.random.default_rng(5).normal(0, 9, (4, 250)), dims=("chain", "draw"))
    of_guides = xr.DataArray(delta, {"guide": list(fit.design.guides)})
    posterior = fit.tree["posterior"].to_dataset()
    return posterior.assign(
        alpha_g=posterior["alpha_g"] - shift, delta_k=(of_guides + shift).transpose(..., "guide")
    )


def test_a_fitted_line_is_that_of_the_guides_measured(small):
    delta = np.arange(len(small.design.guides)) % 3  # 0, 1, 2 within each gene
    posterior = with_guides(small, delta)
    ours = fitted_lines(posterior, small.design, ["geneB"])
    plain = fitted_lines(small.tree["posterior"].dataset, small.design, ["geneB"])
    for column in ("fitted", "low", "high"):
        np.testing.assert_allclose(ours[column], plain[column] + 1)


def test_the_spread_is_around_the_guides_measured(small):
    delta = np.arange(len(small.design.guides)) % 3
    groups = {name: small.tree[name].to_dataset() for name in small.tree.children}
    groups["posterior"] = with_guides(small, delta)
    total = small.design.total + small.design.count * delta[:, None]
    ours = spread_by(xr.DataTree.from_dict(groups), replace(small.design, total=total), "gene")
    plain = spread_by(small.tree, small.design, "gene")
    np.testing.assert_allclose(ours["data"], plain["data"])


def test_the_spread_of_a_part_is_that_of_its_genes(large, partly):
    whole = spread_by(large.tree, large.design, "gene").set_index("gene")
    part = spread_by(partly.tree, partly.design, "gene").set_index("gene")
    assert part.index.tolist() == list(large.design.genes[::4])
    np.testing.assert_allclose(part["data"], whole.loc[part.index, "data"])
    np.testing.assert_allclose(part["middle"], whole.loc[part.index, "middle"], rtol=0.1)


def test_a_fitted_line_stays_within_the_rna_of_its_gene(small):
    line = fitted_lines(small.tree["posterior"].dataset, small.design, ["geneB"])
    rna = small.design.rna[small.design.genes.index("geneB")]
    assert (line["rna"].min(), line["rna"].max()) == (rna.min(), rna.max())


def test_the_band_is_not_widened_by_a_shift_between_alpha_and_gamma(small):
    posterior = small.tree["posterior"].dataset
    shift = xr.DataArray(np.random.default_rng(5).normal(0, 50, (4, 250)), dims=("chain", "draw"))
    shifted = posterior.assign(
        alpha_g=posterior["alpha_g"] + shift, gamma_c=posterior["gamma_c"] - shift
    )
    straight, moved = (fitted_lines(p, small.design, ["geneA"]) for p in (posterior, shifted))
    np.testing.assert_allclose(moved["high"], straight["high"])


def test_without_line_effects_the_points_lie_along_the_line(small):
    posterior = small.tree["posterior"].dataset
    points = without_line_effects(posterior, small.design, ["geneA"])
    line = fitted_lines(posterior, small.design, ["geneA"])
    away = points["logfc"] - np.interp(points["rna"], line["rna"], line["fitted"])
    assert np.sqrt(np.mean(away**2)) < 0.3  # noise of a mean of three is 0.17; gamma's SD is 3


def test_the_spread_of_the_data_is_that_of_replicates_where_the_model_holds(large):
    table = spread_by(large.tree, large.design, "gene")
    inside = table["data"].between(table["low"], table["high"])
    assert table["gene"].tolist() == list(large.design.genes)
    assert inside.mean() > 0.8
    sigma = large.tree["posterior"]["sigma"].mean().item()
    assert table["data"].mean() == pytest.approx(sigma, rel=0.05)
    assert table["middle"].mean() == pytest.approx(sigma, rel=0.05)


def test_a_gene_noisier_than_the_model_allows_stands_out(large):
    noisy = large.design.genes.index("GENE3 (10003)")
    total = large.design.total.copy()
    own = large.design.guide_gene == noisy
    total[own] += np.random.default_rng(6).normal(0, 2, total[own].shape)
    table = spread_by(large.tree, replace(large.design, total=total), "gene").set_index("gene")
    excess = table["data"] / table["high"]
    assert excess.idxmax() == "GENE3 (10003)"
    assert excess.max() > 2


def test_a_line_noisier_than_the_model_allows_stands_out(large):
    total = large.design.total.copy()
    total[:, 5] += np.random.default_rng(6).normal(0, 2, len(total))
    table = spread_by(large.tree, replace(large.design, total=total), "cell_line")
    assert table["cell_line"].tolist() == list(large.design.cell_lines)
    excess = (table["data"] / table["high"]).to_numpy()
    assert excess.argmax() == 5 and excess[5] > 2
    assert np.median(excess) < 1
    (worst, ratio), *others = furthest_out(table)
    assert worst == large.design.cell_lines[5] and ratio > 2
    assert len(others) <= 2 and all(other < ratio for _, other in others)


def test_a_line_whose_replicates_disagree_stands_out(large):
    one, sigma = large.design, large.tree["posterior"]["sigma"].mean().item()
    # The same means, of two replicates each that lie apart as the model has it.
    guides = np.zeros_like(one.sum_of_squares)
    np.add.at(guides, one.guide_gene, one.count > 0)
    within = sigma**2 * np.random.default_rng(7).chisquare(np.maximum(guides, 1)) * (guides > 0)
    twice = replace(
        one,
        count=2 * one.count,
        total=2 * one.total,
        sum_of_squares=2 * one.sum_of_squares + within,
    )
    before = noise_by_line(large.tree, twice)
    assert before["data"].between(before["low"], before["high"]).mean() > 0.7
    assert before["middle"].to_numpy() == pytest.approx(sigma, rel=0.02)
    squares = twice.sum_of_squares.copy()
    squares[:, 5] += guides[:, 5]  # an SD of a little more than 1 between replicates
    after = noise_by_line(large.tree, replace(twice, sum_of_squares=squares))
    assert furthest_out(after)[0][0] == one.cell_lines[5]


def test_what_is_furthest_out_is_named_either_way_and_what_is_inside_is_not():
    table = pd.DataFrame({"cell_line": list("ABCDE"), "low": 0.5, "middle": 1.0, "high": 2.0})
    table["data"] = [1.9, 3.0, 0.25, 2.5, 2.1]
    assert furthest_out(table) == (("C", 0.25), ("B", 3.0), ("D", 2.5))
    assert furthest_out(table.assign(data=1.0)) == ()
    assert furthest_out(table.assign(data=np.nan)) == ()


def test_posterior_checks_of_genes_and_lines_name_what_is_furthest_out(large):
    total = large.design.total.copy()
    total[:, 5] += np.random.default_rng(6).normal(0, 2, len(total))
    checks = predictive_checks(large.quantities)
    named = with_furthest_out(checks, large.tree, replace(large.design, total=total))
    by_name = {(check.name, check.stage): check.furthest_out for check in named}
    assert by_name["line_residual_spread", "posterior"][0][0] == large.design.cell_lines[5]
    assert [check.name for check in named] == [check.name for check in checks]
    assert not any(out for (name, _), out in by_name.items() if "spread" not in name)
