"""The score against finite differences of the density of single measurements, and what it finds."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from arviz_stats.base.array import array_stats
from scipy import stats

from model.engines import run_engine
from model.score import score_draws, scores
from schemas.parameters import FitParameters, Priors, Sampling
from schemas.posterior import CONTRACTS, GROUPS
from tests.designs import covariance_of_cells, design_from_rows, nested_rows, original_rows

PRIORS = Priors.model_validate(
    {"mu_alpha": "Normal(-0.3, 0.8)", "sigma_beta": "HalfNormal(0.7)", "sigma": "Exponential(2)"}
)
MODELS = list(CONTRACTS)
MOST_SHIFT, MOST_Z = 0.1, 5.0


def rows() -> pd.DataFrame:
    """Guides of one and two measurements a line, one gene-line cell missing."""
    rows, _ = nested_rows(n_genes=3, n_lines=4, n_guides=3, n_replicates=2)
    missing = (rows.gene == "g001") & (rows.cell_line == "c002")
    return rows[~missing].drop(rows.index[[1, 8, 11]]).reset_index(drop=True)


def log_density(table, design, point):
    """The joint density of docs/models.md, of single measurements; standard deviations as logs."""
    gene, line, guide = (
        pd.Index(labels).get_indexer(table[key])
        for key, labels in (
            ("gene", design.genes),
            ("cell_line", design.cell_lines),
            ("guide", design.guides),
        )
    )
    mean = point["alpha_g"][gene] + point["gamma_c"][line] + point["beta_g"][gene] * table.rna
    mean = mean + point.get("delta_k", np.zeros(len(design.guides)))[guide]
    sd = {"sigma_gene_line": 0.0, "sigma_guide_line": 0.0, **point}
    density = stats.multivariate_normal.logpdf(table.logfc, mean, covariance_of_cells(table, sd))
    for name, (centre, scale) in GROUPS.items():
        if name in point:
            density += stats.norm.logpdf(point[name], point.get(centre, 0), point[scale]).sum()
    families = {
        "Normal": stats.norm.logpdf,
        "Exponential": lambda x, rate: stats.expon.logpdf(x, scale=1 / rate),
        "HalfNormal": lambda x, scale: stats.halfnorm.logpdf(x, scale=scale),
    }
    for name in set(point) - set(GROUPS):
        prior = getattr(PRIORS, name)
        density += families[prior.family](point[name], *prior.arguments)
        if name.startswith("sigma"):
            density += np.log(point[name])
    return float(density)


def labelled(model, design, draws: Mapping[str, np.ndarray]) -> xr.Dataset:
    """Draws (chain, draw, ...) of all variables of a model with the labels of a design."""
    return xr.Dataset(
        {
            name: (("chain", "draw", *dims), draws[name])
            for name, dims in CONTRACTS[model].variables.items()
        },
        coords={dim: list(labels) for dim, labels in design.labels.items()},
    )


@pytest.mark.parametrize("model", MODELS)
def test_it_is_the_derivative_of_the_density_of_single_measurements(model):
    table = rows()
    design = design_from_rows(table)
    random = np.random.default_rng(1)
    point = {
        name: np.exp(random.normal(-0.5, 0.3))
        if name.startswith("sigma")
        else random.normal(0, 0.7, [len(design.labels[dim]) for dim in dims])
        for name, dims in CONTRACTS[model].variables.items()
    }
    posterior = labelled(
        model, design, {name: np.asarray(value)[None, None] for name, value in point.items()}
    )
    score = score_draws(posterior, design, PRIORS)
    step = 1e-5
    for name, value in point.items():
        for index in np.ndindex(np.shape(value)):
            ends = []
            for sign in (1, -1):
                moved = np.array(value)
                if name.startswith("sigma"):
                    moved[index] *= np.exp(sign * step)
                else:
                    moved[index] += sign * step
                ends.append(log_density(table, design, point | {name: moved}))
            expected = (ends[0] - ends[1]) / (2 * step)
            assert score[name][(0, 0, *index)] == pytest.approx(expected, rel=1e-5, abs=1e-5), name


@pytest.mark.parametrize("model", MODELS)
def test_the_table_has_mean_and_error_of_the_score_of_each_parameter(model):
    design = design_from_rows(rows())
    random = np.random.default_rng(3)
    sizes = {dim: len(labels) for dim, labels in design.labels.items()}
    draws = {
        name: np.exp(random.normal(0, 0.3, (2, 20, *(sizes[dim] for dim in dims))))
        for name, dims in CONTRACTS[model].variables.items()
    }
    posterior = labelled(model, design, draws)
    score = score_draws(posterior, design, PRIORS)
    alone = score_draws(posterior.isel(chain=[1], draw=[7]), design, PRIORS)
    for name, values in score.items():
        np.testing.assert_allclose(values[1, 7], alone[name][0, 0], err_msg=name)
    expected = []
    for name in map(str, posterior.data_vars):
        for index in np.ndindex(posterior[name].shape[2:]):
            own = score[name][(slice(None), slice(None), *index)]
            labels = [
                str(posterior[dim].to_numpy()[n])
                for dim, n in zip(posterior[name].dims[2:], index, strict=True)
            ]
            shift = own.mean() / own.std(ddof=1)
            z = own.mean() / array_stats.mcse(own, method="mean")
            expected.append((f"{name}[{labels[0]}]" if labels else name, shift, float(z)))
    table = scores(posterior, design, PRIORS)
    assert table["parameter"].tolist() == [name for name, _, _ in expected]
    np.testing.assert_allclose(table["shift"], [shift for _, shift, _ in expected])
    np.testing.assert_allclose(table["z"], [z for _, _, z in expected])


@pytest.fixture(scope="module")
def fits():
    """Exact draws of each model, of the simulated screen, for nested one with replicates."""
    drawn = {}
    for model in MODELS:
        table = nested_rows(6, 8, 3, 2)[0] if model == "m4_nested" else original_rows()
        design = design_from_rows(table)
        parameters = FitParameters(
            model=model, engine="exact", priors=PRIORS, sampling=Sampling(draws=1000, chains=4)
        )
        drawn[model] = table, design, run_engine(design, parameters)["posterior"].to_dataset()
    return drawn


def off(table: pd.DataFrame) -> set[str]:
    """The parameters whose score is not zero; what is not a number is not zero."""
    fine = (abs(table["shift"]) <= MOST_SHIFT) | (abs(table["z"]) <= MOST_Z)
    return set(table["parameter"][~fine])


@pytest.mark.parametrize("model", MODELS)
def test_draws_of_the_posterior_have_a_score_of_zero(fits, model):
    _, design, posterior = fits[model]
    table = scores(posterior, design, PRIORS)
    assert off(table) == set()
    assert abs(table["z"]).max() < MOST_Z and abs(table["shift"]).max() < MOST_SHIFT
    assert table["z"].std() == pytest.approx(1, abs=0.4)


@pytest.mark.parametrize("model", MODELS)
def test_labels_that_were_exchanged_are_found(fits, model):
    _, design, posterior = fits[model]
    order = np.arange(len(design.cell_lines))
    apart = posterior["gamma_c"].mean(("chain", "draw")).argsort().to_numpy()[[0, -1]]
    order[apart] = apart[::-1]
    exchanged = posterior.assign(gamma_c=posterior["gamma_c"].isel(cell_line=order).variable)
    found = off(scores(exchanged, design, PRIORS))
    lines = {f"gamma_c[{label}]" for label in np.array(design.cell_lines)[apart]}
    assert lines <= found and all("mu" not in name for name in found)


def test_another_prior_is_found(fits):
    _, design, posterior = fits["m4"]
    assert off(scores(posterior, design, Priors())) >= {"sigma_beta"}
    narrow = PRIORS.model_copy(update={"mu_beta": Priors.preset("as_written").mu_beta})
    assert off(scores(posterior, design, narrow)) == {"mu_beta"}


def test_other_data_and_other_rna_are_found(fits):
    table, _, posterior = fits["m4"]
    shifted = table.assign(logfc=table.logfc + 0.05 * (table.gene == "geneA"))
    assert "alpha_g[geneA]" in off(scores(posterior, design_from_rows(shifted), PRIORS))
    scaled = table.assign(rna=table.rna * 1.1)
    assert "beta_g[geneB]" in off(scores(posterior, design_from_rows(scaled), PRIORS))


def test_draws_that_do_not_move_are_no_evidence(fits):
    _, design, posterior = fits["m4"]
    still = posterior.isel(draw=[0] * 60, chain=[0, 0])
    with np.errstate(divide="raise", invalid="raise"):
        table = scores(still, design, PRIORS)
    assert len(off(table)) == len(table)
