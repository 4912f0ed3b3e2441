"""The demonstration: the simulated screen as tables on disk, compared with published results."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

import numpy as np
import pandas as pd
import yaml
from rich.markup import escape
from rich.table import Table

from model.simulation.original import original_screen
from schemas.parameters import Filters, FitParameters, Priors
from tasks.runtime.files import write_atomic


def write_demo_dataset(folder: Path) -> Path:
    """Write the simulated screen and its dataset file into `folder`; return the latter's path."""
    folder.mkdir(parents=True, exist_ok=True)
    table = original_screen().measurements.to_csv(index=False)
    write_atomic(folder / "simulated_screen.csv", table.encode())
    dataset = {
        "name": "simulated-screen",
        "release": "seed103",
        "library": "simulated",
        "logfc": "simulated_screen.csv",
        "rna_units": "z_score",
    }
    path = folder / "simulated_screen.yaml"
    write_atomic(path, yaml.safe_dump(dataset, sort_keys=False).encode())
    return path


def published() -> pd.DataFrame:
    """Return the published table of m4, with columns parameter, mean, sd, ess_bulk."""
    with files("deployments.cli").joinpath("published_m4.csv").open(encoding="utf-8") as file:
        return pd.read_csv(file, comment="#")


def comparison(summary: pd.DataFrame) -> pd.DataFrame:
    """Return the means and SDs of `summary` with the published and the true values.

    Columns: parameter, true, published_mean, mean, difference_in_mcse (difference of the means in
    combined Monte Carlo standard errors), published_sd, sd.
    """
    both = published().merge(summary, on="parameter", suffixes=("_published", ""))
    truth = original_screen().truth
    # Published standard errors are rounded, some to zero: compute them from SD and ESS. Published
    # means are rounded to three decimals: a uniform error of up to half a unit.
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
        title="Simulated screen: true and published values, and this fit",
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
    """Return whether the published table has this model, these priors and the whole screen."""
    return (
        parameters.model == "m4"
        and parameters.priors == Priors.preset("as_run")
        and parameters.filters == Filters()
    )
