"""Draws of the prior and of data the model would make: prior and posterior predictive.

Everything works on sufficient statistics, so that its cost grows with the cells of a screen, not
with its measurements; where there are too many cells for a replicate a draw, on a part of the genes
(`looked_at`). What is compared with the data is `model.checks`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import repeat
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from model.design import ScreenDesign
from model.guide_lines import GuideLines, guide_lines
from schemas.parameters import Distribution, ModelName, Priors
from schemas.posterior import CONTRACTS, GROUPS

HDI_MASS = 0.89
"""Mass of every interval shown."""


def looked_at(design: ScreenDesign, most_cells: int) -> ScreenDesign:
    """Return the part of a design that replicates are made of.

    The design itself where it has at most `most_cells` guide-line cells, else the design of genes
    taken evenly over its sorted labels, as many as have no more and at least one, in all lines.
    """
    by_gene = np.add.reduceat(np.count_nonzero(design.count, axis=1), design.first_guide)
    if by_gene.sum() <= most_cells:
        return design
    last = by_gene.size - 1
    for n_genes in range(int(by_gene.size * most_cells / by_gene.sum()), 1, -1):
        genes = np.linspace(0, last, n_genes).round().astype(int)
        if by_gene[genes].sum() <= most_cells:
            return design.of_genes(genes)
    return design.of_genes([0])


def replicated_part(tree: xr.DataTree, design: ScreenDesign) -> ScreenDesign:
    """Return the part of a design that the predictive groups of its `tree` are of."""
    genes = tree["constant_data"].indexes["gene"]
    if genes.size == len(design.genes):
        return design
    return design.of_genes(pd.Index(design.genes).get_indexer(genes))


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
    delta: np.ndarray
    """(K,), 0 in a model without effects of guides."""
    sigma_gene_line: float
    """0 in a model without effects of gene-line cells."""
    sigma_guide_line: float
    """0 in a model without effects of guide-line cells."""

    def expected(self, cells: GuideLines) -> np.ndarray:
        """Return the expected log fold change of guide-line cells (N,), log2; eps, zeta at 0."""
        expected = self.alpha[cells.gene] + self.gamma[cells.cell_line] + self.delta[cells.guide]
        expected += self.beta[cells.gene] * cells.rna
        return expected

    def replicate(
        self, expected: np.ndarray, cells: GuideLines, random: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return `mean` (N,) and `line_within_ss` (C,) of guide-line cells of another screen.

        The same genes, lines and guides are screened again; eps and zeta are drawn anew.
        """
        scatter = np.sqrt(self.sigma_guide_line**2 + self.sigma**2 / cells.count)
        mean = random.normal(expected, scatter)
        if self.sigma_gene_line:
            mean += random.normal(0, self.sigma_gene_line, cells.n_gene_lines)[cells.cell]
        # A chi-squared variable is twice a gamma variable, which may have no degrees of freedom.
        return mean, 2 * self.sigma**2 * random.standard_gamma(cells.line_within_df / 2)


def draw_prior(
    name: ModelName, design: ScreenDesign, priors: Priors, n_draws: int, seed: int
) -> xr.Dataset:
    """Draw every variable of model `name` from its prior; dims as in the posterior, one chain."""
    random = np.random.default_rng(seed)
    labels = design.labels
    drawn: dict[str, np.ndarray] = {}
    for variable in CONTRACTS[name].variables:
        if variable.startswith(("mu_", "sigma")):
            drawn[variable] = draw_from(getattr(priors, variable), n_draws, random)
    groups = {group: dims[0] for group, dims in CONTRACTS[name].variables.items() if dims}
    for group, dim in groups.items():
        mean, sd = GROUPS[group]
        centre = drawn.get(mean, np.zeros(n_draws))
        standard = random.standard_normal((n_draws, len(labels[dim])))
        drawn[group] = centre[:, None] + drawn[sd][:, None] * standard
    dims = CONTRACTS[name].variables
    return xr.Dataset(
        {key: (("chain", "draw", *dims[key]), value[None]) for key, value in drawn.items()},
        coords={
            "chain": [0],
            "draw": np.arange(n_draws),
            **{dim: list(labels[dim]) for dim in groups.values()},
        },
    )


