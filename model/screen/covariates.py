"""Values of the covariates of a design besides RNA, by gene and cell line."""

from __future__ import annotations

import numpy as np
import pandas as pd

from schemas.dataset import CopyNumberUnits
from schemas.tables.containers import CovariateTable, Screen

COPY_NUMBER = "copy_number"
"""Name of the covariate: log2(ratio + 1) less the mean of the gene."""


def covariate_values(
    screen: Screen, genes: pd.Index, cell_lines: pd.Index, copy_number_units: CopyNumberUnits
) -> dict[str, np.ndarray]:
    """Return the covariates whose tables a screen has, by name (G, C), NaN where unknown."""
    values = {
        name: default_values(table, genes, cell_lines) for name, table in screen.covariates.items()
    }
    if COPY_NUMBER in values and copy_number_units == "ratio":
        values[COPY_NUMBER] = np.log2(values[COPY_NUMBER] + 1)
    return values


def default_values(table: CovariateTable, genes: pd.Index, cell_lines: pd.Index) -> np.ndarray:
    """Return the values of genes in lines (G, C), as given, NaN where unknown.

    The default profile of each line is used. A gene with several columns is unknown.
    """
    profiles, values = table.profiles, table.values
    default = (profiles["is_default"] & profiles["cell_line"].notna()).to_numpy()
    values = values.loc[default, ~values.columns.duplicated(keep=False)]
    values = values.set_axis(profiles.loc[default, "cell_line"])
    return values.reindex(index=cell_lines, columns=genes).to_numpy(dtype=np.float64).T


def centred(values: np.ndarray, measured: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return values less the mean of each gene over its measured lines (G, C), and the means (G,).

    The mean is over lines with measurements of the gene (`measured`, bool) and a known value.
    Deviations are 0 where the value is unknown, and where the mean is (NaN).
    """
    known = np.isfinite(values)
    used = known & measured
    with np.errstate(invalid="ignore"):
        mean = np.where(used, values, 0).sum(axis=1) / used.sum(axis=1)
    deviations = values - mean[:, None]
    return np.where(np.isfinite(deviations), deviations, 0.0), mean
