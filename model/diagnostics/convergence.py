"""Convergence of the draws: R-hat, effective sample sizes, diagnostics of the engine."""

from __future__ import annotations

import numpy as np
import pandas as pd
import xarray as xr
from arviz_stats.base.array import array_stats
from arviz_stats.sampling_diagnostics import bfmi
from scipy.stats import chi2

from schemas.posterior import variable_of
from schemas.reports import (
    Convergence,
    ExactDiagnostics,
    GibbsDiagnostics,
    NutsDiagnostics,
    VariableConvergence,
)

N_WORST = 10
MANY = 1000
"""Parameters of a variable from which on the worst is judged as the worst of so many."""
SHARE_BELOW = 0.01
"""Share of so many parameters that may have a smaller effective sample size than is judged."""
CHANCE = 0.05
"""Probability that the R-hat of one of many parameters is put down to more than chance wrongly."""


def assess_convergence(tree: xr.DataTree, summary: pd.DataFrame) -> Convergence:
    """Return the worst values over all parameters of `summary`, and the engine's diagnostics.

    `summary` is `model.diagnostics.summary.parameter_summary` of the same tree (R-hat and effective
    sample sizes of Vehtari et al. 2021). `sample_stats` identifies the engine: `energy` of a
    sampler (BFMI: Betancourt 2016), `pareto_k` of the integrator (Vehtari et al. 2024),
    `accepted_lines` of the Gibbs engine.

    One undefined value (NaN, from a chain that does not move) makes the result NaN: absent evidence
    is not convergence.
    """
    posterior, statistics = tree["posterior"].dataset, tree["sample_stats"].dataset
    summary = summary.assign(variable=variable_of(summary["parameter"]))
    summary["at"] = summary.groupby("variable").cumcount()
    summary = _judged(posterior, summary)
    rhat = summary["r_hat"].to_numpy()
    # NaN first: a parameter without an R-hat is worse than one with a large one.
    worst = np.argsort(np.where(np.isnan(rhat), -np.inf, -rhat), kind="stable")[:N_WORST]
    with np.errstate(invalid="ignore", divide="ignore"):
        relative_mcse = summary["mcse_mean"].to_numpy() / summary["sd"].to_numpy()
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
                rhat_beyond_chance=rhat_beyond_chance(
                    posterior[str(name)].to_numpy(), rows["at"].to_numpy(), rows["r_hat"].to_numpy()
                ),
                ess_bulk_low=_reached_by_nearly_all(rows["ess_bulk"].to_numpy()),
                ess_tail_low=_reached_by_nearly_all(rows["ess_tail"].to_numpy()),
            )
            for name, rows in summary.groupby("variable", sort=False)
        ),
        nuts=_nuts(tree) if "energy" in statistics else None,
        exact=exact_diagnostics(tree) if "pareto_k" in statistics else None,
        gibbs=_gibbs(tree) if "accepted_lines" in statistics else None,
    )


def rhat_beyond_chance(draws: np.ndarray, at: np.ndarray, r_hat: np.ndarray) -> float | None:
    """Return the largest R-hat (n,) that chance does not explain; 1 if none, None for few.

    `draws` are those of a variable (chain, draw, ...), `at` (n,) the positions of the parameters in
    it. The chains, halved, are M. Where they agree, their M means vary as those of N / M
    independent draws each, N the effective sample size within chains, so that

        R-hat^2 is about 1 + M / N chi^2 / (M - 1),   chi^2 of M - 1 degrees of freedom

    Of n parameters and the two kinds of ranks one is larger than its quantile 1 - CHANCE / (2 n)
    with probability CHANCE at most: among the tens of thousands of a genome 1.01 is exceeded by
    chains that agree.
    """
    (n_chains, n_draws), n = draws.shape[:2], len(at)
    if n < MANY:
        return None
    if np.isnan(r_hat).any():
        return float("nan")
    halves = 2 * n_chains
    excess = halves * chi2.isf(CHANCE / (2 * n), halves - 1) / (halves - 1)
    suspect = np.flatnonzero(r_hat**2 > 1 + excess / (n_chains * n_draws))
    theirs = draws.reshape(n_chains, n_draws, -1)[:, :, at[suspect]]
    of_chains = [array_stats.ess(theirs[[c]], chain_axis=0, draw_axis=1) for c in range(n_chains)]
    beyond = r_hat[suspect][r_hat[suspect] ** 2 > 1 + excess / np.sum(of_chains, axis=0)]
    return float(beyond.max(initial=1.0))


def _reached_by_nearly_all(sizes: np.ndarray) -> float | None:
    """Return the effective sample size that 1 - SHARE_BELOW of parameters reach; None for few.

    Each is an estimate with a relative error of 10 to 20 % where it is some hundreds: of tens of
    thousands of parameters one falls short of half the size that all of them have.
    """
    return None if len(sizes) < MANY else float(np.quantile(sizes, SHARE_BELOW))


def _judged(posterior: xr.Dataset, summary: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of parameters whose draws can converge.

    A sparse slope that is 0 in every draw has no R-hat, nor has the probability that it is not 0
    where that rounds to 1 in every draw. Each is judged by the other.
    """
    if "included_g" not in posterior:
        return summary
    variable, constant = summary["variable"], summary["sd"] == 0
    always_zero = (variable == "beta_g") & (summary["mean"] == 0)
    always_included = (variable == "included_g") & (summary["mean"] == 1)
    return summary[~(constant & (always_zero | always_included))].reset_index(drop=True)


def _gibbs(tree: xr.DataTree) -> GibbsDiagnostics:
    statistics = tree["sample_stats"].dataset
    return GibbsDiagnostics.model_validate(
        {name: float(statistics[name].mean("draw").min()) for name in GibbsDiagnostics.model_fields}
    )


def _nuts(tree: xr.DataTree) -> NutsDiagnostics:
    statistics = tree["sample_stats"].dataset
    return NutsDiagnostics(
        divergences=int(statistics["diverging"].sum()),
        bfmi_min=float(np.min(bfmi(tree)["energy"].to_numpy())),
        step_size_min=float(statistics["step_size"].min()),
        step_size_max=float(statistics["step_size"].max()),
    )


def exact_diagnostics(tree: xr.DataTree) -> ExactDiagnostics:
    """Return the exact engine's diagnostics of its integration."""
    statistics = tree["sample_stats"].dataset
    return ExactDiagnostics.model_validate(
        {name: statistics[name].item() for name in ExactDiagnostics.model_fields}
    )
