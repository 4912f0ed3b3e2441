"""The design: a screen reduced to its sufficient statistics, and its pairs and stored form.

For a linear-Gaussian likelihood the statistics are the count, the sum and the sum of squares of the
measurements of each guide in each cell line. `Cells` are the gene-line pairs, which suffice for
models without guides, `GuideLines` the guide-line pairs.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from schemas.formatting import label_line


@dataclass(frozen=True, eq=False)
class Cells:
    """The M gene-line pairs that have measurements, one entry per pair."""

    gene: np.ndarray
    """Index of the pair's gene (M,)."""
    cell_line: np.ndarray
    """Index of the pair's line (M,)."""
    count: np.ndarray
    """Measurements of the pair (M,), float64."""
    mean: np.ndarray
    """Mean log fold change of the pair (M,), log2."""
    covariates: dict[str, np.ndarray]
    """Covariates by name (M,); `rna` in SD."""
    within_ss: float
    """Sum over all pairs of squared deviations from the pair's mean."""
    within_df: int
    """Degrees of freedom of `within_ss`: measurements minus pairs."""

    @property
    def rna(self) -> np.ndarray:
        """RNA covariate (M,), SD."""
        return self.covariates["rna"]


@dataclass(frozen=True, eq=False)
class ScreenDesign:
    """G genes, C cell lines and K guides of one screen; guides of a gene are adjacent."""

    genes: tuple[str, ...]
    """Gene labels (G,), sorted."""
    cell_lines: tuple[str, ...]
    """Cell line labels (C,), sorted."""
    guides: tuple[str, ...]
    """Guide labels (K,), by gene, then by label."""
    guide_gene: np.ndarray
    """Index of each guide's gene (K,), int64, non-decreasing, every gene present."""
    rna: np.ndarray
    """RNA covariate r_gc (G, C), float64: SDs from the gene's mean over lines; finite wherever
    there are measurements, else NaN where unknown."""
    rna_mean: np.ndarray
    """Mean of RNA by gene over its lines (G,), float64, log2(TPM+1), or z-scores if RNA is given as
    such."""
    rna_sd: np.ndarray
    """SD of RNA by gene over its lines (G,), ddof 1, in the unit of `rna_mean`."""
    rna_is_log2: bool
    """Whether `rna_sd` is in log2(TPM+1), so that slopes per log2 unit are defined."""
    count: np.ndarray
    """Measurements by guide and line (K, C), uint16."""
    total: np.ndarray
    """Sum of log fold change by guide and line (K, C), float64, 0 without measurements."""
    sum_of_squares: np.ndarray
    """Sum of squared log fold change by gene and line (G, C), float64, 0 without measurements."""
    lineage: tuple[str, ...] | None = None
    """Lineage of each cell line (C,), "" where unknown; None where all are."""
    cell_line_name: tuple[str, ...] | None = None
    """Name of each cell line (C,), such as HEL, "" where unknown; None where all are."""
    measurements: pd.DataFrame | None = None
    """Single measurements: gene, cell_line, guide (integer codes into the labels above), replicate
    (running number in its guide and line), rna, logfc; None where they are too many to keep."""
    covariates: dict[str, np.ndarray] = field(default_factory=dict)
    """Covariates besides RNA (G, C), by the names that effects of a model have for them: deviations
    from the mean of the gene, 0 where unknown."""
    covariate_means: dict[str, np.ndarray] = field(default_factory=dict)
    """These means (G,), in the unit of the covariate; NaN where it is known in no line."""

    @property
    def labels(self) -> dict[str, tuple[str, ...]]:
        """Labels by dim of the posterior."""
        return {"gene": self.genes, "cell_line": self.cell_lines, "guide": self.guides}

    @property
    def line_labels(self) -> tuple[str, ...]:
        """Cell lines (C,) as users read them: `ACH-000004 (HEL)`, or the label alone."""
        names = self.cell_line_name or [""] * len(self.cell_lines)
        return tuple(map(label_line, self.cell_lines, names))

    @property
    def n_measurements(self) -> int:
        """Number of measurements, all guides and lines."""
        return int(self.count.sum(dtype=np.int64))

    @cached_property
    def is_gene_level(self) -> bool:
        """Whether there is one value per gene-line pair, as in tables of gene effects."""
        return len(self.guides) == len(self.genes) and bool((self.count <= 1).all())

    @cached_property
    def first_guide(self) -> np.ndarray:
        """Index of the first guide of each gene (G,)."""
        return np.flatnonzero(np.diff(self.guide_gene, prepend=-1))

    @cached_property
    def gene_count(self) -> np.ndarray:
        """n_gc, measurements by gene and line (G, C), float64."""
        return np.add.reduceat(self.count, self.first_guide, axis=0, dtype=np.float64)

    @cached_property
    def gene_total(self) -> np.ndarray:
        """Sum of log fold change by gene and line (G, C), float64."""
        return np.add.reduceat(self.total, self.first_guide, axis=0)

    @property
    def total_sum_of_squares(self) -> float:
        """Sum of squared log fold change over all measurements."""
        return float(self.sum_of_squares.sum())

    def covariate(self, name: str) -> np.ndarray:
        """Return a covariate of a model (G, C)."""
        return self.rna if name == "rna" else self.covariates[name]

    def covariate_scaling(self, name: str) -> tuple[np.ndarray, np.ndarray]:
        """Return by gene what is subtracted from a covariate, then what it is divided by (G,).

        In the unit of its table, 0 and 1 for RNA given as z-scores.
        """
        if name != "rna":
            return self.covariate_means[name], np.ones(len(self.genes))
        if not self.rna_is_log2:
            return np.zeros(len(self.genes)), np.ones(len(self.genes))
        return self.rna_mean, self.rna_sd

    def covariates_at(self, gene: np.ndarray, line: np.ndarray) -> dict[str, np.ndarray]:
        """Return every covariate at pairs of a gene and a line, by name."""
        return {name: self.covariate(name)[gene, line] for name in ("rna", *self.covariates)}

    def of_genes(self, indices: Iterable[int]) -> ScreenDesign:
        """Return the design of some genes (by index), with their guides and all cell lines.

        Genes and guides stay sorted, whatever the order of `indices`.
        """
        genes = np.unique(np.fromiter(indices, np.int64))
        guides = np.flatnonzero(np.isin(self.guide_gene, genes))
        return replace(
            self,
            genes=tuple(self.genes[index] for index in genes),
            guides=tuple(self.guides[index] for index in guides),
            guide_gene=np.searchsorted(genes, self.guide_gene[guides]),
            rna=self.rna[genes],
            covariates={name: values[genes] for name, values in self.covariates.items()},
            covariate_means={name: means[genes] for name, means in self.covariate_means.items()},
            rna_mean=self.rna_mean[genes],
            rna_sd=self.rna_sd[genes],
            count=self.count[guides],
            total=self.total[guides],
            sum_of_squares=self.sum_of_squares[genes],
            measurements=_recoded(self.measurements, gene=genes, guide=guides),
        )

    def within_ss_by_line(self, *, by_guide: bool) -> np.ndarray:
        """Return the sum of squares of each line (C,) within its guide-line or gene-line pairs."""
        count, total = (self.count, self.total) if by_guide else (self.gene_count, self.gene_total)
        of_means = np.zeros(len(self.cell_lines))
        for n, one in zip(count, total, strict=True):  # squares of all pairs take much memory
            of_means += one**2 / np.maximum(n, 1)
        # Rounding may leave a few ulp below zero where all replicates agree.
        return np.maximum(0, self.sum_of_squares.sum(axis=0) - of_means)

    @cached_property
    def cells(self) -> Cells:
        """The gene-line pairs with measurements, by gene, then by line."""
        gene, line = np.nonzero(self.gene_count)
        count, total = self.gene_count[gene, line], self.gene_total[gene, line]
        return Cells(
            gene=gene,
            cell_line=line,
            count=count,
            mean=total / count,
            covariates=self.covariates_at(gene, line),
            # Rounding may leave a few ulp below zero where all replicates agree.
            within_ss=max(0.0, self.total_sum_of_squares - float((total**2 / count).sum())),
            within_df=self.n_measurements - gene.size,
        )


