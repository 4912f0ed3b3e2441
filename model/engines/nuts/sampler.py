"""The NUTS engine: samples any PyMC model with nutpie, PyMC or numpyro.

Results have the same names for every sampler.
"""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import pymc as pm
import xarray as xr
from pytensor.configdefaults import config

from model.runtime.executors import n_threads
from model.runtime.progress import ProgressCallback, no_progress
from schemas.parameters import Sampling


def sample(
    model: pm.Model,
    variables: Mapping[str, tuple[str, ...]],
    sampling: Sampling,
    seed: int,
    progress: ProgressCallback = no_progress,
) -> xr.DataTree:
    """Sample from the posterior of `model`.

    Returns a tree with groups `posterior` (`variables` of a `ModelSpec`, float64, dims chain, draw
    and their own) and `sample_stats` (diverging bool, energy and step_size float64, dims chain,
    draw). Equal arguments give equal draws. `progress` counts tuning steps and draws of all chains.
    """
    draw = {"nutpie": _nutpie, "pymc": _pymc, "numpyro": _numpyro}[sampling.sampler]
    tree = draw(model, sampling, seed, progress)
    total = sampling.chains * (sampling.tune + sampling.n_draws)
    posterior = tree["posterior"].dataset[list(variables)].astype(np.float64)
    if (posterior.sizes["chain"], posterior.sizes["draw"]) != (sampling.chains, sampling.n_draws):
        # After an interrupt PyMC returns the draws so far, which must not pass for a whole fit.
        raise KeyboardInterrupt
    statistics = tree["sample_stats"].dataset[["diverging", "energy", "step_size"]]
    progress(total, total)
    return xr.DataTree.from_dict(
        {
            "posterior": xr.Dataset(
                {
                    name: posterior[name].transpose("chain", "draw", *dims)
                    for name, dims in variables.items()
                }
            ),
            "sample_stats": statistics,
        }
    )


def _cores(chains: int) -> int:
    return min(chains, n_threads())


def _nutpie(
    model: pm.Model, sampling: Sampling, seed: int, progress: ProgressCallback
) -> xr.DataTree:
    import nutpie

    def report(chains: Sequence[nutpie.ChainProgress]) -> None:
        progress(
            sum(chain.finished_draws for chain in chains),
            sum(chain.total_draws for chain in chains),
        )

    sampler = nutpie.sample(
        nutpie.compile_pymc_model(model),
        draws=sampling.n_draws,
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


def _pymc(
    model: pm.Model, sampling: Sampling, seed: int, progress: ProgressCallback
) -> xr.DataTree:
    total = sampling.chains * (sampling.tune + sampling.n_draws)
    done = 0

    def report(trace: object, draw: object) -> None:
        nonlocal done
        done += 1
        if done % 100 == 0:
            progress(done, total)

    try:
        with _quiet(), _settings_for_processes():
            return pm.sample(
                nuts_sampler="pymc",
                cores=_cores(sampling.chains),
                callback=report,
                **_pymc_options(model, sampling, seed),
            )
    except ValueError as error:
        if "Not enough samples" in str(error):  # interrupted before the first draw
            raise KeyboardInterrupt from None
        raise


def _numpyro(
    model: pm.Model, sampling: Sampling, seed: int, progress: ProgressCallback
) -> xr.DataTree:
    import numpyro
    from pymc.sampling.jax import sample_numpyro_nuts

    # One XLA device per core runs chains in parallel; must be set before the first use of JAX.
    numpyro.set_host_device_count(_cores(sampling.chains))
    total = sampling.chains * (sampling.tune + sampling.n_draws)
    progress(0, total)  # it reports no further progress
    with _quiet():
        return sample_numpyro_nuts(**_pymc_options(model, sampling, seed))


def _pymc_options(model: pm.Model, sampling: Sampling, seed: int) -> dict[str, Any]:
    """Return the options shared by PyMC's sampler and its bridge to numpyro."""
    return {
        "model": model,
        "draws": sampling.n_draws,
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
    """Pass the folder of generated source to spawned processes.

    PyMC spawns processes except on Linux before Python 3.14, where it forks.
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
    """Suppress PyMC's messages on convergence, which `model.diagnostics` reports."""
    logger = logging.getLogger("pymc")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
