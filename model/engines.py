"""From a design to the full posterior contract, whichever engine computes it.

The engines themselves are modules of their own (`model.nuts`); here is what they share: their
cost, the prior and the predictive draws, and how one seed feeds all randomness.
"""

from __future__ import annotations

import numpy as np
import xarray as xr

from model import nuts
from model.design import ScreenDesign
from model.hierarchy import build_model
from model.predictive import data_groups, draw_prior, replicate_cells, thin
from schemas.parameters import FitParameters
from schemas.posterior import CONTRACTS

SAMPLE, PRIOR, PRIOR_REPLICATES, REPLICATES, PRIOR_CHECKS, CHECKS = range(6)
"""What each seed of `seeds` is for."""


def run_engine(
    design: ScreenDesign,
    parameters: FitParameters,
    on_progress: nuts.OnProgress = lambda done, total: None,
) -> xr.DataTree:
    """Compute the posterior; return a tree with groups `posterior` and `sample_stats`."""
    return nuts.sample(
        build_model(parameters.model, design, parameters.priors),
        CONTRACTS[parameters.model],
        parameters.sampling,
        seeds(parameters.seed)[SAMPLE],
        on_progress,
    )


def complete(tree: xr.DataTree, design: ScreenDesign, parameters: FitParameters) -> xr.DataTree:
    """Add to an engine's result what makes it `schemas.posterior.CONTRACTS[parameters.model]`.

    Beside the required groups: `prior_predictive`. The predictive groups hold
    `sampling.predictive_draws` draws (rounded up to whole chains) of the observed statistics.
    """
    seed = seeds(parameters.seed)
    n = parameters.sampling.predictive_draws
    posterior = tree["posterior"].dataset
    prior = draw_prior(parameters.model, design, parameters.priors, n, seed[PRIOR])
    full = xr.DataTree.from_dict(
        {
            "posterior": posterior,
            "sample_stats": tree["sample_stats"].dataset,
            "prior": prior,
            "prior_predictive": replicate_cells(prior, design, seed[PRIOR_REPLICATES]),
            "posterior_predictive": replicate_cells(thin(posterior, n), design, seed[REPLICATES]),
            **data_groups(design),
        }
    )
    full.attrs = {
        "model": parameters.model,
        "engine": parameters.engine,
        "sampler": parameters.sampling.sampler,
        "seed": parameters.seed,
    }
    CONTRACTS[parameters.model].check(full)
    return full


def cost(design: ScreenDesign, parameters: FitParameters) -> str:
    """Say in a phrase how much there is to compute and to keep."""
    sampling = parameters.sampling
    n_scalars = sum(not dims for dims in CONTRACTS[parameters.model].variables.values())
    n_parameters = n_scalars + 2 * len(design.genes) + len(design.cell_lines)
    megabytes = 8e-6 * sampling.chains * sampling.draws * n_parameters
    return (
        f"{n_parameters:,} parameters, {design.cells.gene.size:,} gene-line cells, "
        f"{sampling.chains} chains of {sampling.tune:,} + {sampling.draws:,} steps, "
        f"a posterior of {megabytes:,.0f} MB"
    )


def seeds(seed: int) -> list[int]:
    """Return independent 32-bit seeds that follow from one, for SAMPLE ... CHECKS."""
    return [int(state) for state in np.random.SeedSequence(seed).generate_state(CHECKS + 1)]
