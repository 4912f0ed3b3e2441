"""Designs for tests, built the slow and obvious way, and invented draws."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from model.screen.design import ScreenDesign
from model.simulation.original import original_screen
from schemas.model_spec import MODEL_SPECS, ModelSpec
from schemas.parameters import ModelName

GROUPS = {
    "alpha_g": ("mu_alpha", "sigma_alpha"),
    "gamma_c": ("mu_gamma", "sigma_gamma"),
    "beta_g": ("mu_beta", "sigma_beta"),
    "delta_k": ("", "sigma_guide"),
}
"""Mean (0 where a model has none) and SD of each group of effects, for oracles."""


def design_from_rows(rows: pd.DataFrame) -> ScreenDesign:
    """Return the design of a long table gene, cell_line, guide, rna, logfc."""
    genes, lines = sorted(rows.gene.unique()), sorted(rows.cell_line.unique())
    guides = rows[["gene", "guide"]].drop_duplicates().sort_values(["gene", "guide"])
    names = list(guides.guide)
    codes = pd.DataFrame(
        {
            "gene": [genes.index(gene) for gene in rows.gene],
            "cell_line": [lines.index(line) for line in rows.cell_line],
            "guide": [names.index(guide) for guide in rows.guide],
            "replicate": rows.groupby(["guide", "cell_line"]).cumcount().to_numpy(),
            "rna": rows.rna.to_numpy(),
            "logfc": rows.logfc.to_numpy(),
        }
    )
    count = np.zeros((len(names), len(lines)), np.uint16)
    total = np.zeros((len(names), len(lines)))
    squares = np.zeros((len(genes), len(lines)))
    rna = np.full((len(genes), len(lines)), np.nan)
    by_guide, by_gene = ((codes[of], codes.cell_line) for of in ("guide", "gene"))
    np.add.at(count, by_guide, 1)
    np.add.at(total, by_guide, codes.logfc)
    np.add.at(squares, by_gene, codes.logfc**2)
    rna[by_gene] = codes.rna
    return ScreenDesign(
        genes=tuple(genes),
        cell_lines=tuple(lines),
        guides=tuple(names),
        guide_gene=np.array([genes.index(gene) for gene in guides.gene]),
        rna=rna,
        rna_mean=np.zeros(len(genes)),
        rna_sd=np.nanstd(rna, axis=1, ddof=1),
        rna_is_log2=False,
        count=count,
        total=total,
        sum_of_squares=squares,
        measurements=codes,
    )


def of_lines(design: ScreenDesign, indices: Iterable[int]) -> ScreenDesign:
    """Return the design of some cell lines (by index), with all genes and guides.

    Lines stay sorted. RNA stays in the SDs of the whole, and a gene or guide may be left without
    measurements.
    """
    lines = sorted(set(indices))
    rows = design.measurements
    if rows is not None:
        rows = rows[rows.cell_line.isin(lines)].reset_index(drop=True)
        rows["cell_line"] = [lines.index(line) for line in rows.cell_line]
    return replace(
        design,
        cell_lines=tuple(design.cell_lines[line] for line in lines),
        rna=design.rna[:, lines],
        count=design.count[:, lines],
        total=design.total[:, lines],
        sum_of_squares=design.sum_of_squares[:, lines],
        lineage=None if design.lineage is None else tuple(design.lineage[line] for line in lines),
        measurements=rows,
    )


NESTED_SDS = {"sigma_alpha": 0.5, "sigma_gamma": 0.4, "sigma_beta": 0.3, "sigma": 0.5}
NESTED_SDS |= {"sigma_guide": 0.4, "sigma_gene_line": 0.35, "sigma_guide_line": 0.3}
"""True SDs of `nested_rows`; mu_alpha is -0.5, mu_gamma 0, mu_beta -0.2."""


def nested_rows(
    n_genes: int, n_lines: int, n_guides: int, n_replicates: int, seed: int = 1
) -> tuple[pd.DataFrame, np.ndarray]:
    """Return a long table drawn from m4_nested, and its true beta_g (n_genes,)."""
    random = np.random.default_rng(seed)
    gene, line, guide, _ = np.indices((n_genes, n_lines, n_guides, n_replicates)).reshape(4, -1)

    def effect(sd: str, *shape: int) -> np.ndarray:
        return random.normal(0, NESTED_SDS[sd], shape)

    rna = random.standard_normal((n_genes, n_lines))[gene, line]
    beta = -0.2 + effect("sigma_beta", n_genes)
    logfc = (
        (-0.5 + effect("sigma_alpha", n_genes))[gene]
        + effect("sigma_gamma", n_lines)[line]
        + beta[gene] * rna
        + effect("sigma_guide", n_genes, n_guides)[gene, guide]
        + effect("sigma_gene_line", n_genes, n_lines)[gene, line]
        + effect("sigma_guide_line", n_genes, n_lines, n_guides)[gene, line, guide]
        + effect("sigma", gene.size)
    )
    rows = pd.DataFrame(
        {
            "gene": [f"g{code:03d}" for code in gene],
            "cell_line": [f"c{code:03d}" for code in line],
            "guide": [f"g{g:03d}/{k}" for g, k in zip(gene, guide, strict=True)],
            "rna": rna,
            "logfc": logfc,
        }
    )
    return rows, beta


def random_draws(
    spec: ModelSpec, labels: Mapping[str, Iterable[str]], n_chains: int, n_draws: int, seed: int = 3
) -> xr.Dataset:
    """Return independent draws of all variables of a model: normal ones, and SDs above zero."""
    random, variables = np.random.default_rng(seed), {}
    for name, dims in spec.variables.items():
        size = (n_chains, n_draws, *(len([*labels[dim]]) for dim in dims))
        values = random.normal(0, 0.4, size)
        variables[name] = (("chain", "draw", *dims), np.exp(values) if "sigma" in name else values)
    used = {dim for dims in spec.variables.values() for dim in dims}
    return xr.Dataset(variables, {dim: [*labels[dim]] for dim in used})


def drawn_sds(name: ModelName, seed: int = 1) -> xr.Dataset:
    """Two chains of twenty draws of every SD of a model, around values of their own."""
    random = np.random.default_rng(seed)
    draws: dict[str, Any] = {
        sd: (("chain", "draw"), random.uniform(0.4, 1.2) * np.exp(random.normal(0, 0.1, (2, 20))))
        for sd in MODEL_SPECS[name].sds
    }
    return xr.Dataset(draws)


def typical(posterior: xr.Dataset) -> dict[str, float]:
    """Return the geometric mean of every SD: where one point stands for all."""
    return {str(name): float(np.exp(np.log(posterior[name]).mean())) for name in posterior}


def covariance_of_cells(rows: pd.DataFrame, sd: Mapping[str, Any]) -> np.ndarray:
    """Return the covariance of single measurements, given all but eps, zeta and the noise."""
    gene, line, guide = (pd.factorize(rows[key])[0] for key in ("gene", "cell_line", "guide"))
    same_line = np.equal.outer(line, line)
    return (
        sd["sigma"] ** 2 * np.eye(len(rows))
        + sd["sigma_gene_line"] ** 2 * (np.equal.outer(gene, gene) & same_line)
        + sd["sigma_guide_line"] ** 2 * (np.equal.outer(guide, guide) & same_line)
    )


def unbalanced_rows() -> pd.DataFrame:
    """Genes of one to three guides, cells of one to six measurements, one cell missing."""
    rows, _ = nested_rows(n_genes=3, n_lines=4, n_guides=3, n_replicates=2)
    one_guide = (rows.gene == "g000") & (rows.guide != "g000/1")
    missing = (rows.gene == "g001") & (rows.cell_line == "c002")
    rows = rows[~(one_guide | missing)]
    return rows.drop(rows.index[[1, 8, 11, 20]]).reset_index(drop=True)


def original_rows() -> pd.DataFrame:
    """Return the simulated screen with guide labels."""
    rows = original_screen().measurements
    return rows.assign(guide=rows.gene + "/" + rows.sgrna_idx.astype(str))
