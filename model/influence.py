"""Which genes' effects rest on one cell line or one lineage: leave each out, and look again.

The fits without are `model.left_out`, slopes within lineages `model.within_lineage`; here is what
follows from them for genes and lines.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import xarray as xr
from scipy.special import ndtr

from model.design import ScreenDesign
from model.left_out import (
    GroupsOut,
    Integrable,
    affordable,
    integrable,
    leave_out,
    log_sds,
    seconds_of_leaving_out,
)
from model.on_progress import OnProgress, nobody
from model.within_lineage import within_lineages
from schemas.columns import LINE_INFLUENCE_OF_GENES, LINEAGE_INFLUENCE_OF_GENES
from schemas.parameters import FitParameters, ModelName
from schemas.reports import InfluenceSummary

MOST_ROWS = 100_000
"""Rows of the table of lines up to which it holds every gene and line."""


@dataclass(frozen=True, eq=False)
class Influence:
    """What leaving out lines and lineages has shown."""

    summary: InfluenceSummary
    genes: pd.DataFrame
    """Columns for the table of genes, one row a gene looked at."""
    lines: pd.DataFrame
    """cell_line, elpd_lolo (natural log), pareto_k: one row a line."""
    line_influence: pd.DataFrame
    """gene, cell_line, beta_without, change_in_sd, lfsr_without."""
    lineage_sensitivity: pd.DataFrame | None
    """The same by lineage; None where lineages are not known."""


LINE_COLUMNS = tuple(LINE_INFLUENCE_OF_GENES)
LINEAGE_COLUMNS = tuple(LINEAGE_INFLUENCE_OF_GENES)
"""Only where lineages are known."""
FLAGS = ("carried_by_one_line", "carried_by_one_lineage", "marks_lineage")


def assess_influence(
    posterior: xr.Dataset,
    design: ScreenDesign,
    parameters: FitParameters,
    on_progress: OnProgress = nobody,
) -> Influence | None:
    """Leave out every line and, where known, every lineage; of a model that can be integrated.

    Of a screen too large to do so, in as many of its genes, taken evenly, as can be afforded. None
    where the draws of an SD are not finite or all the same, as of a sampler that has broken down.
    """
    if not (np.ptp(log_sds(parameters.model, posterior), axis=0) > 0).all():
        return None
    n_lines = len(design.cell_lines)
    groups, lineages = _groups(design)
    part = affordable(parameters.model, design, len(groups))
    screen = integrable(parameters.model, part, parameters.priors, posterior)
    out = leave_out(screen, groups, on_progress)
    lines = _part(out, slice(n_lines))
    by_line = _table(lines, part.genes, "cell_line", design.cell_lines)
    genes = _columns(lines, part.genes, "line", design.cell_lines, parameters)
    by_lineage = None
    if lineages:
        of_lineages = _part(out, slice(n_lines, None))
        by_lineage = _table(of_lineages, part.genes, "lineage", lineages)
        genes = genes.join(
            _columns(of_lineages, part.genes, "lineage", lineages, parameters).drop(columns="gene")
        ).join(_within(screen, design.lineage or (), out, parameters))
    return Influence(
        summary=_summary(genes, lines, len(design.genes), len(lineages)),
        genes=genes,
        lines=pd.DataFrame(
            {
                "cell_line": list(design.cell_lines),
                "elpd_lolo": lines.elpd,
                "pareto_k": lines.pareto_k,
            }
        ),
        line_influence=_kept(by_line, parameters.influence.change_min),
        lineage_sensitivity=by_lineage,
    )


def leaving_out_seconds(name: ModelName, design: ScreenDesign) -> float:
    """Return about how long `assess_influence` takes; within a factor of two or so."""
    groups, _ = _groups(design)
    return seconds_of_leaving_out(name, design, len(groups))


def with_influence(effects: pd.DataFrame, influence: Influence) -> pd.DataFrame:
    """Return the table of genes with the columns of `influence`; genes not looked at lack them."""
    joined = effects.merge(influence.genes, how="left", on="gene", validate="one_to_one")
    flags = [name for name in FLAGS if name in joined]
    return joined.astype(dict.fromkeys(flags, "boolean"))


def _groups(design: ScreenDesign) -> tuple[np.ndarray, tuple[str, ...]]:
    """Return every line and every lineage as a group (O, C), and the lineages.

    No lineages where fewer than two are known, or none has two lines: nothing is within them.
    """
    lines = np.eye(len(design.cell_lines), dtype=bool)
    of_line = np.array(design.lineage or [""] * len(lines))
    names, counts = np.unique(of_line[of_line != ""], return_counts=True)
    if len(names) < 2 or counts.max() < 2:
        return lines, ()
    return np.concatenate([lines, of_line == names[:, None]]), tuple(map(str, names))


def _part(out: GroupsOut, which: slice) -> GroupsOut:
    return GroupsOut(out.whole, out.without.part(which), out.elpd[which], out.pareto_k[which])


def _change(out: GroupsOut) -> np.ndarray:
    """Return by how much beta changes without each group, in its posterior SDs (O, G)."""
    return (out.without.mean - out.whole.mean) / out.whole.sd


def _table(out: GroupsOut, genes: Sequence[str], unit: str, labels: Sequence[str]) -> pd.DataFrame:
    """Return one row a gene and group: beta without the group, its change, its false sign rate."""
    return pd.DataFrame(
        {
            "gene": np.repeat(np.array(genes), len(labels)),
            unit: np.tile(np.array(labels), len(genes)),
            "beta_without": out.without.mean.T.ravel(),
            "change_in_sd": _change(out).T.ravel(),
            "lfsr_without": out.without.lfsr.T.ravel(),
        }
    )


def _kept(table: pd.DataFrame, change_min: float) -> pd.DataFrame:
    """Return all of a small table; of a large one what changes much, and the most of each gene."""
    if len(table) <= MOST_ROWS:
        return table
    size = table["change_in_sd"].abs()
    largest = size.groupby(table["gene"], sort=False).idxmax()
    kept = size >= change_min
    kept[largest] = True
    return table[kept].reset_index(drop=True)


def _columns(
    out: GroupsOut,
    genes: Sequence[str],
    unit: str,
    labels: Sequence[str],
    parameters: FitParameters,
) -> pd.DataFrame:
    """Return gene, the group that carries beta or moves it most, by how much, and if it carries.

    It does where the sign of beta is sure with it and not without it, or the other one. A change
    smaller than `change_min` does not count: an effect that was just sure is then just not.
    """
    change = _change(out)
    turned = np.sign(out.without.mean) != np.sign(out.whole.mean)
    sure = parameters.calls.error_max
    lost = (out.without.lfsr > sure) | turned
    lost &= np.abs(change) >= parameters.influence.change_min
    carried = (out.whole.lfsr <= sure) & lost.any(axis=0)
    # Of a gene that some group carries, that one; another may move it further from 0.
    most = np.argmax(np.where(carried & ~lost, 0, np.abs(change)), axis=0)
    names = LINE_COLUMNS if unit == "line" else LINEAGE_COLUMNS
    return pd.DataFrame(
        {
            "gene": np.array(genes),
            names[0]: np.array(labels)[most],
            names[1]: change[most, np.arange(len(genes))],
            names[2]: carried,
        }
    )


def _within(
    screen: Integrable, lineage: Sequence[str], out: GroupsOut, parameters: FitParameters
) -> pd.DataFrame:
    """Return the slopes within lineages, and which genes' effects surely all but vanish there."""
    inside, rna_left = within_lineages(screen, lineage)
    slopes = leave_out(inside, np.zeros((0, len(lineage)), bool)).whole
    # In the direction of the whole effect; how sure is it that less than the share is left?
    along = np.sign(out.whole.mean) * slopes.mean
    share = parameters.influence.share_within_min
    share_left = ndtr((along - share * np.abs(out.whole.mean)) / slopes.sd)
    sure = parameters.calls.error_max
    marks = (out.whole.lfsr <= sure) & (share_left <= sure)
    values = slopes.mean, slopes.sd, rna_left, marks
    return pd.DataFrame(dict(zip(LINEAGE_COLUMNS[3:], values, strict=True)))


def _summary(
    genes: pd.DataFrame, lines: GroupsOut, n_genes_of_screen: int, n_lineages: int
) -> InfluenceSummary:
    def count(column: str) -> int:
        return int(genes[column].sum()) if column in genes else 0

    return InfluenceSummary(
        elpd_lolo=lines.elpd.sum(),
        elpd_lolo_se=np.sqrt(lines.elpd.size * np.var(lines.elpd, ddof=1)),
        pareto_k_max=np.max(lines.pareto_k),
        n_genes=len(genes),
        n_genes_of_screen=n_genes_of_screen,
        n_genes_carried_by_one_line=count("carried_by_one_line"),
        n_lineages=n_lineages,
        n_genes_carried_by_one_lineage=count("carried_by_one_lineage"),
        n_genes_marking_a_lineage=count("marks_lineage"),
    )
