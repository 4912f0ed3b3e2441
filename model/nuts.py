"""The NUTS engine: samples any PyMC model with nutpie, PyMC or numpyro.

Returns the posterior and the statistics of the sampler under one set of names, whichever sampler
drew them. Predictive draws are `model.predictive`; judging convergence is `model.convergence`.
"""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import pymc as pm
import xarray as xr
from pytensor.configdefaults import config

from model.exact.workers import n_threads
from model.on_progress import OnProgress, nobody
from schemas.parameters import Sampling
from schemas.posterior import PosteriorContract


def sample(
    model: pm.Model,
    contract: PosteriorContract,
    sampling: Sampling,
    seed: int,
    on_progress: OnProgress = nobody,
) -> xr.DataTree:
    """Draw from the posterior of `model`.

    Returns a tree with groups `posterior` (the variables of `contract`, float64, dims chain, draw
    and their own) and `sample_stats` (diverging bool, energy and step_size float64, dims chain,
    draw). Equal arguments give equal draws. `on_progress` is told tuning steps and draws, of all
    chains together.
    """
    draw = {"nutpie": _nutpie, "pymc": _pymc, "numpyro": _numpyro}[sampling.sampler]
    tree = draw(model, sampling, seed, on_progress)
    total = sampling.chains * (sampling.tune + sampling.draws)
    posterior = tree["posterior"].dataset[list(contract.variables)].astype(np.float64)
    if (posterior.sizes["chain"], posterior.sizes["draw"]) != (sampling.chains, sampling.draws):
        # PyMC takes an interrupt for a wish to keep what there is; half a fit must not look whole.
        raise KeyboardInterrupt
    statistics = tree["sample_stats"].dataset[["diverging", "energy", "step_size"]]
    on_progress(total, total)
    return xr.DataTree.from_dict(
        {
            "posterior": xr.Dataset(
                {
                    name: posterior[name].transpose("chain", "draw", *dims)
                    for name, dims in contract.variables.items()
                }
            ),
            "sample_stats": statistics,
        }
    )


def _cores(chains: int) -> int:
    return min(chains, n_threads())


def _nutpie(model: pm.Model, sampling: Sampling, seed: int, on_progress: OnProgress) -> xr.DataTree:
    import nutpie

    def report(chains: Sequence[nutpie.ChainProgress]) -> None:
        on_progress(
            sum(chain.finished_draws for chain in chains),
            sum(chain.total_draws for chain in chains),
        )

    sampler = nutpie.sample(
        nutpie.compile_pymc_model(model),
        draws=sampling.draws,
        tune=sampling.tune,
        chains=sampling.chains,
        cores=_cores(sampling.chains),
        seed=seed,
        target_accept=sampling.target_accept,
        save_warmup=False,
        progress_bar=False,
        progress_callback=report,
        blocking=False,
    )
    try:
        return sampler.wait()
    except BaseException:
        sampler.cancel()
        raise


def _pymc(model: pm.Model, sampling: Sampling, seed: int, on_progress: OnProgress) -> xr.DataTree:
    total = sampling.chains * (sampling.tune + sampling.draws)
    done = 0

    def report(trace: object, draw: object) -> None:
        nonlocal done
        done += 1
        if done % 100 == 0:
            on_progress(done, total)

    try:
        with _quiet(), _settings_for_processes():
            return pm.sample(
                nuts_sampler="pymc",
                cores=_cores(sampling.chains),
                callback=report,
                **_pymc_options(model, sampling, seed),
            )
    except ValueError as error:
        if "Not enough samples" in str(error):  # an interrupt before the first draw left nothing
            raise KeyboardInterrupt from None
        raise


def _numpyro(
    model: pm.Model, sampling: Sampling, seed: int, on_progress: OnProgress
) -> xr.DataTree:
    import numpyro
    from pymc.sampling.jax import sample_numpyro_nuts

    # One XLA device a core lets the chains run side by side; has to precede the first use of JAX.
    numpyro.set_host_device_count(_cores(sampling.chains))
    total = sampling.chains * (sampling.tune + sampling.draws)
    on_progress(0, total)  # it says no more until it is done
    with _quiet():
        return sample_numpyro_nuts(**_pymc_options(model, sampling, seed))


def _pymc_options(model: pm.Model, sampling: Sampling, seed: int) -> dict[str, Any]:
    """What PyMC's own sampler and its bridge to numpyro are told alike."""
    return {
        "model": model,
        "draws": sampling.draws,
        "tune": sampling.tune,
        "chains": sampling.chains,
        "random_seed": seed,
        "target_accept": sampling.target_accept,
        "progressbar": False,
        "quiet": True,
        "compute_convergence_checks": False,
    }


@contextmanager
def _settings_for_processes() -> Iterator[None]:
    """Let processes that are no copies of this one know where generated source is kept.

    So begun everywhere but on Linux, and there too from Python 3.14 on.
    """
    before = os.environ.get("PYTENSOR_FLAGS")
    ours = f"generated_src_dir={config.generated_src_dir}"
    os.environ["PYTENSOR_FLAGS"] = ours if before is None else f"{ours},{before}"
    try:
        yield
    finally:
        del os.environ["PYTENSOR_FLAGS"]
        if before is not None:
            os.environ["PYTENSOR_FLAGS"] = before


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence what PyMC says of convergence; `model.convergence` says it for every sampler."""
    logger = logging.getLogger("pymc")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
