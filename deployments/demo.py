"""The demonstration: the simulated screen as tables on disk, and its published results beside ours.

What is simulated is `model.simulate`; fitting it is `flows.fit_screen`, as for any dataset.
"""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

import numpy as np
import pandas as pd
import yaml
from rich.markup import escape
from rich.table import Table

from model.simulate import original_screen
from schemas.parameters import Filters, FitParameters, Priors
from tasks.out_files import write_whole

NUTS_DRAWS = 20_000
"""Draws a chain of NUTS: along the ridge between alpha and gamma only one in fifty is worth
keeping. The exact engine's draws are independent, and its usual number will do."""


def write_demo_dataset(folder: Path) -> Path:
    """Write the simulated screen and its dataset file into `folder`; return the latter's path."""
    folder.mkdir(parents=True, exist_ok=True)
    table = original_screen().measurements.to_csv(index=False)
    write_whole(folder / "simulated_screen.csv", table.encode())
    dataset = {
        "name": "simulated-screen",
        "release": "seed103",
        "library": "simulated",
        "logfc": "simulated_screen.csv",
        "rna_units": "z_score",
    }
    path = folder / "simulated_screen.yaml"
    write_whole(path, yaml.safe_dump(dataset, sort_keys=False).encode())
    return path


def published() -> pd.DataFrame:
    """Return the original's published table of m4: parameter, mean, sd, ess_bulk."""
    with files("deployments").joinpath("published_m4.csv").open(encoding="utf-8") as file:
        return pd.read_csv(file, comment="#")


def comparison(summary: pd.DataFrame) -> pd.DataFrame:
    """Set our means and SDs beside the published and the true values.

    Columns: parameter, true, published_mean, mean, difference_in_mcse (difference of the means in
    combined Monte Carlo standard errors), published_sd, sd.
    """
    both = published().merge(summary, on="parameter", suffixes=("_published", ""))
    truth = original_screen().truth
    # The published standard errors are rounded, some of them to zero: take them from SD and ESS.
    # Its means are rounded too: an error uniform within half a unit of the third decimal.
    published_mcse = both["sd_published"] / np.sqrt(both["ess_bulk_published"])
    rounding = 0.0005 / np.sqrt(3)
    combined = np.sqrt(published_mcse**2 + both["mcse_mean"] ** 2 + rounding**2)
    return pd.DataFrame(
        {
            "parameter": both["parameter"],
            "true": both["parameter"].map(truth),
            "published_mean": both["mean_published"],
            "mean": both["mean"],
            "difference_in_mcse": (both["mean"] - both["mean_published"]) / combined,
            "published_sd": both["sd_published"],
            "sd": both["sd"],
        }
    )


def comparison_table(rows: pd.DataFrame) -> Table:
    """Return the comparison as a table for the terminal."""
    table = Table(
        title="Simulated screen: true values, the original's published table, and this fit",
        title_justify="left",
        show_edge=False,
    )
    table.add_column("parameter", no_wrap=True)
    for column in rows.columns[1:]:
        table.add_column(column.replace("_", " "), justify="right")
    for row in rows.itertuples(index=False):
        table.add_row(escape(row[0]), *(f"{value:.3f}" for value in row[1:]))
    return table


def published_applies(parameters: FitParameters) -> bool:
    """Whether the published table is of this model, with these priors and the whole screen."""
    return (
        parameters.model == "m4"
        and parameters.priors == Priors.preset("as_run")
        and parameters.filters == Filters()
    )
