"""Prior draws, and replicates of the data under prior and posterior draws.

Replicates are sufficient statistics: the cost grows with the guide-line pairs of a screen, not with
its measurements. A large screen is reduced to a part of its genes (`prediction_subset`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import xarray as xr

from model.likelihood.linear_predictor import linear_predictor
from model.likelihood.priors import draw as draw_from
from model.likelihood.priors import draw_factors, draw_slopes
from model.likelihood.spreads import Spreads, noise_by_line, spreads
from model.runtime.executors import threaded_map
from model.screen.design import Grid, GuideLines, ScreenDesign
from schemas.model_spec import ModelSpec, model_spec, spec_of
from schemas.parameters import ModelName, Priors

HDI_MASS = 0.89
"""Mass of every interval shown."""
NUMBERS_AT_ONCE = 1_000_000
"""Draws of guide-line pairs computed together, 8 MB; a few copies are made."""


def shortest_intervals(draws: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return both ends (n,) of the shortest intervals with HDI_MASS of the draws (n, S)."""
    ordered = np.sort(draws, axis=1)
    n_draws = ordered.shape[1]
    inside = min(int(HDI_MASS * n_draws), n_draws - 1)
    first = np.argmin(ordered[:, inside:] - ordered[:, : n_draws - inside], axis=1)
    row = np.arange(len(ordered))
    return ordered[row, first], ordered[row, first + inside]


def prediction_subset(design: ScreenDesign, most_cells: int) -> ScreenDesign:
    """Return the part of a design that is replicated.

    The whole design if it has at most `most_cells` guide-line pairs, else as many genes, evenly
    spaced over the sorted labels, as have at most that many pairs, and at least one gene.
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
    """Return the part of a design that the predictive groups of `tree` replicate."""
    genes = tree["constant_data"].indexes["gene"]
    if genes.size == len(design.genes):
        return design
    return design.of_genes(pd.Index(design.genes).get_indexer(genes))


@dataclass(frozen=True, eq=False)
class Draw:
    """One draw of the parameters that determine the distribution of a measurement."""

    spec: ModelSpec
    values: dict[str, np.ndarray]
    """Parameters by name, (), (G,), (C,) or (K,)."""

    def expected(self, cells: GuideLines) -> np.ndarray:
        """Return the expected log fold change of guide-line pairs (N,), log2; eps, zeta at 0."""
        return cells.of_grid(linear_predictor(self.spec, self.values, cells.grid))

    def replicate(
        self, expected: np.ndarray, cells: GuideLines, random: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return `mean` (N,) and `line_within_ss` (C,) of guide-line pairs of a replicate.

        It has the same genes, lines and guides; eps and zeta are drawn anew.
        """
        sds = spreads(self.spec, self._as_draws(), cells.grid)
        guide_line, noise = (cells.of_grid(sd[0] ** 2) for sd in (sds.guide_line, sds.noise))
        mean = random.normal(expected, np.sqrt(guide_line + noise / cells.count))
        if self.spec.gene_line_sd:
            standard = random.standard_normal(cells.n_gene_lines)[cells.cell]
            mean += cells.of_grid(sds.gene_line[0]) * standard
        n_lines = len(cells.line_within_df)
        of_line = noise_by_line(self.spec, self._as_draws(), n_lines)[0]
        # A chi-squared variable as twice a gamma variable, which allows 0 degrees of freedom.
        return mean, 2 * of_line**2 * random.standard_gamma(cells.line_within_df / 2)

    def spreads(self, cells: GuideLines) -> Spreads:
        """Return the SDs at guide-line pairs, (1, N) or (1, 1)."""
        return spreads(self.spec, self._as_draws(), cells)

    def _as_draws(self) -> dict[str, np.ndarray]:
        return {name: np.asarray(value)[None] for name, value in self.values.items()}


def draw_prior(
    name: ModelName, design: ScreenDesign, priors: Priors, n_draws: int, seed: int
) -> xr.Dataset:
    """Return prior draws of every variable of model `name`; dims as in the posterior, one chain."""
    random = np.random.default_rng(seed)
    labels = design.labels
    spec = model_spec(name, design.covariates)
    drawn = {
        variable: draw_from(getattr(priors, variable), n_draws, random)
        for variable in (*spec.means, *spec.sds)
    }
    for effect in spec.effects:
        if effect.sd:
            centre = drawn[effect.mean] if effect.mean else np.zeros(n_draws)
            standard = random.standard_normal((n_draws, len(labels[effect.dim])))
            drawn[effect.name] = centre[:, None] + drawn[effect.sd][:, None] * standard
        elif spec.mixture:
            drawn |= draw_slopes(spec.mixture, effect.name, (n_draws, len(design.genes)), random)
    for factor in spec.factors:
        drawn[factor.name] = draw_factors(factor, drawn, len(labels[factor.dim]), random)
    if spec.mixture:
        labels = labels | {"component": spec.mixture.labels}
    return xr.Dataset(
        {
            key: (("chain", "draw", *spec.variables[key]), value[None])
            for key, value in drawn.items()
        },
        coords={
            "chain": [0],
            "draw": np.arange(n_draws),
            **{dim: list(labels[dim]) for dims in spec.variables.values() for dim in dims},
        },
    )


