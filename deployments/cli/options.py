"""Options that commands share, their conversion to settings, and messages about wrong ones."""

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
from tasks.reading.yaml_file import NotPlainYaml, read_yaml

PRESETS = get_args(PriorPreset)
Several = Parameter(consume_multiple=(1, None), negative="", show_default=False)
PicturesOption = Annotated[
    Pictures,
    Parameter(help="Pictures to draw: all, report (those of the result, atop the report) or none."),
]


RUN_NAMES = "the id of a run, latest, champion, challenger or a release"


class OptionError(UserError):
    """An option is out of bounds or names an unusable file."""


def require_named(what: str, *names: str) -> None:
    """Raise OptionError if one of `names` is empty; `what` says what they name."""
    if not all(name.strip() for name in names):
        raise OptionError(f"expected {what}, got nothing; is a shell variable unset?")


@Parameter(name="*")
@dataclass(frozen=True)
class FitOptions:
    """Settings of a fit as options; None and () keep the default."""

    model: ModelName | None = None
    """m4: the original. m4_zero_mean: with cell-line effects centred on zero. m4_nested: with the
    variance between guides and between lines of real screens. m4_screen: the same for few true
    effects among many genes, and lines and genes that differ in noise. [default: m4_screen; demo:
    m4]"""
    engine: EngineName | None = None
    """How to compute the posterior. exact: integrated, in seconds. gibbs: sampled, m4_nested and
    m4_screen. nuts: sampled, for small screens. auto: exact, or gibbs for m4_screen, or nuts if
    diagnostics of the exact result fail. [default: auto]"""
    sampler: SamplerName | None = None
    """NUTS implementation: nutpie is the fastest, pymc the reference. [default: nutpie]"""
    draws: int | None = None
    """Draws kept per chain (exact: per batch). [default: 2000; demo with nuts: 20000]"""
    tune: int | None = None
    """Tuning steps per chain; nuts only. [default: 2000]"""
    chains: int | None = None
    """Independent chains (exact: batches of draws). [default: 4]"""
    target_accept: float | None = None
    """Target acceptance rate; raise it if draws diverge; nuts only. [default: 0.8]"""
    seed: int | None = None
    """Seed; the same seed, data and versions give the same draws. [default: 103]"""
    genes: Annotated[tuple[str, ...], Several] = ()
    """Genes to fit: SOX10, 6663 or "SOX10 (6663)"; several, or comma-separated. [default: all]"""
    cell_lines: Annotated[tuple[str, ...], Several] = ()
    """Cell lines to fit, as ACH-000000. [default: all]"""
    without_cell_lines: Annotated[tuple[str, ...], Several] = ()
    """Cell lines to exclude, for example a far noisier one. [default: none]"""
    lineages: Annotated[tuple[str, ...], Several] = ()
    """Lineages to fit, as the model table names them. [default: all]"""
    priors: Annotated[tuple[str, ...], Several] = ()
    """as_run, as_written, a YAML file, or single priors such as "mu_beta=Normal(0, 0.5)"; several
    are applied in order. [default: as_run]"""
    parameters: Path | None = None
    """YAML file with any settings of a fit, thresholds and preparation too; options override it."""

    def fit_parameters(self, model: ModelName | None = None, **sampling: int) -> FitParameters:
        """Return the parameters of the fit, with another model and sampling by default.

        Raises OptionError for values out of bounds and for unusable files.
        """
        settings = _read_yaml(self.parameters) if self.parameters else {}
        sampling |= _section(settings, "sampling")
        if model:
            settings.setdefault("model", model)
        for name in ("sampler", "draws", "tune", "chains", "target_accept"):
            if getattr(self, name) is not None:
                sampling[name] = getattr(self, name)
        filters = _section(settings, "filters")
        # Parameters of earlier runs list every setting; in a file by hand an empty filter is an
        # oversight.
        of_run = Filters.model_fields.keys() <= filters.keys() and "contract" in settings
        for name in Filters.model_fields:
            if getattr(self, name):
                filters[name] = _split_names(name, getattr(self, name))
            elif name in filters and not filters[name]:
                if not of_run:
                    raise OptionError(
                        f"filters.{name}: expected at least one name, got {filters[name]!r}; "
                        "remove this setting to fit all"
                    )
                del filters[name]
        for name in ("model", "engine", "seed"):
            if getattr(self, name) is not None:
                settings[name] = getattr(self, name)
        preset = settings.get("priors")
        priors = _preset(preset) if preset in PRESETS else _section(settings, "priors")
        for choice in self.priors:
            priors = _apply_priors(priors, choice)
        settings |= {"sampling": sampling, "filters": filters, "priors": priors}
        return validate_parameters(settings)


