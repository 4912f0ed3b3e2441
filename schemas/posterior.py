"""The posterior every engine returns: which variables, in which dims, with which dtypes.

`PosteriorContract.check` holds a tree against it. What the variables mean: docs/models.md.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
import xarray as xr

REQUIRED_GROUPS = (
    "posterior",
    "prior",
    "posterior_predictive",
    "sample_stats",
    "observed_data",
    "constant_data",
)


@dataclass(frozen=True)
class PosteriorContract:
    """Variables of a model and the dims each has beside chain and draw."""

    variables: dict[str, tuple[str, ...]]

    def check(self, tree: xr.DataTree) -> None:
        """Raise ValueError naming the first departure of `tree` from the contract."""
        missing = [group for group in REQUIRED_GROUPS if group not in tree.children]
        if missing:
            raise ValueError(f"posterior contract: expected groups {missing}, got none of them")
        posterior = tree["posterior"].dataset
        if set(map(str, posterior.data_vars)) != set(self.variables):
            raise ValueError(
                f"posterior contract: expected variables {sorted(self.variables)}, "
                f"got {sorted(map(str, posterior.data_vars))}"
            )
        for name, dims in self.variables.items():
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
        for dim in dict.fromkeys(dim for dims in self.variables.values() for dim in dims):
            if dim not in posterior.coords:
                raise ValueError(f"posterior contract: expected labels as coordinate {dim}")


def posterior_digest(posterior: xr.Dataset) -> str:
    """Return the SHA-256, in hex, of every draw of every variable of a group `posterior`.

    Equal digests say that two fits have equal draws, to the last bit.
    """
    found = hashlib.sha256()
    for name in sorted(map(str, posterior.data_vars)):
        values = np.ascontiguousarray(posterior[name].to_numpy(), dtype="<f8")
        found.update(f"{name} {values.shape}\n".encode())
        found.update(values)
    return found.hexdigest()


GROUPS = {
    "alpha_g": ("mu_alpha", "sigma_alpha"),
    "gamma_c": ("mu_gamma", "sigma_gamma"),
    "beta_g": ("mu_beta", "sigma_beta"),
    "delta_k": ("", "sigma_guide"),
}
"""The mean (0 where a model has none) and the SD of each group of effects."""
_GROUPS: dict[str, tuple[str, ...]] = {
    "alpha_g": ("gene",),
    "gamma_c": ("cell_line",),
    "beta_g": ("gene",),
}
_GUIDES: dict[str, tuple[str, ...]] = {"delta_k": ("guide",)}


def _contract(*scalars: str, groups: dict[str, tuple[str, ...]] = _GROUPS) -> PosteriorContract:
    return PosteriorContract({**dict.fromkeys(scalars, ()), **groups})


_SIGMAS = ("sigma_alpha", "sigma_gamma", "sigma_beta", "sigma")
_NESTED_SIGMAS = ("sigma_guide", "sigma_gene_line", "sigma_guide_line")
CONTRACTS: dict[str, PosteriorContract] = {
    "m4": _contract("mu_alpha", "mu_gamma", "mu_beta", *_SIGMAS),
    "m4_zero_mean": _contract("mu_alpha", "mu_beta", *_SIGMAS),
    "m4_nested": _contract(
        "mu_alpha", "mu_gamma", "mu_beta", *_SIGMAS, *_NESTED_SIGMAS, groups=_GROUPS | _GUIDES
    ),
}
