"""Values of the covariates of a design besides RNA, by gene and cell line."""

from __future__ import annotations

import numpy as np
import pandas as pd

from schemas.dataset import CopyNumberUnits
from schemas.tables.containers import Screen

COPY_NUMBER = "copy_number"
"""Name of the covariate: log2(ratio + 1) less the mean of the gene."""


def covariate_values(
    screen: Screen, genes: pd.Index, cell_lines: pd.Index, copy_number_units: CopyNumberUnits
) -> dict[str, np.ndarray]:
    """Return the covariates whose tables a screen has, by name (G, C), NaN where unknown."""
    values = {COPY_NUMBER: copy_number_values(screen, genes, cell_lines, copy_number_units)}
    return {name: found for name, found in values.items() if found is not None}


def copy_number_values(
    screen: Screen, genes: pd.Index, cell_lines: pd.Index, units: CopyNumberUnits
) -> np.ndarray | None:
    """Return log2(ratio + 1) of genes in lines (G, C), NaN where unknown; None without a table.

    The default profile of each line is used. A gene with several columns is unknown.
    """
    profiles, values = screen.copy_number_profiles, screen.copy_number
    if profiles is None or values is None:
        return None
    default = (profiles["is_default"] & profiles["cell_line"].notna()).to_numpy()
    values = values.loc[default, ~values.columns.duplicated(keep=False)]
    values = values.set_axis(profiles.loc[default, "cell_line"])
    found = values.reindex(index=cell_lines, columns=genes).to_numpy(dtype=np.float64).T
    return np.log2(found + 1) if units == "ratio" else found


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
