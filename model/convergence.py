"""Whether the draws can stand for the posterior: R-hat, effective sample sizes, the engine's own.

Measures only; what follows from them is `model.verdict`. R-hat and effective sample sizes are those
of the table of parameters (`model.summary`).
"""

from __future__ import annotations

import arviz as az
import numpy as np
import pandas as pd
import xarray as xr

from model.labels import variable_of
from schemas.reports import Convergence, ExactDiagnostics, NutsDiagnostics, VariableConvergence

N_WORST = 10


def assess_convergence(tree: xr.DataTree, summary: pd.DataFrame) -> Convergence:
    """Return the worst over all parameters of `summary`, and what the engine says of itself.

    `summary` is `model.summary.parameter_summary` of the same tree (R-hat and effective sample
    sizes of Vehtari et al. 2021). The engine is known by what it left in `sample_stats`: `energy`
    of a sampler (BFMI: Betancourt 2016), `pareto_k` of the integrator (Vehtari et al. 2024).

    One undefined value (NaN, from a chain that does not move) makes the whole NaN: absent evidence
    is not convergence.
    """
    posterior, statistics = tree["posterior"].dataset, tree["sample_stats"].dataset
    rhat = summary["r_hat"].to_numpy()
    # NaN first: a parameter without an R-hat is worse than one with a large one.
    worst = np.argsort(np.where(np.isnan(rhat), -np.inf, -rhat), kind="stable")[:N_WORST]
    with np.errstate(invalid="ignore", divide="ignore"):
        relative_mcse = summary["mcse_mean"].to_numpy() / summary["sd"].to_numpy()
    variable = variable_of(summary["parameter"])
    return Convergence(
        rhat_max=np.max(rhat),
        ess_bulk_min=np.min(summary["ess_bulk"].to_numpy()),
        ess_tail_min=np.min(summary["ess_tail"].to_numpy()),
        mcse_mean_max_ratio=np.max(relative_mcse),
        n_draws=posterior.sizes["chain"] * posterior.sizes["draw"],
        worst=tuple((summary["parameter"][index], float(rhat[index])) for index in worst),
        variables=tuple(
            VariableConvergence(
                variable=str(name),
                rhat_max=rows["r_hat"].max(skipna=False),
                ess_bulk_min=rows["ess_bulk"].min(skipna=False),
                ess_tail_min=rows["ess_tail"].min(skipna=False),
            )
            for name, rows in summary.groupby(variable, sort=False)
        ),
        nuts=_nuts(tree) if "energy" in statistics else None,
        exact=exact_diagnostics(tree) if "pareto_k" in statistics else None,
    )


def _nuts(tree: xr.DataTree) -> NutsDiagnostics:
    statistics = tree["sample_stats"].dataset
    return NutsDiagnostics(
        divergences=int(statistics["diverging"].sum()),
        bfmi_min=float(np.min(az.bfmi(tree)["energy"].to_numpy())),
        step_size_min=float(statistics["step_size"].min()),
        step_size_max=float(statistics["step_size"].max()),
    )


def exact_diagnostics(tree: xr.DataTree) -> ExactDiagnostics:
    """Return what the exact engine says of its integration."""
    statistics = tree["sample_stats"].dataset
    return ExactDiagnostics.model_validate(
        {name: statistics[name].item() for name in ExactDiagnostics.model_fields}
    )
