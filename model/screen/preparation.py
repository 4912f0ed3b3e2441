"""Preparation of the design from validated tables: sufficient statistics, and all exclusions.

The logFC table is read in blocks and never kept in memory as a whole.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import numpy as np
import pandas as pd

from model.screen.covariates import COPY_NUMBER, centred, covariate_values
from model.screen.design import ScreenDesign
from model.screen.selection import PreparationError, require_some, select, with_reason_of
from schemas.dataset import CopyNumberUnits
from schemas.parameters import Filters, FitParameters, Preparation
from schemas.reports import Exclusion, PreparationReport, Unit
from schemas.tables.containers import LogfcBlock, Screen
from schemas.tables.coverage import linked_parts
from schemas.tables.eligibility import INCLUDED, first_reason

__all__ = ["PreparationError", "SufficientStatistics", "prepare", "rna_moments"]

MOST_EXAMPLES = 10
ROUNDING = 1e-12
"""Share of a sum of squares that may remain by rounding."""


class SufficientStatistics:
    """Counts and sums of log fold change by guide and cell line, accumulated block by block.

    For the K guides (by gene, then by label), G genes and C cell lines of the selection; `prepare`
    may exclude more. Only measurements whose gene and line have an RNA value are counted.
    """

    def __init__(
        self,
        screen: Screen,
        sequences: tuple[str, ...],
        library: str,
        filters: Filters,
        preparation: Preparation,
    ) -> None:
        """Select the items that may be fitted; raise PreparationError where nothing is left."""
        self.selection = select(screen, sequences, library, filters)
        rna = self.selection.rna
        guides = self.selection.guides
        kept = guides[guides["reason"] == INCLUDED].sort_values("gene", kind="stable")
        self.guides = kept.index
        self.guide_gene = rna.index.get_indexer(pd.Index(kept["gene"])).astype(np.int64)

        by_column = self.selection.sequences
        line = rna.columns.get_indexer(pd.Index(by_column["cell_line"]))
        line[by_column["reason"] != INCLUDED] = -1
        # Columns of one line are adjacent, so that one reduceat sums them.
        order = np.argsort(line, kind="stable")
        self._columns = order[line[order] >= 0]
        self._column_line = line[self._columns]
        self._first_column = np.flatnonzero(np.diff(self._column_line, prepend=-1))
        self._n_columns = np.diff(self._first_column, append=len(self._columns)).astype(np.uint16)
        self._has_rna = np.isfinite(rna.to_numpy())
        self._all_rna = bool(self._has_rna.all())

        shape = (len(self.guides), len(rna.columns))
        self.count = np.zeros(shape, dtype=np.uint16)
        """Measurements by guide and line (K, C)."""
        self.total = np.zeros(shape)
        """Sum of log fold change by guide and line (K, C)."""
        self.sum_of_squares = np.zeros(rna.shape)
        """Sum of squared log fold change by gene and line (G, C)."""
        self.n_missing = 0
        self.n_without_rna = 0
        self.seen: list[np.ndarray] = []
        """Labels of all guides, block by block."""
        self._most_kept = preparation.max_measurements_kept
        self._n_kept = 0
        self._singles: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []

    def add(self, block: LogfcBlock) -> None:
        """Add one block of guides; each guide must be added once."""
        self.seen.append(block.guides)
        code = self.guides.get_indexer(pd.Index(block.guides, dtype=object))
        rows = np.flatnonzero(code >= 0)
        guide = code[rows]
        # Sequences by guides, the memory layout of blocks of CSV files: selecting sequences and
        # summing replicates then access contiguous memory.
        values = _select_rows(_select_rows(block.values, rows).T, self._columns)
        kept = ~np.isnan(values)
        n_given = int(np.count_nonzero(kept))
        if not self._all_rna:
            kept &= self._has_rna[np.ix_(self.guide_gene[guide], self._column_line)].T
        n_kept = int(np.count_nonzero(kept))
        self.n_missing += kept.size - n_given
        self.n_without_rna += n_given - n_kept

        count = np.broadcast_to(self._n_columns[:, None], (len(self._n_columns), len(guide)))
        if n_kept < kept.size:
            values = np.where(kept, values, 0)
            count = np.add.reduceat(kept, self._first_column, axis=0, dtype=np.uint16)
        self.count[guide] = count.T
        self.total[guide] = np.add.reduceat(values, self._first_column, axis=0).T
        self._add_squares(guide, values)
        self._n_kept += n_kept
        self._keep_singles(guide, values, kept)

    def _add_squares(self, guide: np.ndarray, values: np.ndarray) -> None:
        """Add the squares of a block, with guides in any order, by gene and line."""
        order = np.argsort(self.guide_gene[guide], kind="stable")
        gene = self.guide_gene[guide[order]]
        first = np.flatnonzero(np.diff(gene, prepend=-1))
        of_line = np.add.reduceat(values * values, self._first_column, axis=0)
        if len(gene):
            self.sum_of_squares[gene[first]] += np.add.reduceat(of_line.T[order], first, axis=0)

    def _keep_singles(self, guide: np.ndarray, values: np.ndarray, kept: np.ndarray) -> None:
        if self._n_kept > self._most_kept:
            self._singles.clear()
            return
        row, column = np.nonzero(kept.T)
        self._singles.append((guide[row], self._column_line[column], values[column, row]))

    def measurements(self) -> pd.DataFrame | None:
        """Return guide and cell_line (codes) and logfc of each; None where they are too many."""
        if self._n_kept > self._most_kept:
            return None
        guide, cell_line, logfc = (
            np.concatenate(part) for part in zip(*self._singles, strict=True)
        )
        return pd.DataFrame({"guide": guide, "cell_line": cell_line, "logfc": logfc})

    def release(self) -> None:
        """Free the sums: a flow keeps the results of its tasks, these too, until it ends."""
        self.count = np.zeros((0, 0), dtype=np.uint16)
        self.total = self.sum_of_squares = np.zeros((0, 0))
        self._singles.clear()


def _select_rows(values: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Return these rows; without a copy if they are all rows in order, as for a whole release."""
    whole = len(rows) == len(values) and bool((rows[:-1] < rows[1:]).all())
    return values if whole else values[rows]


