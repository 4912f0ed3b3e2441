"""The command and the versions that reproduce a fit."""

from __future__ import annotations

import platform
import shlex
from importlib.metadata import version
from typing import Any

from schemas.parameters import FitParameters, Sampling
from tasks.tracking.artifacts import PARAMETERS_FILE
from tasks.tracking.run import code_version

DISTRIBUTIONS = (
    "pymc",
    "pytensor",
    "nutpie",
    "numpyro",
    "arviz",
    "scipy",
    "numpy",
    "pandas",
    "pandera",
    "mlflow",
    "prefect",
)

_NUTS_OPTIONS = ("sampler", "tune", "target_accept")
_WITH_OPTION: Any = {
    "model": True,
    "engine": True,
    "seed": True,
    "filters": True,
    "priors": True,
    "sampling": {"draws", "chains", *_NUTS_OPTIONS},
}


def key_versions() -> dict[str, str]:
    """Return the versions that determine results; `environment.txt` lists all packages."""
    return {
        "screenbayes": code_version(),
        "python": platform.python_version(),
        **{name: version(name) for name in DISTRIBUTIONS},
    }


def command_for(dataset_file: str, parameters: FitParameters) -> str:
    """Return the `screenbayes fit` command that repeats a fit.

    It has all options, or `--parameters` with PARAMETERS_FILE, an artifact of the run, if options
    do not cover all settings.
    """
    words = (
        _options(parameters) if _options_suffice(parameters) else ["--parameters", PARAMETERS_FILE]
    )
    return shlex.join(["screenbayes", "fit", dataset_file, *words])


def import_command(trace: str, dataset_file: str, parameters: FitParameters) -> str:
    """Return the `screenbayes import-trace` command that repeats an import."""
    words = ["--parameters", PARAMETERS_FILE]
    if _options_suffice(parameters):
        options = _part_and_priors(parameters) | {"seed": (parameters.seed,)}
        words = _as_words(options)
    return shlex.join(["screenbayes", "import-trace", trace, "--dataset", dataset_file, *words])


def _options(parameters: FitParameters) -> list[str]:
    sampling = parameters.sampling
    options: dict[str, tuple[object, ...]] = {
        "model": (parameters.model,),
        "engine": (parameters.engine,),
        "draws": (sampling.draws,) if sampling.draws else (),
        "chains": (sampling.chains,),
        # The exact engine ignores these; `auto` may use NUTS.
        **(_nuts_options(sampling) if parameters.engine != "exact" else {}),
        "seed": (parameters.seed,),
        **_part_and_priors(parameters),
    }
    return _as_words(options)


def _part_and_priors(parameters: FitParameters) -> dict[str, tuple[object, ...]]:
    priors = parameters.priors.model_dump(mode="json")
    return {
        "priors": tuple(f"{name}={prior}" for name, prior in priors.items()),
        **_filters(parameters),
    }


def _filters(parameters: FitParameters) -> dict[str, tuple[str, ...]]:
    return parameters.filters.model_dump(exclude_none=True)


def _as_words(options: dict[str, tuple[object, ...]]) -> list[str]:
    return [
        word
        for name, values in options.items()
        if values
        for word in (f"--{name.replace('_', '-')}", *map(str, values))
    ]


def _nuts_options(sampling: Sampling) -> dict[str, tuple[object, ...]]:
    return {name: (getattr(sampling, name),) for name in _NUTS_OPTIONS}


def _options_suffice(parameters: FitParameters) -> bool:
    """Return whether settings without options have defaults, and no label has a comma."""
    rest, default = (one.model_dump(exclude=_WITH_OPTION) for one in (parameters, FitParameters()))
    labels = [label for names in _filters(parameters).values() for label in names]
    return rest == default and not any("," in label for label in labels)
