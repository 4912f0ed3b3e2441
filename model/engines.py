"""From a design to the full posterior contract, whichever engine computes it.

The engines themselves are modules of their own (`model.nuts`, `model.exact`); here is which of them
is taken, and what they share: their cost, the prior and the predictive draws, and how one seed
feeds all randomness.
"""

from __future__ import annotations

import math

import numpy as np
import xarray as xr

from model import nuts
from model.convergence import exact_diagnostics
from model.design import ScreenDesign
from model.exact import engine as exact
from model.exact.proposal import NotIntegrable
from model.exact.work import expected_seconds
from model.exact.workers import ThisProcess, Workers
from model.hierarchy import build_model
from model.identified import require_identified
from model.influence import leaving_out_seconds
from model.loo import log_likelihood_group
from model.memory import Sizes, fit_bytes, in_words, n_parameters, posterior_bytes
from model.on_progress import OnProgress, nobody
from model.predictive import data_groups, draw_prior, looked_at, replicate_cells, thin
from model.verdict import exact_failures
from schemas.errors import UserError
from schemas.parameters import FitParameters
from schemas.posterior import CONTRACTS

SAMPLE, PRIOR, PRIOR_REPLICATES, REPLICATES, PRIOR_CHECKS, CHECKS = range(6)
"""What each seed of `seeds` is for."""


ATTRIBUTES = ("engine", "fell_back", "imported_from")
"""What is known of how draws came about, kept with them."""


class NoIntegral(UserError):
    """A screen whose posterior the exact engine cannot integrate."""


def run_engine(
    design: ScreenDesign,
    parameters: FitParameters,
    on_progress: OnProgress = nobody,
    workers: Workers = ThisProcess(),
) -> xr.DataTree:
    """Compute the posterior; return a tree with groups `posterior` and `sample_stats`.

    Its attribute `engine` names the engine that computed it. `auto` is the exact engine where it
    can integrate the screen and what it says of itself passes, else NUTS: then the attribute
    `fell_back` says why. The exact engine computes on `workers`; NUTS in processes and threads of
    this machine.

    Raises:
        NotIdentified: the screen cannot tell the parts of the model apart.
        NoIntegral: the exact engine is asked for a screen that it cannot integrate.
    """
    require_identified(parameters.model, design)
    fell_back = ""
    if is_exact(parameters):
        try:
            tree = exact.sample(
                design, parameters, seeds(parameters.seed)[SAMPLE], on_progress, workers
            )
        except NotIntegrable as error:
            if parameters.engine == "exact":
                raise NoIntegral(
                    f"expected a posterior that the exact engine can integrate, got none: {error}; "
                    "take --engine nuts"
                ) from None
            fell_back = str(error)
        else:
            tree.attrs["engine"] = "exact"
            failures = exact_failures(exact_diagnostics(tree), parameters.thresholds)
            if not failures or parameters.engine == "exact":
                return tree
            fell_back = "; ".join(failures)
    tree = nuts.sample(
        build_model(parameters.model, design, parameters.priors),
        CONTRACTS[parameters.model],
        parameters.sampling,
        seeds(parameters.seed)[SAMPLE],
        on_progress,
    )
    if fell_back:
        tree.attrs["fell_back"] = fell_back
    tree.attrs["engine"] = "nuts"
    return tree


def complete(tree: xr.DataTree, design: ScreenDesign, parameters: FitParameters) -> xr.DataTree:
    """Add to an engine's result what makes it `schemas.posterior.CONTRACTS[parameters.model]`.

    Beside the required groups: `prior_predictive` and, where asked for, `log_likelihood`. It and
    the predictive groups hold `sampling.predictive_draws` draws (rounded up to whole chains) of the
    gene-line cells. They and the groups of data are of the whole screen or, where it is large, of a
    part of its genes (`sampling.predictive_cells`): those of the coordinate `gene` of
    `constant_data`.
    """
    seed = seeds(parameters.seed)
    n = parameters.sampling.predictive_draws
    posterior = tree["posterior"].dataset
    part = looked_at(design, parameters.sampling.predictive_cells)
    prior = draw_prior(parameters.model, design, parameters.priors, n, seed[PRIOR])
    full = xr.DataTree.from_dict(
        {
            "posterior": posterior,
            "sample_stats": tree["sample_stats"].dataset,
            "prior": prior,
            "prior_predictive": replicate_cells(prior, part, seed[PRIOR_REPLICATES]),
            "posterior_predictive": replicate_cells(thin(posterior, n), part, seed[REPLICATES]),
            **data_groups(part),
        }
    )
    if parameters.sampling.log_likelihood:
        full["log_likelihood"] = xr.DataTree(log_likelihood_group(thin(posterior, n), part))
    full.attrs = {
        "model": parameters.model,
        **{name: tree.attrs[name] for name in ATTRIBUTES if name in tree.attrs},
        "seed": parameters.seed,
    }
    CONTRACTS[parameters.model].check(full)
    return full


def cost(design: ScreenDesign, parameters: FitParameters) -> str:
    """Say in a phrase how much there is to compute and to keep, and how long that takes."""
    sampling = parameters.sampling
    sizes = Sizes.of(design)
    megabytes = posterior_bytes(sizes, parameters) / 1e6
    n_cells = np.count_nonzero(design.gene_count)
    if is_exact(parameters):
        work = f"{sampling.chains} x {sampling.draws:,} draws, {_about(design, parameters)}"
    else:
        work = f"{sampling.chains} chains of {sampling.tune:,} + {sampling.draws:,} steps"
    memory = in_words(needed_bytes(design, parameters))
    return (
        f"{n_parameters(sizes, parameters):,} parameters, {n_cells:,} gene-line cells, "
        f"{work}, a posterior of {megabytes:,.0f} MB, about "
        f"{memory} more memory{_leaving_out(design, parameters)}"
    )


def is_exact(parameters: FitParameters) -> bool:
    """Whether the exact engine is the one to begin with."""
    return parameters.engine != "nuts"


def needed_bytes(design: ScreenDesign, parameters: FitParameters) -> int:
    """Return the memory a fit takes at its most beside the design, bytes; within a third or so."""
    return fit_bytes(Sizes.of(design), parameters, exact=is_exact(parameters))


def _leaving_out(design: ScreenDesign, parameters: FitParameters) -> str:
    """Say how long leaving out lines and lineages takes afterwards."""
    seconds = leaving_out_seconds(parameters.model, design)
    return f", then {_in_time(seconds)} for leaving out cell lines and lineages"


def _about(design: ScreenDesign, parameters: FitParameters) -> str:
    return _in_time(expected_seconds(design, parameters))


def _in_time(seconds: float) -> str:
    if seconds < 100:
        return f"about {math.ceil(seconds)} s"
    return f"about {math.ceil(seconds / 60)} min"


def seeds(seed: int) -> list[int]:
    """Return independent 32-bit seeds that follow from one, for SAMPLE ... CHECKS."""
    return [int(state) for state in np.random.SeedSequence(seed).generate_state(CHECKS + 1)]
