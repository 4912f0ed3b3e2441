"""Fits to draw pictures of, without sampling: draws from a Gaussian around the ridge fit."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from model.checks import replicated_quantities
from model.design import ScreenDesign
from model.effects import gene_effects
from model.predictive import data_groups, draw_prior, replicate_cells, thin
from schemas.parameters import Priors
from tests.designs import design_from_rows, original_rows

N_CHAINS, N_DRAWS = 4, 250


@dataclass(frozen=True, eq=False)
class Fit:
    """What every picture is drawn from."""

    tree: xr.DataTree
    design: ScreenDesign
    effects: pd.DataFrame
    quantities: pd.DataFrame


@pytest.fixture(scope="session")
def small() -> Fit:
    """The original's simulated screen: 5 genes x 20 cell lines."""
    return fit_of(original_rows())


@pytest.fixture(scope="session")
def large() -> Fit:
    """105 genes x 41 cell lines, the size of the real sample, with fewer measurements."""
    return fit_of(simulated(n_genes=105, n_cell_lines=41))


@pytest.fixture(scope="session")
def partly(large: Fit) -> Fit:
    """The larger one, replicated for every fourth gene only."""
    part = large.design.of_genes(range(0, 105, 4))
    groups = {name: large.tree[name].to_dataset() for name in large.tree.children}
    groups["posterior_predictive"] = replicate_cells(thin(groups["posterior"], 200), part, seed=2)
    tree = xr.DataTree.from_dict(groups | data_groups(part))
    return Fit(tree, large.design, large.effects, large.quantities)


def simulated(n_genes: int, n_cell_lines: int) -> pd.DataFrame:
    """Measurements with labels as long as real ones; three guides a gene."""
    random = np.random.default_rng(7)
    gene = np.repeat(np.arange(n_genes), n_cell_lines)
    line = np.tile(np.arange(n_cell_lines), n_genes)
    rna = random.standard_normal(gene.size)
    mean = (
        random.normal(-0.3, 0.4, n_genes)[gene]
        + random.normal(0, 0.2, n_cell_lines)[line]
        + (random.standard_t(3, n_genes) * 0.12)[gene] * rna
    )
    one_guide = pd.DataFrame(
        {
            "gene": [f"GENE{index} ({10_000 + index})" for index in gene],
            "cell_line": [f"ACH-{index:06d}" for index in line],
            "rna": rna,
        }
    )
    return pd.concat(
        [
            one_guide.assign(
                guide=one_guide.gene + f" guide {guide}",
                logfc=mean + random.normal(0, 0.4, gene.size),
            )
            for guide in range(1, 4)
        ],
        ignore_index=True,
    )


def fit_of(rows: pd.DataFrame) -> Fit:
    """A tree of every group, close enough to the posterior to look like one."""
    design, random = design_from_rows(rows), np.random.default_rng(11)
    n_genes, n_lines = len(design.genes), len(design.cell_lines)
    cells = design.cells
    cell = np.arange(cells.gene.size)
    x = np.zeros((cell.size, 2 * n_genes + n_lines))
    x[cell, cells.gene] = 1
    x[cell, n_genes + cells.cell_line] = 1
    x[cell, n_genes + n_lines + cells.gene] = cells.rna
    variance = cells.within_ss / cells.within_df
    weighted = x * cells.count[:, None] / variance
    covariance = np.linalg.inv(weighted.T @ x + np.eye(x.shape[1]))
    flat = random.multivariate_normal(
        covariance @ weighted.T @ cells.mean, covariance, (N_CHAINS, N_DRAWS)
    )
    parts = np.split(flat, [n_genes, n_genes + n_lines], axis=-1)
    group_level = dict(zip(("alpha", "gamma", "beta"), parts, strict=True))
    dims = {"alpha": "gene", "gamma": "cell_line", "beta": "gene"}
    noise = random.normal(1, 0.02, (8, N_CHAINS, N_DRAWS))
    variables = {
        **{f"mu_{k}": v.mean(-1) + noise[i] for i, (k, v) in enumerate(group_level.items())},
        **{f"sigma_{k}": v.std(-1) * noise[i + 3] for i, (k, v) in enumerate(group_level.items())},
        "sigma": np.sqrt(variance) * noise[7],
    }
    posterior = xr.Dataset(
        {
            **{name: (("chain", "draw"), value) for name, value in variables.items()},
            **{
                f"{name}_{dims[name][0]}": (("chain", "draw", dims[name]), value)
                for name, value in group_level.items()
            },
        },
        coords={
            "chain": np.arange(N_CHAINS),
            "draw": np.arange(N_DRAWS),
            "gene": list(design.genes),
            "cell_line": list(design.cell_lines),
        },
    )
    energy = random.normal(500, 10, (N_CHAINS, N_DRAWS))
    tree = xr.DataTree.from_dict(
        {
            "posterior": posterior,
            "prior": draw_prior("m4", design, Priors(), 200, seed=1),
            "posterior_predictive": replicate_cells(thin(posterior, 200), design, seed=2),
            "sample_stats": xr.Dataset(
                {
                    "energy": (("chain", "draw"), energy),
                    "diverging": (("chain", "draw"), np.zeros(energy.shape, bool)),
                }
            ),
            **data_groups(design),
        }
    )
    quantities = replicated_quantities(thin(posterior, 200), design, "posterior", seed=3)
    return Fit(tree, design, gene_effects(tree, design), quantities)
