"""Influence of cell lines and lineages on the effects of genes, by leaving each of them out.

`model.effects.leave_groups_out` computes the fits of models that can be integrated,
`model.effects.leave_out_by_draws` those of slopes with a mixture prior, and
`model.effects.within_lineage` the slopes within lineages.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import xarray as xr
from scipy.special import ndtr

from model.effects.leave_groups_out import (
    GroupsOut,
    leave_out,
    leave_out_problem,
    log_sds,
    seconds_of_leaving_out,
    subsample_genes,
)
from model.effects.within_lineage import WithinLineages, within_lineages
from model.runtime.progress import ProgressCallback, no_progress
from model.screen.design import ScreenDesign
from schemas.column_catalog import LINE_INFLUENCE_OF_GENES, LINEAGE_INFLUENCE_OF_GENES
from schemas.model_spec import ModelSpec, model_spec
from schemas.parameters import FitParameters, ModelName
from schemas.reports import InfluenceSummary

MOST_ROWS = 100_000
"""Largest table of lines that has a row for every gene and line."""


@dataclass(frozen=True, eq=False)
class Influence:
    """Results of leaving out lines and lineages."""

    summary: InfluenceSummary
    genes: pd.DataFrame
    """Columns for the table of genes, one row per evaluated gene."""
    lines: pd.DataFrame | None
    """cell_line, cell_line_name where the release has names, elpd_lolo (natural log), pareto_k: one
    row per line; None where the density of the measurements of a line is not known."""
    line_influence: pd.DataFrame
    """gene, cell_line, cell_line_name likewise, beta_without, change_in_sd, lfsr_without."""
    lineage_sensitivity: pd.DataFrame | None
    """The same by lineage; None where lineages are unknown."""


LINE_COLUMNS = tuple(LINE_INFLUENCE_OF_GENES)
LINEAGE_COLUMNS = tuple(LINEAGE_INFLUENCE_OF_GENES)
"""Present only where lineages are known."""
FLAGS = ("carried_by_one_line", "carried_by_one_lineage", "marks_lineage")


def assess_influence(
    posterior: xr.Dataset,
    design: ScreenDesign,
    parameters: FitParameters,
    progress: ProgressCallback = no_progress,
) -> Influence | None:
    """Return the influence of every line and, where known, of every lineage.

    A very large screen is reduced to a subsample of genes (`subsample_genes`, `choose_genes`).
    Returns None for a model whose lines cannot be left out (`can_leave_out`), and where the draws
    of an SD are constant or not finite, as after a failure of a sampler.
    """
    spec = model_spec(parameters.model, design.covariates)
    if not can_leave_out(spec) or not (np.ptp(log_sds(spec, posterior), axis=0) > 0).all():
        return None
    n_lines = len(design.cell_lines)
    groups, lineages = _groups(design)
    fits = _by_draws if spec.not_exact else _by_integral
    part, out, within = fits(
        posterior, design, parameters, groups, (design.lineage or ()) if lineages else (), progress
    )
    lines = _part(out, slice(n_lines))
    by_line = _table(lines, part.genes, "cell_line", design.cell_lines)
    genes = _gene_columns(lines, part.genes, "line", design.cell_lines, parameters)
    by_lineage = None
    if within:
        of_lineages = _part(out, slice(n_lines, None))
        by_lineage = _table(of_lineages, part.genes, "lineage", lineages)
        genes = genes.join(
            _gene_columns(of_lineages, part.genes, "lineage", lineages, parameters).drop(
                columns="gene"
            )
        ).join(_within_columns(within, out, parameters))
    of_lines = None
    if lines.elpd is not None:
        columns = {"elpd_lolo": lines.elpd, "pareto_k": lines.pareto_k}
        of_lines = pd.DataFrame({"cell_line": list(design.cell_lines), **columns})
        of_lines = _named(of_lines, "cell_line", design)
    by_line = _largest_rows(by_line, parameters.influence.change_min)
    return Influence(
        summary=_summary(genes, lines, len(design.genes), len(lineages)),
        genes=_named(genes, LINE_COLUMNS[0], design),
        lines=of_lines,
        line_influence=_named(by_line, "cell_line", design),
        lineage_sensitivity=by_lineage,
    )


def can_leave_out(spec: ModelSpec) -> bool:
    """Return whether slopes without cell lines are known for a model, from either engine."""
    return not spec.not_exact or (spec.mixture is not None and not spec.not_gibbs)


def leaving_out_seconds(name: ModelName, design: ScreenDesign) -> float:
    """Return the approximate seconds of `assess_influence`, within a factor of about two."""
    groups, _ = _groups(design)
    if model_spec(name, design.covariates).not_exact:
        from model.effects.leave_out_by_draws import seconds_by_draws  # with Numba, as below

        return seconds_by_draws(design, len(groups))
    return seconds_of_leaving_out(name, design, len(groups))


Fits = tuple[ScreenDesign, GroupsOut, WithinLineages | None]
"""The genes evaluated, their slopes without groups and, with lineages, within lineages."""


def _by_integral(
    posterior: xr.Dataset,
    design: ScreenDesign,
    parameters: FitParameters,
    groups: np.ndarray,
    lineage: Sequence[str],
    progress: ProgressCallback,
) -> Fits:
    part = subsample_genes(parameters.model, design, len(groups))
    screen = leave_out_problem(parameters.model, part, parameters.priors, posterior)
    out = leave_out(screen, groups, progress)
    if not lineage:
        return part, out, None
    inside, rna_left = within_lineages(screen, lineage)
    slopes = leave_out(inside, np.zeros((0, len(lineage)), bool)).whole
    along = np.sign(out.whole.mean) * slopes.mean
    share = parameters.influence.share_within_min
    prob_left = ndtr((along - share * np.abs(out.whole.mean)) / slopes.sd)
    return part, out, WithinLineages(slopes.mean, slopes.sd, rna_left, prob_left)


def _by_draws(
    posterior: xr.Dataset,
    design: ScreenDesign,
    parameters: FitParameters,
    groups: np.ndarray,
    lineage: Sequence[str],
    progress: ProgressCallback,
) -> Fits:
    # With Numba, which models that are integrated do without.
    from model.effects.leave_out_by_draws import (
        SampledScreen,
        choose_genes,
        leave_out_by_draws,
        within_lineages_by_draws,
    )

    part = choose_genes(design, posterior, len(groups), parameters.calls.error_max)
    screen = SampledScreen.of(parameters.model, part, parameters.priors, posterior)
    out = leave_out_by_draws(screen, groups, progress)
    if not lineage:
        return part, out, None
    share = parameters.influence.share_within_min
    return part, out, within_lineages_by_draws(screen, lineage, out.whole, share)


def with_influence(effects: pd.DataFrame, influence: Influence) -> pd.DataFrame:
    """Return the table of genes with the columns of `influence`, missing where not evaluated."""
    joined = effects.merge(influence.genes, how="left", on="gene", validate="one_to_one")
    flags = [name for name in FLAGS if name in joined]
    return joined.astype(dict.fromkeys(flags, "boolean"))


def _groups(design: ScreenDesign) -> tuple[np.ndarray, tuple[str, ...]]:
    """Return every line and every lineage as a group (O, C), and the lineages.

    There are no lineages where fewer than two are known, or where none has two lines.
    """
    lines = np.eye(len(design.cell_lines), dtype=bool)
    of_line = np.array(design.lineage or [""] * len(lines))
    names, counts = np.unique(of_line[of_line != ""], return_counts=True)
    if len(names) < 2 or counts.max() < 2:
        return lines, ()
    return np.concatenate([lines, of_line == names[:, None]]), tuple(map(str, names))


def _part(out: GroupsOut, which: slice) -> GroupsOut:
    elpd, pareto_k = (None if one is None else one[which] for one in (out.elpd, out.pareto_k))
    return GroupsOut(out.whole, out.without.part(which), elpd, pareto_k)


def _named(table: pd.DataFrame, column: str, design: ScreenDesign) -> pd.DataFrame:
    """Return the table with a column of the names of the lines in `column`, where there are any."""
    if design.cell_line_name is not None:
        names = dict(zip(design.cell_lines, design.cell_line_name, strict=True))
        place = list(table).index(column) + 1
        table.insert(place, f"{column}_name", table[column].map(names))
    return table


def _change(out: GroupsOut) -> np.ndarray:
    """Return the change of beta without each group, in its posterior SDs (O, G)."""
    return (out.without.mean - out.whole.mean) / out.whole.sd


def _table(out: GroupsOut, genes: Sequence[str], unit: str, labels: Sequence[str]) -> pd.DataFrame:
    """Return one row per gene and group: beta without the group, its change, false sign rate."""
    return pd.DataFrame(
        {
            "gene": np.repeat(np.array(genes), len(labels)),
            unit: np.tile(np.array(labels), len(genes)),
            "beta_without": out.without.mean.T.ravel(),
            "change_in_sd": _change(out).T.ravel(),
            "lfsr_without": out.without.lfsr.T.ravel(),
        }
    )


def _largest_rows(table: pd.DataFrame, change_min: float) -> pd.DataFrame:
    """Return a small table whole; of a large one, large changes and the largest of each gene."""
    if len(table) <= MOST_ROWS:
        return table
    size = table["change_in_sd"].abs()
    largest = size.groupby(table["gene"], sort=False).idxmax()
    kept = size >= change_min
    kept[largest] = True
    return table[kept].reset_index(drop=True)


def _gene_columns(
    out: GroupsOut,
    genes: Sequence[str],
    unit: str,
    labels: Sequence[str],
    parameters: FitParameters,
) -> pd.DataFrame:
    """Return gene, its most influential group, the change without it, and whether it drives beta.

    A group drives beta where the sign is sure with it, and without it is not sure or differs.
    Changes smaller than `change_min` do not count: the sign was only just sure.
    """
    change = _change(out)
    changes_sign = np.sign(out.without.mean) != np.sign(out.whole.mean)
    sure = parameters.calls.error_max
    unsure = (out.without.lfsr > sure) | changes_sign
    unsure &= np.abs(change) >= parameters.influence.change_min
    driven = (out.whole.lfsr <= sure) & unsure.any(axis=0)
    # Prefer a group that drives the gene; another may move beta further, but away from 0.
    most = np.argmax(np.where(driven & ~unsure, 0, np.abs(change)), axis=0)
    columns = LINE_COLUMNS if unit == "line" else LINEAGE_COLUMNS
    names = [column for column in columns if not column.endswith("_name")]  # joined later
    return pd.DataFrame(
        {
            "gene": np.array(genes),
            names[0]: np.array(labels)[most],
            names[1]: change[most, np.arange(len(genes))],
            names[2]: driven,
        }
    )


def _within_columns(
    within: WithinLineages, out: GroupsOut, parameters: FitParameters
) -> pd.DataFrame:
    """Return the slopes within lineages, and which effects surely nearly vanish there."""
    sure = parameters.calls.error_max
    marks = (out.whole.lfsr <= sure) & (within.prob_left <= sure)
    values = within.mean, within.sd, within.rna_left, marks
    return pd.DataFrame(dict(zip(LINEAGE_COLUMNS[3:], values, strict=True)))


def _summary(
    genes: pd.DataFrame, lines: GroupsOut, n_genes_of_screen: int, n_lineages: int
) -> InfluenceSummary:
    def count(column: str) -> int:
        return int(genes[column].sum()) if column in genes else 0

    elpd, pareto_k = lines.elpd, lines.pareto_k
    return InfluenceSummary(
        elpd_lolo=None if elpd is None else elpd.sum(),
        elpd_lolo_se=None if elpd is None else np.sqrt(elpd.size * np.var(elpd, ddof=1)),
        pareto_k_max=None if pareto_k is None else np.max(pareto_k),
        n_genes=len(genes),
        n_genes_of_screen=n_genes_of_screen,
        n_genes_carried_by_one_line=count("carried_by_one_line"),
        n_lineages=n_lineages,
        n_genes_carried_by_one_lineage=count("carried_by_one_lineage"),
        n_genes_marking_a_lineage=count("marks_lineage"),
    )
