"""The table of results, one row per gene: the effect of its expression on the dependency on it."""

from __future__ import annotations

import numpy as np
import pandas as pd
import xarray as xr

from model.prediction.predictive import shortest_intervals
from model.screen.design import ScreenDesign
from schemas.column_catalog import GENE_EFFECTS
from schemas.parameters import Calls

GENES_AT_ONCE = 1000  # with 4,000 draws 32 MB per copy; the HDI needs a few copies


CALLED = ("negative", "positive")
NOT_ENOUGH_DATA = "not enough data"


def gene_effects(tree: xr.DataTree, design: ScreenDesign, calls: Calls = Calls()) -> pd.DataFrame:
    """Return the effect of RNA on log fold change, one row per gene, lowest `beta_mean` first.

    A negative beta means that lines with higher expression of the gene depend on it more. Columns
    and their units are `schemas.column_catalog.GENE_EFFECTS`.

    A gene is called in its likelier direction where

        call_error_g = min(P(beta_g >= -min_effect), P(beta_g <= min_effect)) <= error_max

    which for a `min_effect` of 0 is its local false sign rate. A gene measured in few lines, or
    with nearly constant RNA, is not called (`schemas.parameters.Calls`).

    A gene with a NaN draw has NaN in every posterior column, no call, and comes last. Raises
    KeyError where the tree lacks a gene of the design.
    """
    posterior = tree["posterior"].dataset
    parts = [
        _posterior_columns(
            posterior, list(design.genes[start : start + GENES_AT_ONCE]), calls.min_effect
        )
        for start in range(0, len(design.genes), GENES_AT_ONCE)
    ]
    table = pd.concat(parts, ignore_index=True)
    table["s_value"] = s_value(table["lfsr"].to_numpy())
    for column in ("mean", "sd", "hdi_low", "hdi_high"):
        table[f"beta_per_log2_{column}"] = (
            table[f"beta_{column}"] / design.rna_sd if design.rna_is_log2 else np.nan
        )
    table["n_cell_lines"] = (design.gene_count > 0).sum(axis=1)
    table["n_guides"] = np.add.reduceat(
        (design.count > 0).any(axis=1), design.first_guide, dtype=int
    )
    table["rna_sd"] = design.rna_sd
    table["call_reason"] = _call_reasons(table, design.rna_is_log2, calls)
    likelier = np.where(table["prob_negative"] > 0.5, *CALLED)
    table["call"] = np.select(
        [table["call_reason"] != "", table["call_error"] <= calls.error_max],
        [NOT_ENOUGH_DATA, likelier],
        "none",
    )
    return table[list(GENE_EFFECTS)].sort_values("beta_mean", kind="stable", ignore_index=True)


def _call_reasons(table: pd.DataFrame, rna_is_log2: bool, calls: Calls) -> np.ndarray:
    """Return why each gene has not enough data for a call, empty where it has (G,)."""
    flat = (table["rna_sd"] < calls.min_rna_sd) & rna_is_log2
    return np.select(
        [table["beta_mean"].isna(), table["n_cell_lines"] < calls.min_cell_lines, flat],
        [
            "NaN draws",
            f"measured in fewer than {calls.min_cell_lines} cell lines",
            f"RNA SD below {calls.min_rna_sd:g}",
        ],
        "",
    )


def enough_data(design: ScreenDesign, calls: Calls) -> np.ndarray:
    """Return which genes have enough data for a call (G,), whatever their slopes."""
    table = pd.DataFrame(
        {
            "beta_mean": 0.0,
            "n_cell_lines": (design.gene_count > 0).sum(axis=1),
            "rna_sd": design.rna_sd,
        }
    )
    return _call_reasons(table, design.rna_is_log2, calls) == ""


def influential_lines(effects: pd.DataFrame) -> pd.Series:
    """Return the most influential line of each gene with its name, if it has one (G,)."""
    lines = effects["most_influential_line"]
    if "most_influential_line_name" not in effects:
        return lines
    names = effects["most_influential_line_name"]
    return lines.where(names.fillna("") == "", lines + " (" + names + ")")


def count_calls(effects: pd.DataFrame) -> dict[str, int]:
    """Return the number of genes of a `gene_effects` table with each call."""
    return {
        call: int((effects["call"] == call).sum()) for call in (*CALLED, "none", NOT_ENOUGH_DATA)
    }


def _posterior_columns(posterior: xr.Dataset, genes: list[str], min_effect: float) -> pd.DataFrame:
    beta = posterior["beta_g"].sel(gene=genes)
    draws = beta.stack(sample=("chain", "draw")).transpose("gene", "sample").to_numpy()
    low, high = shortest_intervals(draws)
    columns = pd.DataFrame(
        {
            "beta_mean": draws.mean(axis=1),
            "beta_sd": draws.std(axis=1, ddof=1),
            "beta_hdi_low": low,
            "beta_hdi_high": high,
            "prob_negative": (draws < 0).mean(axis=1),
            "lfsr": local_false_sign_rate(draws),
            "call_error": local_false_sign_rate(draws, min_effect),
            "prob_nonzero": _prob_nonzero(posterior, genes),
            "alpha_mean": posterior["alpha_g"].sel(gene=genes).mean(("chain", "draw")).to_numpy(),
        }
    )
    # Comparisons with NaN are false, so that a gene with NaN draws would seem sure of its sign.
    columns[np.isnan(draws).any(axis=1)] = np.nan
    return columns.assign(gene=genes)


def _prob_nonzero(posterior: xr.Dataset, genes: list[str]) -> np.ndarray:
    """Return the probability that each slope is not 0; 1 where its prior is Normal."""
    if "included_g" not in posterior:
        return np.ones(len(genes))
    included = posterior["included_g"].sel(gene=genes)
    return included.mean(("chain", "draw")).to_numpy()


def local_false_sign_rate(draws: np.ndarray, beyond: float = 0.0) -> np.ndarray:
    """Return the probability that the likelier sign of each gene's effect is wrong, (G,).

        lfsr_g = min(P(beta_g >= 0), P(beta_g <= 0))

    Stephens 2017, False discovery rates: a new deal, Biostatistics 18, equation 2.4. A draw of
    exactly 0 counts against both signs; with `beyond`, so does a draw of at most that size (the
    rate is then that of effects beyond it). From S draws (G, S) it is a multiple of 1/S: 0 means
    "below about 1/S". NaN where a draw is NaN.
    """
    rate = 1 - np.maximum((draws < -beyond).mean(axis=1), (draws > beyond).mean(axis=1))
    return np.where(np.isnan(draws).any(axis=1), np.nan, rate)


def s_value(lfsr: np.ndarray) -> np.ndarray:
    """Return the expected share of wrong signs among genes with at most the lfsr of each, (G,).

        s_g = mean of lfsr_k over all genes k with lfsr_k <= lfsr_g

    Stephens 2017, as above: the analogue of the q-value for signs. Increases with lfsr; equal lfsr
    give equal s-values; NaN stays NaN and does not affect other genes.
    """
    ascending = np.sort(lfsr[~np.isnan(lfsr)])
    running_mean = np.cumsum(ascending) / np.arange(1, ascending.size + 1)
    at_most = np.searchsorted(ascending, lfsr, side="right")
    values = np.full(lfsr.shape, np.nan)
    known = ~np.isnan(lfsr)
    values[known] = running_mean[at_most[known] - 1]
    return values
