"""Spread around the fit of each gene and of each cell line, compared with replicates.

Names the outliers behind the checks of `model.prediction.checks`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
import pandas as pd
import xarray as xr
from scipy.stats import chi2

from model.prediction.predictive import (
    HDI_MASS,
    expected_cells,
    gene_pieces,
    of_part,
    replicated_part,
)
from model.runtime.executors import threaded_map
from model.screen.design import ScreenDesign, guide_lines
from schemas.reports import PredictiveCheck

Grouping = Literal["gene", "cell_line"]

MOST_NAMED = 3
FEWEST_DF = 10
"""Degrees of freedom from which a line is noisier than others by more than chance."""


def spread_by(tree: xr.DataTree, design: ScreenDesign, what: Grouping) -> pd.DataFrame:
    """Return the spread of each gene or line around the fit, in data and replicates.

    Over the gene-line pairs of gene (or line) j, for the data and the replicate of the same draw,

        spread_j = sqrt(mean over pairs gc of j of n_gc (cell_mean_gc - expected_gc)^2)

    with expected_gc = alpha_g + gamma_c + beta_g rna_gc, plus the mean of its guides' delta_k where
    the model has them. It is about sigma if a model without other effects is right, and larger
    where the model has effects of pairs. Columns gene or cell_line (with its name), data (mean over
    draws), low, middle, high (89 % interval and median of the replicates), log2; for genes with
    replicates.
    """
    return _spread(tree, replicated_part(tree, design), _expected(tree, design), what)


def _expected(tree: xr.DataTree, design: ScreenDesign) -> np.ndarray:
    """Return the expectation of each replicated pair under the draw of each replicate (S, M)."""
    predictive, part = tree["posterior_predictive"].dataset, replicated_part(tree, design)
    own = of_part(tree["posterior"].dataset, part)
    posterior = own.sel(chain=predictive["chain"], draw=predictive["draw"])

    def of_some(genes: np.ndarray) -> np.ndarray:
        return expected_cells(posterior, part.of_genes(genes))

    return np.concatenate([*threaded_map(of_some, gene_pieces(posterior, part))], axis=1)


def _spread(
    tree: xr.DataTree, part: ScreenDesign, expected: np.ndarray, what: Grouping
) -> pd.DataFrame:
    cells = part.cells
    group, labels = {
        "gene": (cells.gene, part.genes),
        "cell_line": (cells.cell_line, part.line_labels),
    }[what]
    order = np.argsort(group, kind="stable")
    first = np.flatnonzero(np.diff(group[order], prepend=-1))
    n_cells = np.diff(first, append=group.size)

    def spread(cell_mean: np.ndarray) -> np.ndarray:
        squares = cells.count * (cell_mean - expected) ** 2
        return np.sqrt(np.add.reduceat(squares[:, order], first, axis=1) / n_cells)

    tail = (1 - HDI_MASS) / 2
    replicates = tree["posterior_predictive"]["cell_mean"].to_numpy()
    replicated = spread(replicates.reshape(expected.shape))
    low, middle, high = np.quantile(replicated, [tail, 0.5, 1 - tail], axis=0)
    return pd.DataFrame(
        {
            what: [labels[index] for index in group[order][first]],
            "data": spread(cells.mean).mean(axis=0),
            "low": low,
            "middle": middle,
            "high": high,
        }
    )


def noise_by_line(tree: xr.DataTree, design: ScreenDesign) -> pd.DataFrame:
    """Return the spread of replicates of a guide in each line that has some, as `spread_by`.

    The data are the SD of the measurements around their guide-line means; under the model

        df_c spread_c^2 / sigma^2 ~ chi^2 with df_c degrees of freedom

    with sigma at its posterior mean, which is very precise.
    """
    cells = guide_lines(replicated_part(tree, design))
    df = cells.line_within_df
    used = df > 1
    sigma = tree["posterior"]["sigma"].mean().item()
    tail = (1 - HDI_MASS) / 2
    low, middle, high = (
        sigma * np.sqrt(chi2.ppf(q, df[used]) / df[used]) for q in (tail, 0.5, 1 - tail)
    )
    return pd.DataFrame(
        {
            "cell_line": np.array(design.line_labels)[used],
            "data": np.sqrt(cells.line_within_ss[used] / df[used]),
            "low": low,
            "middle": middle,
            "high": high,
        }
    )


def noise_ratios(design: ScreenDesign) -> tuple[tuple[str, float], ...]:
    """Return cell lines with the ratio of their noise to that of the median line, noisiest first.

    The noise of a line is the SD of its measurements around their guide-line means; lines where it
    has fewer than FEWEST_DF degrees of freedom are left out. Labels are those of users.
    """
    df = np.maximum(design.count.astype(np.int64) - 1, 0).sum(axis=0)
    used = np.flatnonzero(df >= FEWEST_DF)
    if not used.size:
        return ()
    noise = np.sqrt(design.within_ss_by_line(by_guide=True)[used] / df[used])
    ratio = noise / np.median(noise)
    return tuple((design.line_labels[used[at]], float(ratio[at])) for at in np.argsort(-ratio))


def largest_outliers(table: pd.DataFrame) -> tuple[tuple[str, float], ...]:
    """Return up to MOST_NAMED genes or lines outside their interval, largest first.

    Each with the ratio of its spread to that of the model (the median of replicates). `table` is
    that of `spread_by` or `noise_by_line`, with labels in the first column.
    """
    out = table[(table["data"] < table["low"]) | (table["data"] > table["high"])]
    ratio = out["data"] / out["middle"]
    order = (
        pd.Series(np.log(ratio))
        .abs()
        .sort_values(ascending=False, kind="stable")
        .index[:MOST_NAMED]
    )
    return tuple((str(out.iloc[:, 0][row]), float(ratio[row])) for row in order)


def with_largest_outliers(
    checks: Sequence[PredictiveCheck], tree: xr.DataTree, design: ScreenDesign
) -> tuple[PredictiveCheck, ...]:
    """Return the checks, with the largest outliers in posterior checks of genes and lines."""
    part, expected = replicated_part(tree, design), _expected(tree, design)
    tables = {
        "gene_residual_spread": lambda: _spread(tree, part, expected, "gene"),
        "line_residual_spread": lambda: _spread(tree, part, expected, "cell_line"),
        "line_noise_spread": lambda: noise_by_line(tree, design),
    }
    return tuple(
        check.model_copy(update={"largest_outliers": largest_outliers(tables[check.name]())})
        if check.stage == "posterior" and check.name in tables
        else check
        for check in checks
    )