def _recoded(measurements: pd.DataFrame | None, **kept: np.ndarray) -> pd.DataFrame | None:
    """Return the measurements of the kept items, recoded by position among them."""
    if measurements is None:
        return None
    mine = np.logical_and.reduce([measurements[name].isin(kept[name]) for name in kept])
    rows = measurements[mine].reset_index(drop=True)
    codes = {name: np.searchsorted(items, rows[name]) for name, items in kept.items()}
    return rows.assign(**codes).astype({name: rows.dtypes[name] for name in codes})


class Grid:
    """The positions of all K guides in all C lines, (K, C)."""

    def __init__(self, guide_gene: np.ndarray, n_lines: int, **covariates: np.ndarray) -> None:
        """`guide_gene` (K,) is the gene of each guide; `covariates` (G, C) are by name."""
        self.gene = guide_gene[:, None]
        self.guide = np.arange(len(guide_gene))[:, None]
        self.cell_line = np.arange(n_lines)[None]
        self.covariates = {name: values[guide_gene] for name, values in covariates.items()}


@dataclass(frozen=True, eq=False)
class GuideLines:
    """The N guide-line pairs with measurements, by guide, then by line, one entry per pair."""

    guide: np.ndarray
    """Index of the pair's guide (N,)."""
    gene: np.ndarray
    """Index of the guide's gene (N,)."""
    cell_line: np.ndarray
    """Index of the pair's line (N,)."""
    cell: np.ndarray
    """Index of the gene-line pair that contains it (N,), among `ScreenDesign.cells`."""
    guide_gene: np.ndarray
    """Index of each guide's gene (K,)."""
    count: np.ndarray
    """Measurements of the pair (N,), float64."""
    mean: np.ndarray
    """Mean log fold change of the pair (N,), log2."""
    covariates: dict[str, np.ndarray]
    """Covariates by name (N,); `rna` in SD."""
    within_ss: float
    """Sum over all pairs of squared deviations from the pair's mean."""
    within_df: int
    """Degrees of freedom of `within_ss`: measurements minus pairs."""
    line_within_ss: np.ndarray
    """`within_ss` by cell line (C,)."""
    line_within_df: np.ndarray
    """`within_df` by cell line (C,)."""

    @property
    def n_gene_lines(self) -> int:
        """Number of gene-line pairs."""
        return int(self.cell.max()) + 1

    @cached_property
    def guide_count(self) -> np.ndarray:
        """Measurements of each guide (K,), float64."""
        return np.bincount(self.guide, self.count, minlength=self.guide_gene.size)

    @cached_property
    def several_guides(self) -> np.ndarray:
        """Which pairs have another guide of the same gene in the same line (N,)."""
        return np.bincount(self.cell)[self.cell] > 1

    @cached_property
    def grid(self) -> Grid:
        """All guides in all lines; covariates are 0 without measurements."""
        by_pair = {
            name: np.zeros((self.guide_gene[-1] + 1, self.line_within_df.size))
            for name in self.covariates
        }
        for name, values in self.covariates.items():
            by_pair[name][self.gene, self.cell_line] = values
        return Grid(self.guide_gene, self.line_within_df.size, **by_pair)

    def of_grid(self, values: np.ndarray) -> np.ndarray:
        """Return what is at these pairs (..., N) of values that broadcast to (..., K, C)."""
        shape = self.guide_gene.size, self.line_within_df.size
        every = np.broadcast_to(values, (*values.shape[:-2], *shape))
        every = every.reshape(*values.shape[:-2], -1)
        return every if every.shape[-1] == self.guide.size else every[..., self._at_grid]

    @cached_property
    def _at_grid(self) -> np.ndarray:
        return self.guide * self.line_within_df.size + self.cell_line


