"""Contract of the posterior of every engine: variables, dims, dtypes, names of parameters.

docs/models.md defines the variables. All tables name parameters alike: `mu_alpha`,
`beta_g[SOX10 (6663)]`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import numpy as np
import pandas as pd
import xarray as xr

REQUIRED_GROUPS = (
    "posterior",
    "prior",
    "posterior_predictive",
    "sample_stats",
    "observed_data",
    "constant_data",
)


def check_contract(tree: xr.DataTree, variables: Mapping[str, tuple[str, ...]]) -> None:
    """Raise ValueError with the first violation of the contract in `tree`.

    `variables` are those of a model with their dims in addition to chain and draw
    (`ModelSpec.variables`).
    """
    missing = [group for group in REQUIRED_GROUPS if group not in tree.children]
    if missing:
        raise ValueError(f"posterior contract: expected groups {missing}, got none of them")
    posterior = tree["posterior"].dataset
    if set(map(str, posterior.data_vars)) != set(variables):
        raise ValueError(
            f"posterior contract: expected variables {sorted(variables)}, "
            f"got {sorted(map(str, posterior.data_vars))}"
        )
    for name, dims in variables.items():
        variable = posterior[name]
        if variable.dims != ("chain", "draw", *dims):
            raise ValueError(
                f"posterior contract: expected {name} with dims ('chain', 'draw', *{dims}), "
                f"got {variable.dims}"
            )
        if variable.dtype != np.float64:
            raise ValueError(
                f"posterior contract: expected {name} as float64, got {variable.dtype}"
            )
    for dim in dict.fromkeys(dim for dims in variables.values() for dim in dims):
        if dim not in posterior.coords:
            raise ValueError(f"posterior contract: expected labels as coordinate {dim}")


def posterior_digest(posterior: xr.Dataset) -> str:
    """Return the SHA-256, in hex, of every draw of every variable of a group `posterior`.

    Equal digests mean equal draws, to the last bit.
    """
    found = hashlib.sha256()
    for name in sorted(map(str, posterior.data_vars)):
        values = np.ascontiguousarray(posterior[name].to_numpy(), dtype="<f8")
        found.update(f"{name} {values.shape}\n".encode())
        found.update(values)
    return found.hexdigest()


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
