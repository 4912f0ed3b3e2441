"""What the gene explorer shows of a fit: every gene, and as much of its data as a page can carry.

Arrays over all genes, computed in blocks of genes; `tasks.reports.explorer` writes them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
import xarray as xr

from model.effects.fitted_lines import FittedLines, LineEffects, fitted_lines, line_effects
from model.effects.gene_effects import CALLED
from model.effects.gene_story import LINES_SHOWN, guide_slopes
from model.prediction.predictive import thin
from model.screen.design import ScreenDesign

MOST_PAIRS = 1_800_000
"""Gene-line pairs shown; of a larger screen, genes that are not called show a part of theirs."""
SHARE_OF_CALLED = 0.6
"""Largest share of these pairs for the genes that show all of theirs."""
GENES_AT_ONCE = 200
MOST_DRAWS = 4000
BINS = 40
POINTS_OF_A_LINE = 7


@dataclass(frozen=True, eq=False)
class ShownPairs:
    """Gene-line pairs of all genes, (M,) each: gene by gene, of a gene by cell line."""

    n: np.ndarray
    """Pairs of each gene (G,)."""
    cell_line: np.ndarray
    """Index of the cell line."""
    rna: np.ndarray
    """RNA in the unit of its table: log2(TPM+1), or z-scores."""
    logfc: np.ndarray
    """Mean of the pair's measurements, log2."""
    copy_number: np.ndarray | None
    """log2(ratio + 1), the gene's mean where unknown; None without a copy-number table."""


@dataclass(frozen=True, eq=False)
class Histograms:
    """Draws of the slope of each gene that are not 0, in BINS equal bins."""

    low: np.ndarray
    """Left end (G,); NaN where there are none."""
    high: np.ndarray
    """Right end (G,)."""
    counts: np.ndarray
    """Draws by bin (G, BINS)."""
    n_zero: np.ndarray
    """Draws of exactly 0 (G,), which a mixture prior gives."""


@dataclass(frozen=True, eq=False)
class Explorer:
    """The G genes of a fit in the order of its table of effects, and their data."""

    effects: pd.DataFrame
    """One row per gene, the most negative slope first (`schemas.column_catalog.GENE_EFFECTS`)."""
    cell_lines: pd.DataFrame
    """cell_line (with its name), lineage ("" where unknown): one row per line of the design."""
    line_effects: LineEffects
    pairs: ShownPairs
    rna_is_log2: bool
    fitted: FittedLines
    """Of the genes, RNA in the unit of `pairs`."""
    histograms: Histograms
    guides: pd.DataFrame
    """gene (index among `effects`), guide, n_cell_lines, logfc, slope, by gene
    (`model.effects.gene_story.guide_slopes`)."""
    left_out: pd.DataFrame
    """gene (index), unit (cell_line, lineage), left_out (its label), beta_without, change_in_sd,
    lfsr_without: the most influential of each gene and unit, the largest change first, by gene;
    empty where nothing was left out."""


def explorer(
    posterior: xr.Dataset,
    design: ScreenDesign,
    effects: pd.DataFrame,
    line_influence: pd.DataFrame | None = None,
    lineage_sensitivity: pd.DataFrame | None = None,
    most_pairs: int = MOST_PAIRS,
) -> Explorer:
    """Return the explorer of a fit.

    `effects` has one row per gene of the design; the tables of influence are those of
    `model.effects.influence.Influence`. Called genes show all gene-line pairs, as far as they fit
    (SHARE_OF_CALLED), others up to an equal number, evenly spaced over RNA: together at most
    about `most_pairs`.
    """
    genes = pd.Index(design.genes).get_indexer(pd.Index(effects["gene"]))
    fitted = fitted_lines(posterior, design, list(genes), POINTS_OF_A_LINE)
    mean, sd = (of[genes, None] for of in design.covariate_scaling("rna"))
    return Explorer(
        effects=effects,
        cell_lines=pd.DataFrame(
            {
                "cell_line": design.line_labels,
                "lineage": design.lineage or [""] * len(design.cell_lines),
            }
        ),
        line_effects=line_effects(posterior, design.cell_lines),
        pairs=_pairs(design, genes, _most_pairs_of(design, genes, effects, most_pairs)),
        rna_is_log2=design.rna_is_log2,
        fitted=FittedLines(mean + sd * fitted.rna, fitted.fitted, fitted.low, fitted.high),
        histograms=_histograms(thin(posterior[["beta_g"]], MOST_DRAWS)["beta_g"], effects["gene"]),
        guides=_guides(design, genes),
        left_out=_left_out(
            {"cell_line": line_influence, "lineage": lineage_sensitivity},
            effects["gene"],
            dict(zip(design.cell_lines, design.line_labels, strict=True)),
        ),
    )


