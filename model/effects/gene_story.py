"""What a fit says about one gene: its effect, and the measurements behind it by RNA and guide."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from model.screen.design import ScreenDesign
from schemas.errors import UserError
from schemas.suggestions import suggestion

GROUPS = 5
"""Groups of cell lines by RNA: quintiles."""
LINES_SHOWN = 5
GUIDES_AT_ONCE = 2000  # in 1,100 lines 18 MB per copy


class NoSuchGene(UserError):
    """The gene is not in the fit."""


@dataclass(frozen=True, eq=False)
class GeneStory:
    """The effect of one gene, and the data behind it."""

    gene: str
    """`SYMBOL (ENTREZ)`."""
    effect: pd.Series
    """Its row of the table of gene effects (`schemas.column_catalog`)."""
    rank: int
    """1 for the most negative slope."""
    n_genes: int
    by_rna: pd.DataFrame
    """rna_low, rna_high (log2(TPM+1), or z-scores), n_cell_lines, logfc: one row per group of cell
    lines, the lowest RNA first; `logfc` is the mean over its lines."""
    rna_is_log2: bool
    guides: pd.DataFrame
    """guide, n_cell_lines, logfc, slope: one row per guide; `slope` is that of least squares on
    RNA, log fold change per SD, without the effects of the model."""
    lines: pd.DataFrame
    """cell_line (with its name), beta_without, change_in_sd, lfsr_without: the lines whose omission
    changes the slope most, the most influential first; empty where none was left out."""


def find_gene(name: str, genes: Sequence[str]) -> str:
    """Return the label of a gene, given as label, symbol or Entrez number.

    `genes` are labels, `SYMBOL (ENTREZ)`. Capitals do not count. Raises NoSuchGene, which names the
    closest gene.

        >>> find_gene("sox10", ["MYB (4602)", "SOX10 (6663)"])
        'SOX10 (6663)'
    """
    labels: dict[str, list[str]] = {}
    for label in genes:
        symbol, _, entrez = label.partition(" (")
        for one in {label, symbol, entrez.removesuffix(")")} - {""}:
            labels.setdefault(one.casefold(), []).append(label)
    found = labels.get(name.strip().casefold(), [])
    if len(found) == 1:
        return found[0]
    if found:
        raise NoSuchGene(
            f"expected the name of one gene, {name!r} may be {', '.join(found)}; give one of these"
        )
    names = {one: of[0].partition(" (")[0] for one, of in labels.items() if "(" not in one}
    near = suggestion(name, names.values())
    raise NoSuchGene(
        f"expected one of the {len(genes):,} fitted genes, got {name!r}{near}; genes that were not "
        "fitted are in genes_without_effect.csv, with the reason"
    )


def gene_story(
    gene: str, effects: pd.DataFrame, design: ScreenDesign, line_influence: pd.DataFrame | None
) -> GeneStory:
    """Return the story of a gene, given by its label.

    `design` is that of this gene alone (`ScreenDesign.of_genes`); `line_influence` has the columns
    of `line_influence.parquet`, or is None.
    """
    rank = effects["beta_mean"].rank(method="min")
    mine = effects.index[effects["gene"] == gene][0]
    lines = pd.DataFrame(columns=["cell_line", "beta_without", "change_in_sd", "lfsr_without"])
    if line_influence is not None:
        own = line_influence.loc[line_influence["gene"] == gene, lines.columns]
        order = own["change_in_sd"].abs().sort_values(ascending=False).index
        lines = own.loc[order].head(LINES_SHOWN).reset_index(drop=True)
        lines["cell_line"] = lines["cell_line"].replace(
            dict(zip(design.cell_lines, design.line_labels, strict=True))
        )
    return GeneStory(
        gene=gene,
        effect=effects.loc[mine],
        rank=int(rank.fillna(len(effects))[mine]),
        n_genes=len(effects),
        by_rna=_by_rna(design),
        rna_is_log2=design.rna_is_log2,
        guides=guide_slopes(design),
        lines=lines,
    )


def _by_rna(design: ScreenDesign) -> pd.DataFrame:
    """Return the mean log fold change of equal groups of cell lines, by RNA."""
    cells = design.cells
    mean, sd = design.covariate_scaling("rna")
    rna = mean[0] + sd[0] * cells.rna
    order = np.argsort(rna, kind="stable")
    groups = np.array_split(order, min(GROUPS, len(order)))
    return pd.DataFrame(
        [
            {
                "rna_low": rna[group].min(),
                "rna_high": rna[group].max(),
                "n_cell_lines": len(group),
                "logfc": cells.mean[group].mean(),
            }
            for group in groups
        ]
    )


def guide_slopes(design: ScreenDesign) -> pd.DataFrame:
    """Return guide, n_cell_lines, logfc and slope of every guide (`GeneStory.guides`)."""
    parts = [
        _guides(design, slice(first, first + GUIDES_AT_ONCE))
        for first in range(0, len(design.guides), GUIDES_AT_ONCE)
    ]
    return pd.concat(parts, ignore_index=True)


def _guides(design: ScreenDesign, some: slice) -> pd.DataFrame:
    count, total = design.count[some], design.total[some]
    rna = design.rna[design.guide_gene[some]]
    measured = count > 0
    logfc = np.divide(total, count, out=np.full(total.shape, np.nan), where=measured)
    n = measured.sum(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):  # of a guide without lines or spread: NaN
        centred = np.where(measured, rna, 0)
        centred = np.where(measured, centred - (centred.sum(axis=1) / n)[:, None], 0)
        spread = (centred**2).sum(axis=1)
        mean, product = np.nansum(logfc, axis=1) / n, np.nansum(centred * logfc, axis=1)
        slope = np.where(spread > 0, product / spread, np.nan)
    return pd.DataFrame(
        {"guide": design.guides[some], "n_cell_lines": n, "logfc": mean, "slope": slope}
    )
