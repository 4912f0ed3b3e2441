"""Names of single parameters in all tables: `mu_alpha`, `beta_g[SOX10 (6663)]`."""

from __future__ import annotations

import pandas as pd
import xarray as xr


def parameter_names(posterior: xr.Dataset) -> list[str]:
    """Return the name of every parameter, in the order of variables and labels."""
    names: list[str] = []
    for variable in posterior.data_vars:
        dims = posterior[variable].dims[2:]
        if dims:
            names += [
                parameter_name(str(variable), label) for label in posterior[dims[0]].to_numpy()
            ]
        else:
            names.append(str(variable))
    return names


def parameter_name(variable: str, label: str) -> str:
    """Return the name of the effect of one gene, line or guide."""
    return f"{variable}[{label}]"


def variable_of(names: pd.Series) -> pd.Series:
    """Return the variable that each parameter belongs to."""
    return names.astype(str).str.partition("[")[0]


def is_single(names: pd.Series) -> pd.Series:
    """Return which parameters are not effects of a gene, line or guide."""
    return ~names.astype(str).str.contains("[", regex=False)