def guide_lines(design: ScreenDesign) -> GuideLines:
    """Return the guide-line pairs of a design."""
    guide, line = np.nonzero(design.count)
    gene = design.guide_gene[guide]
    count = design.count[guide, line].astype(np.float64)
    total = design.total[guide, line]
    number = np.cumsum(design.gene_count > 0).reshape(design.gene_count.shape) - 1
    return GuideLines(
        guide=guide,
        gene=gene,
        cell_line=line,
        cell=number[gene, line],
        guide_gene=design.guide_gene,
        count=count,
        mean=total / count,
        covariates=design.covariates_at(gene, line),
        # Rounding may leave a few ulp below zero where all replicates agree.
        within_ss=max(0.0, design.total_sum_of_squares - float((total**2 / count).sum())),
        within_df=design.n_measurements - guide.size,
        line_within_ss=design.within_ss_by_line(by_guide=True),
        line_within_df=np.maximum(design.count.astype(np.int64) - 1, 0).sum(axis=0),
    )


_OF_LINES = ("lineage", "cell_line_name")
"""Optional labels of cell lines."""
_DIMS: dict[str, tuple[str, ...]] = {
    "guide_gene": ("guide",),
    "rna": ("gene", "cell_line"),
    "rna_mean": ("gene",),
    "rna_sd": ("gene",),
    "count": ("guide", "cell_line"),
    "total": ("guide", "cell_line"),
    "sum_of_squares": ("gene", "cell_line"),
}


def design_dataset(design: ScreenDesign) -> xr.Dataset:
    """Return all arrays of a design with their labels, without single measurements."""
    coords: dict[str, object] = {dim: list(labels) for dim, labels in design.labels.items()}
    for name in _OF_LINES:
        if (values := getattr(design, name)) is not None:
            coords[name] = ("cell_line", list(values))
    return xr.Dataset(
        {name: (dims, getattr(design, name)) for name, dims in _DIMS.items()}
        | {name: (_DIMS["rna"], values) for name, values in design.covariates.items()}
        | {f"{name}_mean": (_DIMS["rna_mean"], of) for name, of in design.covariate_means.items()},
        coords=coords,
        attrs={"rna_is_log2": int(design.rna_is_log2)},
    )


def design_of(dataset: xr.Dataset) -> ScreenDesign:
    """Return the design of a `design_dataset`, without single measurements.

    Raises KeyError where the dataset is incomplete.
    """

    def labels(name: str) -> tuple[str, ...]:
        return tuple(map(str, dataset[name].to_numpy()))

    arrays: dict[str, Any] = {name: dataset[name].to_numpy() for name in _DIMS}
    of_lines: dict[str, Any] = {name: labels(name) for name in _OF_LINES if name in dataset.coords}
    others = {str(name): dataset[name].to_numpy() for name in set(dataset.data_vars) - set(_DIMS)}
    return ScreenDesign(
        genes=labels("gene"),
        cell_lines=labels("cell_line"),
        guides=labels("guide"),
        rna_is_log2=bool(dataset.attrs["rna_is_log2"]),
        covariates={name: values for name, values in others.items() if values.ndim == 2},
        covariate_means={
            name.removesuffix("_mean"): means for name, means in others.items() if means.ndim == 1
        },
        **of_lines,
        **arrays,
    )
