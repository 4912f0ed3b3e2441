"""Choice of the engine, and what engines share: cost, prior and predictive draws, seeds.

The engines are the modules `sampler` of `model.engines.exact`, `gibbs` and `nuts`.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
import xarray as xr

from model.diagnostics.convergence import assess_convergence, exact_diagnostics
from model.diagnostics.summary import parameter_summary, with_summary
from model.diagnostics.verdict import exact_failures, give_verdict
from model.engines.exact import sampler as exact
from model.engines.exact.proposal import NotIntegrable
from model.engines.exact.workload import expected_seconds
from model.engines.memory import (
    Sizes,
    can_double,
    choose_draws,
    fit_bytes,
    format_bytes,
    n_parameters,
    posterior_bytes,
)
from model.prediction.loo import log_likelihood_group
from model.prediction.predictive import data_groups, draw_prior, of_part, prediction_subset, thin
from model.prediction.replicates import replicate_screens
from model.runtime.executors import Executor, LocalExecutor
from model.runtime.progress import ProgressCallback, no_progress
from model.screen.design import ScreenDesign
from model.screen.identifiability import require_identified
from schemas.errors import UserError
from schemas.formatting import format_duration
from schemas.model_spec import MODEL_SPECS, model_spec
from schemas.parameters import EngineName, FitParameters
from schemas.posterior import check_contract

SAMPLE, PRIOR, PRIOR_REPLICATES, REPLICATES, CHECKS = range(5)
"""Purpose of each seed of `seeds`, by position."""


FULLY_JUDGED = 100_000_000
"""Bytes of a posterior all of whose parameters are judged before chains end."""
ATTRIBUTES = ("engine", "fell_back", "imported_from")
"""Attributes on the origin of draws."""


class NoIntegral(UserError):
    """A screen or model whose posterior the engine cannot integrate or sample."""


def run_engine(
    design: ScreenDesign,
    parameters: FitParameters,
    progress: ProgressCallback = no_progress,
    workers: Executor = LocalExecutor(),
) -> xr.DataTree:
    """Compute the posterior; return a tree with groups `posterior` and `sample_stats`.

    And `summary` where the draws were summarised (`model.diagnostics.summary.summary_of`).
    Its attribute `engine` names the engine that computed it. `auto` is the exact engine where it
    can integrate the model, else the Gibbs engine where it knows the model, else NUTS. NUTS
    replaces the exact engine where a screen cannot be integrated or the diagnostics fail: then the
    attribute `fell_back` gives the reason. The exact engine computes on `workers`; the others in
    processes and threads of this machine.

    Raises:
        NotIdentified: the screen does not identify the standard deviations of the model.
        NoIntegral: the chosen engine does not support the model, or the exact engine is required
            for a screen that it cannot integrate, or the Gibbs engine cannot sample it.
    """
    require_identified(parameters.model, design)
    require_engine(parameters)
    engine, fell_back = first_engine(parameters), ""
    is_chosen = parameters.sampling.draws is None
    parameters = choose_draws(parameters, Sizes.of(design), engine)
    seed = seeds(parameters.seed)[SAMPLE]
    if engine == "gibbs":
        from model.engines.gibbs import sampler as gibbs  # with Numba, for this engine alone

        judge = _Judge(design, parameters)
        needs_more = judge.needs_more if is_chosen else gibbs.has_enough
        try:
            tree = gibbs.sample(design, parameters, seed, progress, needs_more)
        except np.linalg.LinAlgError as error:
            raise NoIntegral(
                f"expected a posterior that the Gibbs engine can sample, got none: {error}; look "
                "for values far from all others in the tables, or use --seed with another number"
            ) from None
        tree.attrs["engine"] = "gibbs"
        return tree if judge.summary is None else with_summary(tree, judge.summary)
    if engine == "exact":
        try:
            tree = exact.sample(design, parameters, seed, progress, workers)
        except NotIntegrable as error:
            if parameters.engine == "exact":
                raise NoIntegral(
                    f"expected a posterior that the exact engine can integrate, got none: {error}; "
                    "use --engine nuts"
                ) from None
            fell_back = str(error)
        else:
            tree.attrs["engine"] = "exact"
            failures = exact_failures(exact_diagnostics(tree), parameters.thresholds)
            if not failures or parameters.engine == "exact":
                return tree
            fell_back = "; ".join(failures)
    tree = _sample_by_nuts(design, parameters, seed, progress)
    if fell_back:
        tree.attrs["fell_back"] = fell_back
    tree.attrs["engine"] = "nuts"
    return tree


class _Judge:
    """Says whether chains of chosen length need more draws: not converged, with room for more.

    What all genes share is judged first: it converges last, as a rule. Of a large posterior,
    parameters of genes and guides are not judged, which would take as long as a part of the fit.
    """

    def __init__(self, design: ScreenDesign, parameters: FitParameters) -> None:
        self._sizes, self._parameters = Sizes.of(design), parameters
        self.summary: pd.DataFrame | None = None
        """Of all parameters of the draws judged last; None where some were not judged."""

    def needs_more(self, tree: xr.DataTree) -> bool:
        self.summary = None
        posterior = tree["posterior"].dataset
        if not can_double(self._parameters, self._sizes, posterior.sizes["draw"]):
            return False
        failed, _ = self._judged(tree, posterior.drop_dims(["gene", "guide"]))
        if failed or posterior.nbytes > FULLY_JUDGED:
            return failed
        failed, self.summary = self._judged(tree, posterior)
        return failed

    def _judged(self, tree: xr.DataTree, posterior: xr.Dataset) -> tuple[bool, pd.DataFrame]:
        judged = xr.DataTree.from_dict(
            {"posterior": posterior, "sample_stats": tree["sample_stats"].dataset}
        )
        summary = parameter_summary(judged)
        convergence = assess_convergence(judged, summary)
        return give_verdict(convergence, (), self._parameters).status == "fail", summary


def _sample_by_nuts(
    design: ScreenDesign, parameters: FitParameters, seed: int, progress: ProgressCallback
) -> xr.DataTree:
    # With PyMC, which takes seconds to import and the other engines do without.
    from model.engines.nuts import sampler as nuts
    from model.engines.nuts.plain import build_model
    from model.engines.nuts.sparse_slopes import add_slopes, sampled_variables

    spec = model_spec(parameters.model, design.covariates)
    tree = nuts.sample(
        build_model(parameters.model, design, parameters.priors),
        sampled_variables(spec),
        parameters.sampling,
        seed,
        progress,
    )
    return add_slopes(tree, spec, design, seed) if spec.mixture else tree


def add_predictive_groups(
    tree: xr.DataTree, design: ScreenDesign, parameters: FitParameters
) -> tuple[xr.DataTree, pd.DataFrame]:
    """Return an engine's result with all groups of the contract (`schemas.posterior`), and checks.

    The checks are the `quantities` of the replicates in both predictive groups
    (`model.prediction.replicates`), prior after posterior.

    Additional groups are `prior_predictive` and, if requested, `log_likelihood`. It and the
    predictive groups have `sampling.predictive_draws` draws (rounded up to whole chains) of the
    gene-line pairs. They, the prior and the groups of data have all genes or, in a large screen,
    the genes of the coordinate `gene` of `constant_data` (`sampling.predictive_cells`).
    """
    seed = seeds(parameters.seed)
    n = parameters.sampling.predictive_draws
    posterior = tree["posterior"].dataset
    part = prediction_subset(design, parameters.sampling.predictive_cells)
    few = thin(of_part(posterior, part), n)
    prior = draw_prior(parameters.model, part, parameters.priors, n, seed[PRIOR])
    of_prior = replicate_screens(prior, part, "prior", seed[PRIOR_REPLICATES])
    of_posterior = replicate_screens(few, part, "posterior", seed[REPLICATES])
    full = xr.DataTree.from_dict(
        {
            "posterior": posterior,
            "sample_stats": tree["sample_stats"].dataset,
            "prior": prior,
            "prior_predictive": of_prior.cells,
            "posterior_predictive": of_posterior.cells,
            **data_groups(part),
        }
    )
    if parameters.sampling.log_likelihood:
        full["log_likelihood"] = xr.DataTree(log_likelihood_group(few, part))
    full.attrs = {
        "model": parameters.model,
        **{name: tree.attrs[name] for name in ATTRIBUTES if name in tree.attrs},
        "seed": parameters.seed,
    }
    check_contract(full, model_spec(parameters.model, design.covariates).variables)
    return full, pd.concat([of_posterior.quantities, of_prior.quantities], ignore_index=True)


def describe_cost(design: ScreenDesign, parameters: FitParameters) -> str:
    """Return the size, expected time and expected memory of a fit, as a phrase."""
    engine, sizes = first_engine(parameters), Sizes.of(design)
    is_chosen = engine == "gibbs" and parameters.sampling.draws is None
    parameters = choose_draws(parameters, sizes, engine)
    sampling = parameters.sampling
    megabytes = posterior_bytes(sizes, parameters) / 1e6
    n_cells = np.count_nonzero(design.gene_count)
    seconds = fit_seconds(design, parameters)
    if engine == "nuts":
        draws = f"{sampling.chains} chains of {sampling.tune:,} + {sampling.n_draws:,} steps"
    else:
        of = "x" if engine == "exact" else "chains of"
        draws = f"{sampling.chains} {of} {sampling.n_draws:,} draws"
    draws += f", {format_duration(seconds)}" if seconds else ""
    if is_chosen and can_double(parameters, sizes, sampling.n_draws):
        draws += " (more if they have not converged)"
    memory = format_bytes(needed_bytes(design, parameters))
    return (
        f"{n_parameters(sizes, parameters):,} parameters, {n_cells:,} gene-line pairs, "
        f"{draws}, a posterior of {megabytes:,.0f} MB, about "
        f"{memory} more memory"
    )


def describe_total_cost(design: ScreenDesign, parameters: FitParameters, n: int) -> str:
    """Return number, expected time and expected memory of n fits in turn, as a phrase."""
    seconds = fit_seconds(design, parameters)
    time = f"{format_duration(n * seconds)} in all, " if seconds else ""
    memory = format_bytes(needed_bytes(design, parameters))
    return f"{n:,} fits of {parameters.model}, {time}about {memory} more memory"


def fit_seconds(design: ScreenDesign, parameters: FitParameters) -> float | None:
    """Return the approximate seconds of the engine; None for NUTS, whose steps differ in length."""
    engine = first_engine(parameters)
    if engine == "nuts":
        return None
    parameters = choose_draws(parameters, Sizes.of(design), engine)
    if engine == "exact":
        return expected_seconds(design, parameters)
    from model.engines.gibbs import sampler as gibbs  # with Numba, as above

    return gibbs.expected_seconds(design, parameters)


def first_engine(parameters: FitParameters) -> EngineName:
    """Return the engine that is tried first."""
    spec = MODEL_SPECS[parameters.model]
    if parameters.engine != "auto":
        return parameters.engine
    if not spec.not_exact:
        return "exact"
    return "nuts" if spec.not_gibbs else "gibbs"


def require_engine(parameters: FitParameters) -> None:
    """Raise NoIntegral if the chosen engine does not support the model."""
    model, engine = parameters.model, parameters.engine
    spec = MODEL_SPECS[model]
    reasons = {"exact": spec.not_exact, "gibbs": spec.not_gibbs, "nuts": spec.not_nuts}
    if reason := reasons.get(engine, ""):
        others = [name for name, why in reasons.items() if not why]
        raise NoIntegral(
            f"expected a model that engine {engine} supports, got {model}: {reason}; "
            f"use --engine {' or '.join(others)}"
        )


def needed_bytes(design: ScreenDesign, parameters: FitParameters) -> int:
    """Return the peak bytes of a fit in addition to its design, within about a third."""
    engine = first_engine(parameters)
    chosen = choose_draws(parameters, Sizes.of(design), engine)
    return fit_bytes(Sizes.of(design), chosen, engine)


def seeds(seed: int) -> list[int]:
    """Return independent 32-bit seeds derived from one, for SAMPLE ... CHECKS."""
    return [int(state) for state in np.random.SeedSequence(seed).generate_state(CHECKS + 1)]
