"""What a reader needs to run a fit again: the command and the versions."""

from __future__ import annotations

import platform
import shlex
from importlib.metadata import version
from typing import Any

from schemas.parameters import FitParameters, Sampling
from tasks.artifacts import PARAMETERS_FILE
from tasks.tracking_run import code_version

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


def import_command(trace: str, dataset_file: str, parameters: FitParameters) -> str:
    """Return the `screenbayes import-trace` command that imports a trace again, in full."""
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
        "draws": (sampling.draws,),
        "chains": (sampling.chains,),
        # The exact engine has no use for these; `auto` may end with NUTS.
        **(_nuts_options(sampling) if parameters.engine != "exact" else {}),
        "seed": (parameters.seed,),
        **_part_and_priors(parameters),
    }
    return _as_words(options)


def _part_and_priors(parameters: FitParameters) -> dict[str, tuple[object, ...]]:
    priors = parameters.priors.model_dump(mode="json")
    return {
        "priors": tuple(f"{name}={prior}" for name, prior in priors.items()),
        **parameters.filters.model_dump(),
    }


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
    """Whether every setting without an option has its default, and no label has a comma in it."""
    rest, default = (one.model_dump(exclude=_WITH_OPTION) for one in (parameters, FitParameters()))
    labels = [label for names in parameters.filters.model_dump().values() for label in names]
    return rest == default and not any("," in label for label in labels)
