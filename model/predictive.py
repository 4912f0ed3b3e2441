"""Draws of the prior and of data the model would make: prior and posterior predictive.

Everything works on sufficient statistics, so that its cost grows with the cells of a screen, not
with its measurements. What is compared with the data is `model.checks`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
import xarray as xr

from model.design import ScreenDesign
from schemas.parameters import Distribution, ModelName, Priors
from schemas.posterior import CONTRACTS

HDI_MASS = 0.89
"""Mass of every interval shown."""


@dataclass(frozen=True, eq=False)
class Draw:
    """One draw of the parameters that say what a measurement looks like."""

    alpha: np.ndarray
    """(G,)"""
    gamma: np.ndarray
    """(C,)"""
    beta: np.ndarray
    """(G,)"""
    sigma: float


def draw_prior(
    name: ModelName, design: ScreenDesign, priors: Priors, n_draws: int, seed: int
) -> xr.Dataset:
    """Draw every variable of model `name` from its prior; dims as in the posterior, one chain."""
    random = np.random.default_rng(seed)
    sizes = {"gene": len(design.genes), "cell_line": len(design.cell_lines)}
    drawn: dict[str, np.ndarray] = {}
    for variable in CONTRACTS[name].variables:
        if variable.startswith(("mu_", "sigma")):
            drawn[variable] = _draw(getattr(priors, variable), n_draws, random)
    for group, dim in (("alpha_g", "gene"), ("gamma_c", "cell_line"), ("beta_g", "gene")):
        which = group.partition("_")[0]
        centre = drawn.get(f"mu_{which}", np.zeros(n_draws))
        standard = random.standard_normal((n_draws, sizes[dim]))
        drawn[group] = centre[:, None] + drawn[f"sigma_{which}"][:, None] * standard
    dims = CONTRACTS[name].variables
    return xr.Dataset(
        {key: (("chain", "draw", *dims[key]), value[None]) for key, value in drawn.items()},
        coords={
            "chain": [0],
            "draw": np.arange(n_draws),
            "gene": list(design.genes),
            "cell_line": list(design.cell_lines),
        },
    )


def _draw(prior: Distribution, size: int, random: np.random.Generator) -> np.ndarray:
    match prior.family:
        case "Normal":
            mean, sd = prior.arguments
            return random.normal(mean, sd, size)
        case "Exponential":
            return random.exponential(1 / prior.arguments[0], size)
        case "HalfNormal":
            return np.abs(random.normal(0, prior.arguments[0], size))


def thin(posterior: xr.Dataset, n_draws: int) -> xr.Dataset:
    """Return at least `n_draws` draws, evenly spaced in every chain; all where there are fewer."""
    a_chain = -(-n_draws // posterior.sizes["chain"])
    n = posterior.sizes["draw"]
    kept = np.unique(np.linspace(0, n - 1, min(a_chain, n)).round().astype(int))
    return posterior.isel(draw=kept)


def draws(parameters: xr.Dataset) -> Iterator[Draw]:
    """Yield every draw of `parameters`, chain by chain."""
    alpha, gamma, beta, sigma = (
        parameters[name].to_numpy().reshape(-1, *parameters[name].shape[2:])
        for name in ("alpha_g", "gamma_c", "beta_g", "sigma")
    )
    for row in zip(alpha, gamma, beta, sigma, strict=True):
        yield Draw(*row)


def replicate_cells(parameters: xr.Dataset, design: ScreenDesign, seed: int) -> xr.Dataset:
    """Replicate the observed statistics once for every draw of `parameters`.

    Returns `cell_mean` (chain, draw, cell), log2, and `within_cell_ss` (chain, draw): what the two
    observed nodes of `model.hierarchy` would have been in another screen of the same design.
    """
    random = np.random.default_rng(seed)
    cells = design.cells
    shape = (parameters.sizes["chain"], parameters.sizes["draw"])
    cell_mean = np.empty((np.prod(shape), cells.gene.size))
    within = np.empty(np.prod(shape))
    for row, draw in enumerate(draws(parameters)):
        mean = draw.alpha[cells.gene] + draw.gamma[cells.cell_line]
        mean += draw.beta[cells.gene] * cells.rna
        cell_mean[row] = random.normal(mean, draw.sigma / np.sqrt(cells.count))
        within[row] = draw.sigma**2 * (random.chisquare(cells.within_df) if cells.within_df else 0)
    return xr.Dataset(
        {
            "cell_mean": (("chain", "draw", "cell"), cell_mean.reshape(*shape, -1)),
            "within_cell_ss": (("chain", "draw"), within.reshape(shape)),
        },
        coords={name: parameters[name] for name in ("chain", "draw")},
    )


def data_groups(design: ScreenDesign) -> dict[str, xr.Dataset]:
    """Return the groups `observed_data` and `constant_data` of a design."""
    cells = design.cells
    return {
        "observed_data": xr.Dataset(
            {"cell_mean": ("cell", cells.mean), "within_cell_ss": ((), cells.within_ss)}
        ),
        "constant_data": xr.Dataset(
            {
                "cell_gene": ("cell", cells.gene),
                "cell_line_of_cell": ("cell", cells.cell_line),
                "count": ("cell", cells.count),
                "rna": ("cell", cells.rna),
                "rna_sd": ("gene", design.rna_sd),
            },
            coords={"gene": list(design.genes)},
        ),
    }


def fitted_cells(posterior: xr.Dataset, design: ScreenDesign) -> pd.DataFrame:
    """Return the fit of each gene-line cell.

    Columns: gene, cell_line, rna (SD), logfc_mean (of the data), fitted (posterior mean of its
    expectation), hdi_low, hdi_high (89 % interval of the expectation); log fold changes in log2.
    """
    import arviz as az

    cells = design.cells
    rows = []
    for index, gene in enumerate(design.genes):
        mine = np.flatnonzero(cells.gene == index)
        one = posterior.isel(gene=index)
        expectation = (
            one["alpha_g"]
            + posterior["gamma_c"].isel(cell_line=xr.DataArray(cells.cell_line[mine], dims="cell"))
            + one["beta_g"] * xr.DataArray(cells.rna[mine], dims="cell")
        )
        interval = az.hdi(expectation, prob=HDI_MASS).to_numpy()
        rows.append(
            pd.DataFrame(
                {
                    "gene": gene,
                    "cell_line": np.array(design.cell_lines)[cells.cell_line[mine]],
                    "rna": cells.rna[mine],
                    "logfc_mean": cells.mean[mine],
                    "fitted": expectation.mean(("chain", "draw")).to_numpy(),
                    "hdi_low": interval[:, 0],
                    "hdi_high": interval[:, 1],
                }
            )
        )
    return pd.concat(rows, ignore_index=True)
