"""Whether the draws can stand for the posterior: R-hat, effective sample sizes, energy.

Measures only; what follows from them is `model.verdict`.
"""

from __future__ import annotations

import arviz as az
import numpy as np
import xarray as xr

from model.labels import parameter_names
from schemas.reports import Convergence, VariableConvergence

N_WORST = 10


def assess_convergence(tree: xr.DataTree) -> Convergence:
    """Measure every parameter of the posterior (Vehtari et al. 2021; Betancourt 2016 for BFMI).

    One undefined value (NaN, from a chain that does not move) makes the summary NaN: absent
    evidence is not convergence.
    """
    posterior = tree["posterior"].dataset
    statistics = tree["sample_stats"].dataset
    rhats = az.rhat(posterior)
    bulk, tail = (az.ess(posterior, method=method) for method in ("bulk", "tail"))
    rhat, ess_bulk, ess_tail = (_by_parameter(values) for values in (rhats, bulk, tail))
    mcse = _by_parameter(az.mcse(posterior, method="mean"))
    sd = _by_parameter(posterior.std(("chain", "draw")))
    # NaN first: a parameter without an R-hat is worse than one with a large one.
    worst = np.argsort(np.where(np.isnan(rhat), -np.inf, -rhat), kind="stable")[:N_WORST]
    names = parameter_names(posterior)
    with np.errstate(invalid="ignore", divide="ignore"):
        relative_mcse = float(np.max(mcse / sd))
    return Convergence(
        rhat_max=float(np.max(rhat)),
        ess_bulk_min=float(np.min(ess_bulk)),
        ess_tail_min=float(np.min(ess_tail)),
        mcse_mean_max_ratio=relative_mcse,
        divergences=int(statistics["diverging"].sum()),
        bfmi_min=float(np.min(az.bfmi(tree)["energy"].to_numpy())),
        step_size_min=float(statistics["step_size"].min()),
        step_size_max=float(statistics["step_size"].max()),
        n_draws=posterior.sizes["chain"] * posterior.sizes["draw"],
        worst=tuple((names[index], float(rhat[index])) for index in worst),
        variables=tuple(
            VariableConvergence(
                variable=str(name),
                rhat_max=float(rhats[name].max(skipna=False)),
                ess_bulk_min=float(bulk[name].min(skipna=False)),
                ess_tail_min=float(tail[name].min(skipna=False)),
            )
            for name in posterior.data_vars
        ),
    )


def _by_parameter(values: xr.Dataset) -> np.ndarray:
    return np.concatenate([np.ravel(values[name].to_numpy()) for name in values.data_vars])