def thin(posterior: xr.Dataset, n_draws: int) -> xr.Dataset:
    """Return at least `n_draws` draws, evenly spaced in every chain; all if there are fewer.

    All are not copied; of few genes, `of_part` comes first.
    """
    per_chain = -(-n_draws // posterior.sizes["chain"])
    n = posterior.sizes["draw"]
    if n <= per_chain:
        return posterior
    kept = np.unique(np.linspace(0, n - 1, per_chain).round().astype(int))
    return posterior.isel(draw=kept)


def of_part(parameters: xr.Dataset, design: ScreenDesign) -> xr.Dataset:
    """Return the draws for the genes and guides of a design; not copied where there are no others.

    `parameters` may be of a larger design with the same cell lines.
    """
    for dim, labels in (("gene", design.genes), ("guide", design.guides)):
        if dim in parameters.dims and not parameters.indexes[dim].equals(pd.Index(labels)):
            parameters = parameters.sel({dim: list(labels)})
    return parameters


def of_design(parameters: xr.Dataset, design: ScreenDesign) -> dict[str, np.ndarray]:
    """Return the draws of every variable for the items of a design, (S,) or (S, items).

    Draws chain by chain. `parameters` may be of a larger design with the same cell lines.
    """
    return {
        str(name): values.to_numpy().reshape(-1, *values.shape[2:])
        for name, values in of_part(parameters, design).data_vars.items()
    }


def draws(parameters: xr.Dataset, design: ScreenDesign) -> Iterator[Draw]:
    """Yield every draw of `parameters`, of the genes and guides of `design`, chain by chain.

    `parameters` may be of a larger design with the same cell lines.
    """
    spec, own = spec_of(parameters.data_vars), of_design(parameters, design)
    for at in range(len(own[spec.noise_sd])):
        yield Draw(spec, {name: values[at] for name, values in own.items()})


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


def gene_pieces(posterior: xr.Dataset, design: ScreenDesign) -> list[np.ndarray]:
    """Return pieces of genes with about NUMBERS_AT_ONCE draws of guide-line pairs or fewer."""
    n_draws, n_genes = posterior.sizes["chain"] * posterior.sizes["draw"], len(design.genes)
    numbers = n_draws * int(np.count_nonzero(design.count))
    return np.array_split(np.arange(n_genes), min(n_genes, -(-numbers // NUMBERS_AT_ONCE)))


def expected_cells(posterior: xr.Dataset, design: ScreenDesign) -> np.ndarray:
    """Return the expected mean of each gene-line pair under each draw (S, M), log2.

    With the guides of the design; eps and zeta at 0. `posterior` may be of a larger design.
    """
    effects, spec = of_design(posterior, design), spec_of(posterior.data_vars)
    every = Grid(design.guide_gene, len(design.cell_lines), rna=design.rna, **design.covariates)
    by_guide = linear_predictor(spec, effects, every)
    total = np.add.reduceat(design.count * by_guide, design.first_guide, axis=1)
    measured = design.gene_count > 0
    expected: np.ndarray = total[:, measured] / design.gene_count[measured]
    return expected


def fitted_cells(posterior: xr.Dataset, design: ScreenDesign) -> pd.DataFrame:
    """Return the fit of each gene-line pair.

    Columns: gene, cell_line, rna (SD), logfc_mean (of the data), fitted (posterior mean of its
    expectation), hdi_low, hdi_high (89 % interval of the expectation); log fold changes in log2.
    The expectation is that of `logfc_mean` with these guides, eps and zeta at 0. `posterior` may
    be of a larger design.
    """
    design = replace(design, measurements=None)  # not needed, and costly to select

    def of_some(genes: np.ndarray) -> pd.DataFrame:
        part = design.of_genes(genes)
        cells = part.cells
        expectation = np.ascontiguousarray(expected_cells(posterior, part).T)
        low, high = shortest_intervals(expectation)
        return pd.DataFrame(
            {
                "gene": np.array(part.genes)[cells.gene],
                "cell_line": np.array(design.cell_lines)[cells.cell_line],
                "rna": cells.rna,
                "logfc_mean": cells.mean,
                "fitted": expectation.mean(axis=1),
                "hdi_low": low,
                "hdi_high": high,
            }
        )

    return pd.concat(threaded_map(of_some, gene_pieces(posterior, design)), ignore_index=True)