OPTION_NAMES = {field.name for field in fields(FitOptions)} - {"priors"}


def validate_parameters(settings: dict[str, Any]) -> FitParameters:
    """Return the parameters of a fit; raise OptionError naming every wrong setting."""
    try:
        return FitParameters.model_validate(settings)
    except ValidationError as error:
        raise OptionError(
            "\n".join(_setting_problem(problem) for problem in error.errors())
        ) from None


def _setting_problem(problem: ErrorDetails) -> str:
    """Return what is wrong with one setting, under the name of its option."""
    *sections, name = (str(part) for part in problem["loc"])
    if problem["type"] == "extra_forbidden":
        return (
            f"{'.'.join([*sections, name])}: there is no such setting{_suggestion(sections, name)}"
        )
    where = _option(name) if name in OPTION_NAMES else ".".join([*sections, name])
    return _describe_problem(where, problem)


def _describe_problem(where: str, problem: ErrorDetails) -> str:
    """Return a pydantic error about an option or setting as a message."""
    if problem["type"] == "value_error":  # our own message, with the value
        return f"{where}: {problem['ctx']['error']}"
    return f"{where}: {problem['msg'].removeprefix('Input ')}, got {problem['input']!r}"


def _option(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def _suggestion(sections: list[str], name: str) -> str:
    """Return the closest name of the section, or all of its names."""
    settings: type[BaseModel] = FitParameters
    for section in sections:
        settings = type(getattr(settings(), section))
    known = list(settings.model_fields)
    near = difflib.get_close_matches(name, known, n=1)
    return f"; did you mean {near[0]}?" if near else f"; there are {', '.join(known)}"


def settings_from_options[Kind: Settings](kind: type[Kind], **options: Any) -> Kind:
    """Return settings made of options; raise OptionError naming every one out of bounds."""
    try:
        return kind(**options)
    except ValidationError as error:
        raise OptionError(
            "\n".join(
                _describe_problem(_option(str(problem["loc"][-1])), problem)
                for problem in error.errors()
            )
        ) from None


def _split_names(option: str, values: tuple[str, ...]) -> list[str]:
    """Split at commas; raise OptionError if nothing is left, which would select everything."""
    names = [part.strip() for value in values for part in value.split(",") if part.strip()]
    if not names:
        raise OptionError(
            f"{_option(option)}: expected at least one name, got {' '.join(values)!r}; "
            "omit the option to fit all"
        )
    return names


def _section(settings: dict[str, Any], name: str) -> dict[str, Any]:
    """Return a copy of a section of a settings file; empty if there is none."""
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
    if path.exists() and not path.is_file():  # reading a pipe could block
        raise OptionError(f"expected a YAML file, {path} is not; correct the path")
    try:
        settings = read_yaml(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise OptionError(f"expected a YAML file, cannot read {path}: {error.strerror}") from error
    except UnicodeDecodeError:
        raise OptionError(f"expected text in UTF-8 in {path}; save it as UTF-8") from None
    except NotPlainYaml as error:
        raise OptionError(f"{path}: {error}; write one `name: value` per line") from None
    if not isinstance(settings, dict):
        raise OptionError(f"expected `name: value` lines in {path}, got {type(settings).__name__}")
    return settings