def prepare(
    screen: Screen,
    statistics: SufficientStatistics,
    parameters: FitParameters,
    rna_units: Literal["log2_tpm", "z_score"],
    copy_number_units: CopyNumberUnits = "log2_ratio_plus_1",
) -> tuple[ScreenDesign, PreparationReport]:
    """Return the design and the report of its preparation, after all blocks have been added.

    RNA is z-scored by gene over the lines with RNA and measurements of the gene, SD with ddof 1;
    RNA given as `z_score` is used unchanged. Copy number becomes a covariate of its deviations from
    the mean of the gene, 0 where it is unknown.

    Raises:
        PreparationError: nothing is left to fit, genes and lines form several components that share
            no measurement, or all replicates are copies of each other.
    """
    selection = statistics.selection
    rna = selection.rna.to_numpy()
    guide_gene = statistics.guide_gene
    first_guide = np.flatnonzero(np.diff(guide_gene, prepend=-1))
    gene_measured = np.logical_or.reduceat(statistics.count > 0, first_guide, axis=0)
    n_lines = gene_measured.sum(axis=1)
    mean, sd = rna_moments(rna, gene_measured)

    least_lines = parameters.preparation.min_cell_lines_per_gene
    least_sd = parameters.preparation.min_rna_sd
    gene_reason = first_reason(
        selection.rna.index,
        {
            "no measurement": n_lines == 0,
            f"measured in fewer than {least_lines} cell lines": n_lines < least_lines,
            f"RNA SD below {least_sd:g}": ~(sd >= least_sd) | (sd == 0),
        },
    )
    require_some("gene", gene_reason)
    gene_kept = (gene_reason == INCLUDED).to_numpy()
    line_kept = gene_measured[gene_kept].any(axis=0)
    line_reason = first_reason(selection.rna.columns, {"no measurement": ~line_kept})
    guide_measured = statistics.count.any(axis=1)
    guide_kept = gene_kept[guide_gene] & guide_measured
    guide_reason = first_reason(statistics.guides, {"no measurement": ~guide_measured})
    guide_reason = guide_reason.where(
        gene_kept[guide_gene], "gene: " + gene_reason.iloc[guide_gene].to_numpy()
    )

    cell_lines = selection.rna.columns[line_kept]
    pairs = np.ix_(gene_kept, line_kept)
    genes = selection.rna.index[gene_kept]
    _require_linked(gene_measured[pairs], genes, cell_lines)
    others = covariate_values(screen, genes, cell_lines, copy_number_units)
    deviations, means = {}, {}
    for name, values in others.items():
        deviations[name], means[name] = centred(values, gene_measured[pairs])
    copy_number = others.get(COPY_NUMBER)

    covariate = rna
    if rna_units == "log2_tpm":
        with np.errstate(invalid="ignore", divide="ignore"):  # of excluded genes
            covariate = (rna - mean[:, None]) / sd[:, None]
    cells = np.ix_(guide_kept, line_kept)
    design = ScreenDesign(
        genes=tuple(genes),
        cell_lines=tuple(cell_lines),
        guides=tuple(statistics.guides[guide_kept]),
        guide_gene=_renumbered(gene_kept)[guide_gene[guide_kept]],
        rna=covariate[pairs],
        rna_mean=mean[gene_kept],
        rna_sd=sd[gene_kept],
        rna_is_log2=rna_units == "log2_tpm",
        count=statistics.count[cells],
        total=statistics.total[cells],
        sum_of_squares=statistics.sum_of_squares[pairs],
        lineage=_of_lines("lineage", screen.model_table, cell_lines),
        cell_line_name=_of_lines("cell_line_name", screen.model_table, cell_lines),
        measurements=_measurements(statistics, covariate, gene_kept, line_kept, guide_kept),
        covariates=deviations,
        covariate_means=means,
    )
    _require_true_replicates(design)
    report = PreparationReport(
        losses=tuple(_exclusions(screen, statistics, gene_reason, line_reason, guide_reason)),
        n_genes=len(design.genes),
        n_cell_lines=len(design.cell_lines),
        n_guides=len(design.guides),
        n_measurements=design.n_measurements,
        n_without_copy_number=None
        if copy_number is None
        else int(np.count_nonzero(np.isnan(copy_number) & gene_measured[pairs])),
    )
    return design, report