def _most_pairs_of(
    design: ScreenDesign, genes: np.ndarray, effects: pd.DataFrame, most_pairs: int
) -> np.ndarray:
    """Return the largest number of pairs that each gene shows (G,)."""
    has = (design.gene_count > 0).sum(axis=1)[genes]
    if has.sum() <= most_pairs:
        return has
    order = np.lexsort(
        (-effects["beta_mean"].abs(), effects["lfsr"], ~effects["call"].isin(CALLED))
    )
    called = effects["call"].isin(CALLED).to_numpy()[order]
    whole = order[called & (np.cumsum(has[order]) <= SHARE_OF_CALLED * most_pairs)]
    rest = most_pairs - has[whole].sum()
    most = np.full(len(has), max(1, rest // (len(has) - len(whole))))
    most[whole] = has[whole]
    return most


def _pairs(design: ScreenDesign, genes: np.ndarray, most: np.ndarray) -> ShownPairs:
    mean, sd = design.covariate_scaling("rna")
    cn = design.covariates.get("copy_number")
    parts: dict[str, list[np.ndarray]] = {
        name: [] for name in ("n", "cell_line", "rna", "logfc", "copy_number")
    }
    for at in _blocks(len(genes)):
        block = genes[at]
        count, rna = design.gene_count[block], design.rna[block]
        row, line = np.nonzero(_evenly_over_rna(count > 0, rna, most[at]))
        gene = block[row]
        parts["n"].append(np.bincount(row, minlength=len(block)))
        parts["cell_line"].append(line)
        parts["rna"].append(mean[gene] + sd[gene] * rna[row, line])
        parts["logfc"].append(design.gene_total[gene, line] / count[row, line])
        if cn is not None:
            level = design.covariate_means["copy_number"]
            parts["copy_number"].append(level[gene] + cn[gene, line])
    arrays = {name: np.concatenate(values) for name, values in parts.items() if values}
    return ShownPairs(copy_number=arrays.pop("copy_number", None), **arrays)


def _evenly_over_rna(measured: np.ndarray, rna: np.ndarray, most: np.ndarray) -> np.ndarray:
    """Return which of the measured lines of each gene to keep, at most `most`, (B, C).

    All, or those at even ranks of RNA.
    """
    has = measured.sum(axis=1)
    if (has <= most).all():
        return measured
    order = np.argsort(np.where(measured, rna, np.inf), axis=1, kind="stable")
    rank = np.empty_like(order)
    np.put_along_axis(rank, order, np.arange(rank.shape[1])[None], axis=1)
    # The ranks at which the whole part of rank x most / has steps up.
    n = np.minimum(most, has)[:, None]
    first = (rank * n) // has[:, None] != ((rank - 1) * n) // has[:, None]
    return measured & first


def _histograms(beta: xr.DataArray, names: pd.Series) -> Histograms:
    parts: list[tuple[np.ndarray, ...]] = []
    for at in _blocks(len(names)):
        draws = beta.sel(gene=names[at].to_list()).transpose("gene", "chain", "draw").to_numpy()
        draws = draws.reshape(len(draws), -1)
        counted = np.isfinite(draws) & (draws != 0)
        low = np.where(counted, draws, np.inf).min(axis=1)
        high = np.where(counted, draws, -np.inf).max(axis=1)
        high = np.where(high == low, low + 1, high)
        width = (high - low) / BINS
        with np.errstate(invalid="ignore"):  # infinite where there are none
            bins = np.clip((draws - low[:, None]) / width[:, None], 0, BINS - 1)
        gene, _ = np.nonzero(counted)
        flat = gene * BINS + bins[counted].astype(int)
        counts = np.bincount(flat, minlength=len(draws) * BINS).reshape(-1, BINS)
        none = ~counted.any(axis=1)
        low[none], high[none] = np.nan, np.nan
        parts.append((low, high, counts, (draws == 0).sum(axis=1)))
    return Histograms(*(np.concatenate(one) for one in zip(*parts, strict=True)))


def _guides(design: ScreenDesign, genes: np.ndarray) -> pd.DataFrame:
    place = np.empty(len(genes), int)
    place[genes] = np.arange(len(genes))
    table = guide_slopes(design)
    table.insert(0, "gene", place[design.guide_gene])
    return table.sort_values("gene", kind="stable", ignore_index=True)


def _left_out(
    tables: dict[str, pd.DataFrame | None], genes: pd.Series, line_labels: dict[str, str]
) -> pd.DataFrame:
    """Return the most influential units of each gene; `tables` are by unit."""
    parts = [
        table.assign(unit=unit, left_out=table[unit], size=table["change_in_sd"].abs())
        for unit, table in tables.items()
        if table is not None
    ]
    columns = ["gene", "unit", "left_out", "beta_without", "change_in_sd", "lfsr_without"]
    if not parts:
        return pd.DataFrame(columns=columns)
    rows = pd.concat(parts, ignore_index=True)
    rows["gene"] = pd.Index(genes).get_indexer(pd.Index(rows["gene"]))
    rows = rows.sort_values(["gene", "unit", "size"], ascending=[True, True, False])
    largest = rows.groupby(["gene", "unit"], sort=False).head(LINES_SHOWN)
    labels = largest["left_out"].map(line_labels).fillna(largest["left_out"])
    return largest.assign(left_out=labels)[columns].reset_index(drop=True)


def _blocks(n_genes: int) -> Iterator[slice]:
    return (slice(at, at + GENES_AT_ONCE) for at in range(0, n_genes, GENES_AT_ONCE))
