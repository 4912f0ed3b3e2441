"""Options of commands: those that fits share, and how they become settings.

What is said of a wrong one is here too.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated, Any, get_args

from cyclopts import Parameter
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from schemas.errors import UserError
from schemas.parameters import (
    EngineName,
    Filters,
    FitParameters,
    ModelName,
    Pictures,
    PriorPreset,
    Priors,
    SamplerName,
    Settings,
)
from tasks.plain_yaml import NotPlainYaml, read_yaml

PRESETS = get_args(PriorPreset)
Several = Parameter(consume_multiple=(1, None), negative="", show_default=False)
PicturesOption = Annotated[
    Pictures,
    Parameter(
        help="Pictures to draw: all, report (those of the result, which the report begins with) or "
        "none."
    ),
]


RUN_NAMES = "the id of a run, latest, champion, challenger or a release"


class OptionError(UserError):
    """An option out of bounds, or one that names a file which cannot be used."""


def require_named(what: str, *names: str) -> None:
    """Raise OptionError where nothing is given for a thing that has to be named."""
    if not all(name.strip() for name in names):
        raise OptionError(
            f"expected {what}, got nothing; a variable in its place may not be set in this shell"
        )


@Parameter(name="*")
@dataclass(frozen=True)
class FitOptions:
    """What an analyst can choose; whatever is left out keeps its default."""

    model: ModelName | None = None
    """m4: the original. m4_zero_mean: the same with cell-line effects centred on zero. m4_nested:
    with the variance between guides and between lines that real screens have; the one to use on
    them. [default: m4]"""
    engine: EngineName | None = None
    """How the posterior is computed. exact: integrated, in seconds. nuts: sampled, any model.
    auto: exact, and nuts where the exact result cannot be relied on. [default: auto]"""
    sampler: SamplerName | None = None
    """Which NUTS: nutpie is the fastest, pymc the reference; nuts only. [default: nutpie]"""
    draws: int | None = None
    """Draws kept a chain (exact: a batch), of which there are --chains. [default: 2000; demo with
    nuts: 20000]"""
    tune: int | None = None
    """Tuning steps a chain; nuts only. [default: 2000]"""
    chains: int | None = None
    """Independent chains (exact: batches of draws). [default: 4]"""
    target_accept: float | None = None
    """Acceptance rate to tune for; raise it when draws diverge; nuts only. [default: 0.8]"""
    seed: int | None = None
    """Seed; the same seed, data and versions give the same draws. [default: 103]"""
    genes: Annotated[tuple[str, ...], Several] = ()
    """Genes to fit: SOX10, 6663 or "SOX10 (6663)"; several, or with commas. [default: all]"""
    cell_lines: Annotated[tuple[str, ...], Several] = ()
    """Cell lines to fit, as ACH-000000. [default: all]"""
    without_cell_lines: Annotated[tuple[str, ...], Several] = ()
    """Cell lines to leave out, as one that is far noisier than the others. [default: none]"""
    lineages: Annotated[tuple[str, ...], Several] = ()
    """Lineages to fit, as the model table names them. [default: all]"""
    priors: Annotated[tuple[str, ...], Several] = ()
    """as_run, as_written, a YAML file, or single priors such as "mu_beta=Normal(0, 0.5)"; several
    are applied in turn. [default: as_run]"""
    parameters: Path | None = None
    """YAML file with any settings of a fit, thresholds and preparation too; options win over it."""

    def fit_parameters(self, **defaults: int) -> FitParameters:
        """Return the parameters of the fit; `defaults` are sampling settings the options override.

        Raises OptionError for values out of bounds and for files that cannot be used.
        """
        settings = _read_yaml(self.parameters) if self.parameters else {}
        sampling = defaults | _section(settings, "sampling")
        for name in ("sampler", "draws", "tune", "chains", "target_accept"):
            if getattr(self, name) is not None:
                sampling[name] = getattr(self, name)
        filters = _section(settings, "filters")
        for name in Filters.model_fields:
            if getattr(self, name):
                filters[name] = _names(name, getattr(self, name))
        for name in ("model", "engine", "seed"):
            if getattr(self, name) is not None:
                settings[name] = getattr(self, name)
        preset = settings.get("priors")
        priors = _preset(preset) if preset in PRESETS else _section(settings, "priors")
        for choice in self.priors:
            priors = _apply_priors(priors, choice)
        settings |= {"sampling": sampling, "filters": filters, "priors": priors}
        return validated_parameters(settings)


OPTION_NAMES = {field.name for field in fields(FitOptions)} - {"priors"}


def validated_parameters(settings: dict[str, Any]) -> FitParameters:
    """Return the parameters of a fit; raise OptionError naming every setting that is wrong."""
    try:
        return FitParameters.model_validate(settings)
    except ValidationError as error:
        raise OptionError("\n".join(_problem(problem) for problem in error.errors())) from None


def _problem(problem: ErrorDetails) -> str:
    """Say what is wrong with one setting, by the name its option has."""
    *sections, name = (str(part) for part in problem["loc"])
    if problem["type"] == "extra_forbidden":
        return f"{'.'.join([*sections, name])}: there is no such setting{_near(sections, name)}"
    where = _option(name) if name in OPTION_NAMES else ".".join([*sections, name])
    return _said(where, problem)


def _said(where: str, problem: ErrorDetails) -> str:
    """Return what pydantic says of an option or setting, in the words of all messages."""
    if problem["type"] == "value_error":  # ours: says what came
        return f"{where}: {problem['ctx']['error']}"
    return f"{where}: {problem['msg'].removeprefix('Input ')}, got {problem['input']!r}"


def _option(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def _near(sections: list[str], name: str) -> str:
    """Return the names the section has, the nearest first where one is near."""
    settings: type[BaseModel] = FitParameters
    for section in sections:
        settings = type(getattr(settings(), section))
    known = list(settings.model_fields)
    near = difflib.get_close_matches(name, known, n=1)
    return f"; did you mean {near[0]}?" if near else f"; there are {', '.join(known)}"


def checked[Kind: Settings](kind: type[Kind], **options: Any) -> Kind:
    """Return settings made of options; raise OptionError naming every one that is out of bounds."""
    try:
        return kind(**options)
    except ValidationError as error:
        raise OptionError(
            "\n".join(
                _said(_option(str(problem["loc"][-1])), problem) for problem in error.errors()
            )
        ) from None


def _names(option: str, values: tuple[str, ...]) -> list[str]:
    """Split at commas; refuse what names nothing, which would mean everything."""
    names = [part.strip() for value in values for part in value.split(",") if part.strip()]
    if not names:
        raise OptionError(
            f"{_option(option)}: expected at least one name, got {' '.join(values)!r}; "
            "leave the option out to fit all"
        )
    return names


def _section(settings: dict[str, Any], name: str) -> dict[str, Any]:
    """Return a copy of a section of a settings file; an empty one is as good as none."""
    section = settings.get(name) or {}
    if not isinstance(section, dict):
        raise OptionError(f"{name}: expected `name: value` lines, got {section!r}")
    return dict(section)


def _preset(name: Any) -> dict[str, Any]:
    return Priors.preset(name).model_dump(mode="json")


def _apply_priors(priors: dict[str, Any], choice: str) -> dict[str, Any]:
    if choice in PRESETS:
        return _preset(choice)
    name, equals, prior = choice.partition("=")
    if equals:
        return priors | {name.strip(): prior.strip()}
    if not Path(choice).exists():
        raise OptionError(
            f"--priors: expected {', '.join(PRESETS)}, a YAML file, or a prior such as "
            f"mu_beta=Normal(0, 1); got {choice!r}"
        )
    return priors | _read_yaml(Path(choice))


def _read_yaml(path: Path) -> dict[str, Any]:
    if path.exists() and not path.is_file():  # a pipe would be waited for
        raise OptionError(f"expected a YAML file, {path} is none; correct the path")
    try:
        settings = read_yaml(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise OptionError(f"expected a YAML file, cannot read {path}: {error.strerror}") from error
    except UnicodeDecodeError:
        raise OptionError(f"expected text in UTF-8 in {path}; save it as UTF-8") from None
    except NotPlainYaml as error:
        raise OptionError(f"{path}: {error}; write one `name: value` a line") from None
    if not isinstance(settings, dict):
        raise OptionError(f"expected `name: value` lines in {path}, got {type(settings).__name__}")
    return settings
