"""What a reader needs to run a fit again: the command and the versions."""

from __future__ import annotations

import platform
import shlex
from importlib.metadata import version

from schemas.parameters import FitParameters
from tasks.artifacts import PARAMETERS_FILE
from tasks.tracking_run import code_version

DISTRIBUTIONS = (
    "pymc",
    "pytensor",
    "nutpie",
    "numpyro",
    "arviz",
    "numpy",
    "pandas",
    "pandera",
    "mlflow",
    "prefect",
)


def key_versions() -> dict[str, str]:
    """Return the versions that decide the numbers; `environment.txt` has all of them."""
    return {
        "screenbayes": code_version(),
        "python": platform.python_version(),
        **{name: version(name) for name in DISTRIBUTIONS},
    }


def command_for(dataset_file: str, parameters: FitParameters) -> str:
    """Return the `screenbayes fit` command that repeats a fit.

    It has all options in full. Where these cannot say everything it reads PARAMETERS_FILE, an
    artifact of the run, instead.
    """
    words = (
        _options(parameters) if _options_suffice(parameters) else ["--parameters", PARAMETERS_FILE]
    )
    return shlex.join(["screenbayes", "fit", dataset_file, *words])


def _options(parameters: FitParameters) -> list[str]:
    sampling, filters = parameters.sampling, parameters.filters
    options: dict[str, tuple[object, ...]] = {
        "model": (parameters.model,),
        "engine": (parameters.engine,),
        "sampler": (sampling.sampler,),
        "draws": (sampling.draws,),
        "tune": (sampling.tune,),
        "chains": (sampling.chains,),
        "target-accept": (sampling.target_accept,),
        "seed": (parameters.seed,),
        "priors": tuple(f"{k}={v}" for k, v in parameters.priors.model_dump(mode="json").items()),
        "genes": filters.genes,
        "cell-lines": filters.cell_lines,
        "lineages": filters.lineages,
    }
    return [
        word
        for name, values in options.items()
        if values
        for word in (f"--{name}", *map(str, values))
    ]


def _options_suffice(parameters: FitParameters) -> bool:
    """Whether every setting without an option has its default, and no label has a comma in it."""
    default, filters = FitParameters(), parameters.filters
    labels = (*filters.genes, *filters.cell_lines, *filters.lineages)
    return (
        parameters.preparation == default.preparation
        and parameters.contract == default.contract
        and parameters.thresholds == default.thresholds
        and parameters.sampling.predictive_draws == default.sampling.predictive_draws
        and not any("," in label for label in labels)
    )