def _require_linked(measured: np.ndarray, genes: pd.Index, cell_lines: pd.Index) -> None:
    parts = linked_parts(measured, genes, cell_lines)
    if len(parts) > 1:
        raise PreparationError(
            "expected genes and cell lines connected by measurements into one component, got "
            f"{len(parts)} components; all but the largest: "
            f"{'; '.join(parts[1 : MOST_EXAMPLES + 1])}"
            ". Their effects cannot be compared: filter to one component, or widen the filters"
        )


def _require_true_replicates(design: ScreenDesign) -> None:
    """Raise an error if replicates agree in every guide and line: their SD would be 0."""
    # By guide: squares of all pairs at once would double the memory of the sums.
    of_means = sum(
        float((total**2 / np.maximum(count, 1)).sum())
        for total, count in zip(design.total, design.count, strict=True)
    )
    squares = design.total_sum_of_squares
    replicated = design.n_measurements > np.count_nonzero(design.count)
    if replicated and squares - of_means <= ROUNDING * squares:
        raise PreparationError(
            "expected replicates that differ by their measurement error, got the same log fold "
            "change in all replicates of each guide and cell line: they are copies of each other; "
            "provide the table with its true replicates, or keep one column per cell line"
        )


def rna_moments(rna: np.ndarray, measured: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return mean and SD (ddof 1) of RNA by gene over its measured lines, NaN for too few."""
    n_lines = measured.sum(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = np.where(measured, rna, 0).sum(axis=1) / n_lines
        deviation = np.where(measured, rna - mean[:, None], 0)
        variance = np.where(n_lines > 1, (deviation**2).sum(axis=1) / (n_lines - 1), np.nan)
    return mean, np.sqrt(variance)


def _renumbered(kept: np.ndarray) -> np.ndarray:
    """Return the new index of each kept item."""
    return np.cumsum(kept, dtype=np.int64) - 1


def _of_lines(
    column: str, model_table: pd.DataFrame | None, cell_lines: pd.Index
) -> tuple[str, ...] | None:
    """Return a column of the model table by line, "" where unknown; None where all are."""
    if model_table is None:
        return None
    values = model_table.drop_duplicates("cell_line").set_index("cell_line")[column]
    return tuple(values.reindex(cell_lines).fillna("").astype(object)) if any(values) else None


def _measurements(
    statistics: SufficientStatistics,
    covariate: np.ndarray,
    gene_kept: np.ndarray,
    line_kept: np.ndarray,
    guide_kept: np.ndarray,
) -> pd.DataFrame | None:
    singles = statistics.measurements()
    if singles is None:
        return None
    singles = singles[guide_kept[singles["guide"]]].sort_values(
        ["guide", "cell_line"], kind="stable"
    )
    guide, cell_line = singles["guide"].to_numpy(), singles["cell_line"].to_numpy()
    gene = statistics.guide_gene[guide]
    return pd.DataFrame(
        {
            "gene": _renumbered(gene_kept)[gene],
            "cell_line": _renumbered(line_kept)[cell_line],
            "guide": _renumbered(guide_kept)[guide],
            "replicate": singles.groupby(["guide", "cell_line"]).cumcount().to_numpy(),
            "rna": covariate[gene, cell_line],
            "logfc": singles["logfc"].to_numpy(),
        }
    )


# ------------------------------------------------------------------------------------- exclusions


def _exclusions(
    screen: Screen,
    statistics: SufficientStatistics,
    gene_reason: pd.Series,
    line_reason: pd.Series,
    guide_reason: pd.Series,
) -> Iterator[Exclusion]:
    """Yield everything that is not in the design, counted under its first reason.

    Counted are columns, rows and values of the logFC table; genes and cell lines of any table; RNA
    profiles. The arguments are the reasons of items that passed the selection.
    """
    selection = statistics.selection
    columns = selection.sequences
    read = pd.Series(np.concatenate(statistics.seen))
    by_row = read.map(selection.guides["reason"]).fillna("not in the guide map")

    lines = selection.cell_lines.copy()
    lines[line_reason.index] = line_reason
    genes = selection.genes.copy()
    genes[gene_reason.index] = gene_reason
    profiles = screen.profiles
    profile_reason = pd.Series("not the default of its cell line", profiles.index, dtype=object)
    default = profiles["is_default"]
    of_line = profiles["cell_line"].map(lines)
    profile_reason[default] = np.where(of_line == INCLUDED, INCLUDED, "cell line: " + of_line)[
        default
    ]

    yield from _by_reason(
        "sequence",
        columns["sequence"],
        with_reason_of(columns, "cell_line", lines, "cell line")["reason"],
        MOST_EXAMPLES,
    )
    yield from _by_reason(
        "guide",
        read,
        by_row.where(by_row != INCLUDED, read.map(guide_reason)),
        MOST_EXAMPLES,
    )
    yield from _by_reason("gene", genes.index, genes)
    yield from _by_reason("cell line", lines.index, lines)
    yield from _by_reason("RNA profile", profiles["profile"], profile_reason, MOST_EXAMPLES)

    n_columns_kept = int((columns["reason"] == INCLUDED).sum())
    counts = {
        **{_why("sequence", why): n * len(read) for why, n in _counted(columns["reason"]).items()},
        **{_why("guide", why): n * n_columns_kept for why, n in _counted(by_row).items()},
        "missing value": statistics.n_missing,
        "no RNA value for gene and cell line": statistics.n_without_rna,
    }
    by_guide = pd.Series(statistics.count.sum(axis=1, dtype=np.int64), statistics.guides)
    excluded = guide_reason != INCLUDED
    for why, n in by_guide[excluded].groupby(guide_reason[excluded]).sum().items():
        counts[_why("guide", why)] = n
    for reason, count in counts.items():
        if count:
            yield Exclusion(unit="measurement", reason=reason, count=int(count))


def _why(unit: Unit, reason: object) -> str:
    """Return the reason with its unit, unless it names one: the reason of the gene or line."""
    return str(reason) if ": " in str(reason) else f"{unit}: {reason}"


def _counted(reasons: pd.Series) -> pd.Series:
    return reasons[reasons != INCLUDED].value_counts()


def _by_reason(
    unit: Unit, labels: pd.Index | pd.Series, reasons: pd.Series, most_examples: int | None = None
) -> Iterator[Exclusion]:
    """Yield one exclusion per reason, the most frequent first."""
    for reason, count in _counted(reasons).items():
        examples = labels[(reasons == reason).to_numpy()][:most_examples]
        yield Exclusion(
            unit=unit, reason=str(reason), count=count, examples=tuple(map(str, examples))
        )
