"""Names of single parameters: `mu_alpha`, `beta_g[SOX10 (6663)]`; one rule for all tables."""

from __future__ import annotations

import xarray as xr


def parameter_names(posterior: xr.Dataset) -> list[str]:
    """Return the name of every parameter, variables and labels in the order they stand in."""
    names: list[str] = []
    for variable in posterior.data_vars:
        dims = posterior[variable].dims[2:]
        if dims:
            names += [f"{variable}[{label}]" for label in posterior[dims[0]].to_numpy()]
        else:
            names.append(str(variable))
    return names