def draw_from(
    prior: Distribution, size: int | tuple[int, ...], random: np.random.Generator
) -> np.ndarray:
    """Draw from a prior, an array of this size; () gives a single number."""
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


def draws(parameters: xr.Dataset, design: ScreenDesign) -> Iterator[Draw]:
    """Yield every draw of `parameters`, of the genes and guides of `design`, chain by chain.

    `parameters` may be of a larger design with the same cell lines.
    """
    own = parameters.sel(gene=list(design.genes))
    if "delta_k" in own:
        own = own.sel(guide=list(design.guides))

    def by_draw(name: str, absent: np.ndarray | float = 0.0) -> Iterable[Any]:
        if name not in own:
            return repeat(absent)
        return own[name].to_numpy().reshape(-1, *own[name].shape[2:])

    columns = (
        *(by_draw(name) for name in ("alpha_g", "gamma_c", "beta_g", "sigma")),
        by_draw("delta_k", np.zeros(len(design.guides))),
        *(by_draw(name) for name in ("sigma_gene_line", "sigma_guide_line")),
    )
    for row in zip(*columns, strict=False):
        yield Draw(*row)


def replicate_cells(parameters: xr.Dataset, design: ScreenDesign, seed: int) -> xr.Dataset:
    """Replicate the gene-line cells of a design once for every draw of `parameters`.

    Returns `cell_mean` (chain, draw, cell), log2, and `within_cell_ss` (chain, draw): what
    `ScreenDesign.cells` would have been in another screen of the same genes, lines and guides.
    `parameters` may be of a larger design (`draws`).
    """
    random = np.random.default_rng(seed)
    cells, count = guide_lines(design), design.cells.count
    shape = (parameters.sizes["chain"], parameters.sizes["draw"])
    cell_mean = np.empty((np.prod(shape), count.size))
    within = np.empty(np.prod(shape))
    for row, draw in enumerate(draws(parameters, design)):
        mean, within_guide_lines = draw.replicate(draw.expected(cells), cells, random)
        cell_mean[row] = np.bincount(cells.cell, cells.count * mean) / count
        between = cells.count * (mean - cell_mean[row, cells.cell]) ** 2
        within[row] = within_guide_lines.sum() + between.sum()
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
    The expectation is that of `logfc_mean` with these guides, eps and zeta at 0. `posterior` may
    be of a larger design.
    """
    import arviz as az  # here: `export` loads this module, and does without ArviZ

    cells = design.cells
    rows = []
    for index, gene in enumerate(design.genes):
        mine = np.flatnonzero(cells.gene == index)
        lines = cells.cell_line[mine]
        one = posterior.sel(gene=gene)
        expectation = (
            one["alpha_g"]
            + posterior["gamma_c"].isel(cell_line=xr.DataArray(lines, dims="cell"))
            + one["beta_g"] * xr.DataArray(cells.rna[mine], dims="cell")
        )
        if "delta_k" in posterior:
            guides = np.flatnonzero(design.guide_gene == index)
            share = design.count[np.ix_(guides, lines)] / cells.count[mine]
            delta = posterior["delta_k"].sel(guide=[design.guides[guide] for guide in guides])
            expectation = expectation + delta.dot(xr.DataArray(share, dims=("guide", "cell")))
        interval = az.hdi(expectation, prob=HDI_MASS).to_numpy()
        rows.append(
            pd.DataFrame(
                {
                    "gene": gene,
                    "cell_line": np.array(design.cell_lines)[lines],
                    "rna": cells.rna[mine],
                    "logfc_mean": cells.mean[mine],
                    "fitted": expectation.mean(("chain", "draw")).to_numpy(),
                    "hdi_low": interval[:, 0],
                    "hdi_high": interval[:, 1],
                }
            )
        )
    return pd.concat(rows, ignore_index=True)
