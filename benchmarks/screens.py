"""The screens that are benchmarked, and the two files in which they are handed to the peers.

The simulated and the real screen go through validation and preparation like any dataset. Screens
of the size of a whole release are made as statistics, without their tables. No timing here.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

import numpy as np
import pandas as pd

from model.screen.design import ScreenDesign
from schemas.dataset import Dataset
from schemas.errors import UserError
from schemas.parameters import FitParameters

ScreenName = Literal["simulated", "real"]

REPLICATES = (2, 3)
"""Sequences of a cell line; the second number with probability SHARE_OF_MORE."""
SHARE_OF_MORE = 0.3
BLOCK_GENES = 200
"""Genes made at a time: a few MB an array beside the statistics themselves."""

_ARRAYS = ("guide_gene", "rna", "rna_mean", "rna_sd", "count", "total", "sum_of_squares")
_LABELS = ("genes", "cell_lines", "guides")


def prepared(name: ScreenName) -> ScreenDesign:
    """Return the design of the simulated or the real screen, single measurements included."""
    with TemporaryDirectory() as folder:
        return _prepare(SCREENS[name](Path(folder)))


def _prepare(dataset: Dataset) -> ScreenDesign:
    from model.screen.preparation import prepare
    from tasks.reading.validate import InvalidDataset, validate

    parameters = FitParameters()
    validated = validate(dataset, parameters)
    if validated.screen is None or validated.statistics is None:
        raise InvalidDataset(validated.report)
    return prepare(validated.screen, validated.statistics, parameters, dataset.rna_units)[0]


def _simulated(folder: Path) -> Dataset:
    from deployments.cli.demo import write_demo_dataset
    from tasks.reading.dataset_file import load_dataset

    return load_dataset(str(write_demo_dataset(folder)))


def _real(_: Path) -> Dataset:
    beside = Path(__file__).resolve().parents[2] / "shared"
    shared = Path(os.environ.get("SCREENBAYES_SHARED", beside))
    folder = shared / "data" / "avana_sample"
    if not folder.is_dir():
        raise UserError(
            f"expected the real sample in {folder}, found no such folder; set SCREENBAYES_SHARED "
            "to the folder that holds data/avana_sample"
        )
    return Dataset(
        name="avana",
        release="sample",
        library="Avana",
        logfc=str(folder / "AvanaLogfoldChange.csv.gz"),
        guide_map=str(folder / "AvanaGuideMap.csv"),
        sequence_map=str(folder / "ScreenSequenceMap.csv"),
        rna=str(folder / "OmicsExpressionProteinCodingGenesTPMLogp1.csv"),
    )


SLOPE_SIZE, SLOPE_FREEDOM = 0.25, 3
"""Slopes of genes with an effect: SLOPE_SIZE |t| with so many degrees of freedom."""

SCREENS: dict[ScreenName, Callable[[Path], Dataset]] = {"simulated": _simulated, "real": _real}


@dataclass(frozen=True)
class Truth:
    """SDs a made screen is drawn from, log fold change; the means are 0."""

    alpha: float
    gamma: float
    beta: float
    noise: float
    """SD of one measurement around its mean."""
    guide: float = 0.0
    gene_line: float = 0.0
    guide_line: float = 0.0
    pair_spread: float = 0.0
    """SD over genes of the log of the SD of pairs."""
    line_scale: float = 0.0
    """SD over lines of the log of their scale."""
    line_noise: float = 0.0
    """SD over lines of the log of their noise."""


# About what lme4 estimates on the real sample.
_M4 = Truth(alpha=0.28, gamma=0.41, beta=0.18, noise=0.75)
TRUTHS: dict[str, Truth] = {
    "m4": _M4,
    "m4_zero_mean": _M4,
    "m4_nested": Truth(
        alpha=0.22, gamma=0.41, beta=0.16, noise=0.55, guide=0.30, gene_line=0.34, guide_line=0.31
    ),
    # About what m4_screen estimates there; its slopes are given to `made`.
    "m4_screen": Truth(
        alpha=0.18,
        gamma=0.26,
        beta=0.0,
        noise=0.40,
        guide=0.27,
        gene_line=0.13,
        guide_line=0.19,
        pair_spread=0.9,
        line_scale=0.47,
        line_noise=0.43,
    ),
}


def sparse_slopes(
    n_genes: int, share: float, seed: int, null_sd: float = 0.0
) -> tuple[np.ndarray, np.ndarray]:
    """Return slopes, a share of them SLOPE_SIZE |t| of either sign, and which are not (n_genes,).

    The others are Normal(0, null_sd).
    """
    random = np.random.default_rng([seed, 2])
    size = SLOPE_SIZE * np.abs(random.standard_t(SLOPE_FREEDOM, n_genes))
    null = random.random(n_genes) >= share
    others = null_sd * random.standard_normal(n_genes)
    return np.where(null, others, random.choice([-1, 1], n_genes) * size), null


def _centred(random: np.random.Generator, *shape: int) -> np.ndarray:
    """Return standard Normal numbers less their mean along the last axis."""
    z = random.standard_normal(shape)
    return z - z.mean(axis=-1, keepdims=True)


def made(
    n_genes: int,
    n_lines: int,
    n_guides: int,
    truth: Truth,
    seed: int,
    slopes: np.ndarray | float = 0.0,
) -> tuple[ScreenDesign, np.ndarray]:
    """Return the statistics of a screen drawn from `truth`, and its beta by gene (n_genes,).

    `slopes` (n_genes,) are added to the beta that are drawn.
    One measurement in a hundred guide-line cells is missing. The single measurements are never
    drawn: n of them with mean m and SD s have a sum ~ Normal(n m, sqrt(n) s) and, independently,
    squared deviations from their mean ~ s^2 ChiSquared(n - 1) (Cochran's theorem).
    """
    n = n_genes * n_guides
    random = np.random.default_rng([seed, 0])
    gamma = random.normal(0, truth.gamma, n_lines)
    sequences = np.where(random.random(n_lines) < SHARE_OF_MORE, *reversed(REPLICATES))
    unequal = np.random.default_rng([seed, 3])  # 2: `sparse_slopes`
    scale, factor = np.exp([[truth.line_scale], [truth.line_noise]] * _centred(unequal, 2, n_lines))
    noise = truth.noise * factor
    spread = np.exp(truth.pair_spread * _centred(unequal, n_genes))
    rna = np.empty((n_genes, n_lines))
    count = np.empty((n, n_lines), np.uint16)
    total = np.empty((n, n_lines))
    squares = np.empty((n_genes, n_lines))
    beta = np.empty(n_genes)
    for first in range(0, n_genes, BLOCK_GENES):
        block = slice(first, min(first + BLOCK_GENES, n_genes))
        rows = slice(block.start * n_guides, block.stop * n_guides)
        random = np.random.default_rng([seed, 1, first])
        genes = block.stop - block.start
        z = random.standard_normal((genes, n_lines))
        rna[block] = (z - z.mean(1, keepdims=True)) / z.std(1, ddof=1, keepdims=True)
        beta[block] = random.normal(0, truth.beta, genes) + np.broadcast_to(slopes, n_genes)[block]
        pairs = random.normal(0, truth.gene_line, (genes, n_lines)) * spread[block, None]
        mean = (
            random.normal(0, truth.alpha, (genes, 1)) + beta[block, None] * rna[block] + pairs
        ).repeat(n_guides, axis=0)
        mean += random.normal(0, truth.guide, (genes * n_guides, 1))
        mean += random.normal(0, truth.guide_line, mean.shape)
        mean = gamma + scale * mean
        measured = sequences - (random.random(mean.shape) < 0.01)
        count[rows] = measured
        total[rows] = measured * mean + np.sqrt(measured) * random.normal(0, noise, mean.shape)
        by_gene = (genes, n_guides, n_lines)
        freedom = (measured - 1).reshape(by_gene).sum(1)
        # No degree of freedom, no square; chisquare itself refuses 0.
        within = noise**2 * np.where(freedom, random.chisquare(np.maximum(freedom, 1)), 0)
        squares[block] = (total[rows] ** 2 / measured).reshape(by_gene).sum(1) + within
    design = ScreenDesign(
        genes=tuple(f"G{gene:05}" for gene in range(n_genes)),
        cell_lines=tuple(f"L{line:05}" for line in range(n_lines)),
        guides=tuple(f"G{k // n_guides:05}/{k % n_guides}" for k in range(n)),
        guide_gene=np.arange(n_genes).repeat(n_guides),
        rna=rna,
        rna_mean=np.zeros(n_genes),
        rna_sd=np.ones(n_genes),
        rna_is_log2=False,
        count=count,
        total=total,
        sum_of_squares=squares,
    )
    return design, beta


def expanded(design: ScreenDesign, seed: int) -> pd.DataFrame:
    """Return measurements whose statistics are those of the design, columns as in its own.

    Within a guide-line cell the deviations are random and sum to 0; within a gene-line cell they
    are scaled to its sum of squares.
    """
    guide, line = np.nonzero(design.count)
    count = design.count[guide, line].astype(np.int64)
    cell = np.arange(count.size).repeat(count)
    mean = design.total[guide, line] / count
    deviation = np.random.default_rng(seed).standard_normal(cell.size)
    deviation -= (np.bincount(cell, deviation) / count)[cell]
    gene = design.guide_gene[guide]
    n_lines, n_cells = len(design.cell_lines), design.rna.size
    gene_line = gene * n_lines + line
    within = design.sum_of_squares.ravel() - np.bincount(gene_line, count * mean**2, n_cells)
    drawn = np.bincount(gene_line[cell], deviation**2, n_cells)
    scale = np.sqrt(np.divide(within.clip(0), drawn, out=np.zeros(n_cells), where=drawn > 0))
    return pd.DataFrame(
        {
            "gene": gene[cell],
            "cell_line": line[cell],
            "guide": guide[cell],
            "rna": design.rna[gene, line][cell],
            "logfc": mean[cell] + deviation * scale[gene_line[cell]],
        }
    )


def hand_over(design: ScreenDesign, rows: pd.DataFrame, folder: Path) -> None:
    """Write `design.npz` for our engines and `rows.csv` for peers that know no design.

    The rows are gene, cell_line and guide as codes from 0, rna and logfc, in full precision.
    """
    save_design(design, folder / "design.npz")
    columns = ["gene", "cell_line", "guide", "rna", "logfc"]
    rows[columns].to_csv(folder / "rows.csv", index=False)


def save_design(design: ScreenDesign, path: Path) -> None:
    """Write a design without its single measurements and lineages; no engine reads those."""
    labels = {name: np.array(getattr(design, name)) for name in _LABELS}
    arrays = {name: getattr(design, name) for name in _ARRAYS}
    flag = np.array(design.rna_is_log2)
    # mypy takes a name in the dict for an option of savez.
    np.savez(path, **labels, **arrays, rna_is_log2=flag)  # type: ignore[arg-type]


def load_design(path: Path) -> ScreenDesign:
    """Read what `save_design` wrote."""
    with np.load(path) as file:
        labels: dict[str, Any] = {name: tuple(map(str, file[name])) for name in _LABELS}
        arrays: dict[str, Any] = {name: file[name] for name in _ARRAYS}
        return ScreenDesign(**labels, **arrays, rna_is_log2=bool(file["rna_is_log2"]))
