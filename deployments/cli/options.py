"""Options that commands share, their conversion to settings, and messages about wrong ones."""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import Annotated, Any, get_args

from cyclopts import CycloptsError, Parameter
from pydantic import BaseModel, ValidationError, field_validator
from pydantic_core import ErrorDetails

from schemas.base import Frozen
from schemas.errors import UserError
from schemas.parameters import (
    EngineName,
    Filters,
    FitParameters,
    ModelName,
    Pictures,
    PriorPreset,
    Priors,
    Sampling,
)
from tasks.reading.yaml_file import NotPlainYaml, read_yaml

PRESETS = get_args(PriorPreset)
FLAT = Parameter(name="*")
"""Of settings whose fields are options, described by the texts under the fields."""
HIDDEN = Parameter(parse=False)
"""Of a field that is no option."""
SEVERAL = Parameter(consume_multiple=(1, None), negative="", show_default=False)
PicturesOption = Annotated[
    Pictures,
    Parameter(
        help="Pictures to draw: report (of the result and its checks), all or none, which leaves "
        "out the gene explorer too."
    ),
]


RUN_NAMES = "the id of a run or its first characters, latest, champion, challenger or a release"


class OptionError(UserError):
    """An option is out of bounds or names an unusable file."""


def require_named(what: str, *names: str) -> None:
    """Raise OptionError if one of `names` is empty; `what` says what they name."""
    if not all(name.strip() for name in names):
        raise OptionError(f"expected {what}, got nothing; is a shell variable unset?")


def setting(of: type[BaseModel], name: str) -> Any:
    """Return a field of settings, with its default, limits and text, for a class of options."""
    return of.model_fields[name]


class FilterOptions(Filters):
    """Filters as options: values may be separated by commas, or in a file, one per line (@FILE)."""

    genes: Annotated[tuple[str, ...] | None, SEVERAL] = setting(Filters, "genes")
    cell_lines: Annotated[tuple[str, ...] | None, SEVERAL] = setting(Filters, "cell_lines")
    without_cell_lines: Annotated[tuple[str, ...] | None, SEVERAL] = setting(
        Filters, "without_cell_lines"
    )
    lineages: Annotated[tuple[str, ...] | None, SEVERAL] = setting(Filters, "lineages")

    @field_validator("*", mode="before")
    @classmethod
    def _split(cls, values: tuple[str, ...]) -> tuple[str, ...]:
        """Split at commas, and at the lines of a file; nothing left would select everything."""
        parts = (
            _lines(Path(value[1:])) if value.startswith("@") else value.split(",")
            for value in values
        )
        names = [name.strip() for part in parts for name in part if name.strip()]
        if not names:
            raise ValueError(
                f"expected at least one name, got {' '.join(values)!r}; omit the option to fit all"
            )
        return tuple(names)


@FLAT
class FitOptions(Frozen):
    """Settings of a fit that have options."""

    model: ModelName = setting(FitParameters, "model")
    engine: EngineName = setting(FitParameters, "engine")
    sampling: Annotated[Sampling, FLAT] = Sampling()
    seed: int = setting(FitParameters, "seed")
    filters: Annotated[FilterOptions, FLAT] = FilterOptions()
    priors: Annotated[tuple[str, ...], SEVERAL] = ()
    """as_run, as_written, a YAML file, or single priors such as "mu_beta=Normal(0, 0.5)"; several
    are applied in order. [default: as_run]"""
    parameters: Path | None = None
    """YAML file with any settings of a fit, thresholds and preparation too; options override it."""

    def fit_parameters(self, model: ModelName | None = None, **sampling: int) -> FitParameters:
        """Return the parameters of the fit, with another model and sampling by default.

        Raises OptionError for values out of bounds and for unusable files.
        """
        settings = _read_yaml(self.parameters) if self.parameters else {}
        given = self.model_dump(exclude_unset=True, exclude={"priors", "parameters"})
        sampling |= _section(settings, "sampling") | given.pop("sampling", {})
        filters = _section(settings, "filters") | given.pop("filters", {})
        # Parameters of earlier runs list every setting; in a file by hand an empty filter is an
        # oversight.
        of_run = Filters.model_fields.keys() <= filters.keys() and "contract" in settings
        for name in Filters.model_fields:
            if not filters.get(name, True):
                if not of_run:
                    raise OptionError(
                        f"filters.{name}: expected at least one name, got {filters[name]!r}; "
                        "remove this setting to fit all"
                    )
                del filters[name]
        preset = settings.get("priors")
        priors = _preset(preset) if preset in PRESETS else _section(settings, "priors")
        for choice in self.priors:
            priors = _apply_priors(priors, choice)
        if model:
            settings.setdefault("model", model)
        sections = {"sampling": sampling, "filters": filters, "priors": priors}
        return validate_parameters(settings | given | sections)


def validate_parameters(settings: dict[str, Any]) -> FitParameters:
    """Return the parameters of a fit; raise OptionError naming every wrong setting."""
    try:
        return FitParameters.model_validate(settings)
    except ValidationError as error:
        raise OptionError(
            "\n".join(_setting_problem(problem) for problem in error.errors())
        ) from None


def describe_usage_error(error: CycloptsError) -> str:
    """Return what is wrong with the options of a command."""
    if not isinstance(error.__cause__, ValidationError):
        return str(error)
    return "\n".join(
        _describe_problem(_option(problem["loc"]), problem) for problem in error.__cause__.errors()
    )


def _setting_problem(problem: ErrorDetails) -> str:
    """Return what is wrong with one setting, under the name of its option if it has one."""
    *sections, name = (str(part) for part in problem["loc"])
    where = ".".join([*sections, name])
    if problem["type"] == "extra_forbidden":
        return f"{where}: there is no such setting{_suggestion(sections, name)}"
    has_option = name in FitOptions.model_fields or sections == ["sampling"]
    return _describe_problem(_option(problem["loc"]) if has_option else where, problem)


def _describe_problem(where: str, problem: ErrorDetails) -> str:
    """Return a pydantic error about an option or setting as a message."""
    if problem["type"] == "value_error":  # our own message, with the value
        return f"{where}: {problem['ctx']['error']}"
    return f"{where}: {problem['msg'].removeprefix('Input ')}, got {problem['input']!r}"


def _option(location: tuple[int | str, ...]) -> str:
    """Return the option of a setting; settings that begin or end with `max` have one without."""
    *_, name = (part for part in location if isinstance(part, str))
    return f"--{name.removeprefix('max_').removesuffix('_max').replace('_', '-')}"


def _suggestion(sections: list[str], name: str) -> str:
    """Return the closest name of the section, or all of its names."""
    settings: type[BaseModel] = FitParameters
    for section in sections:
        settings = type(getattr(settings(), section))
    known = list(settings.model_fields)
    near = difflib.get_close_matches(name, known, n=1)
    return f"; did you mean {near[0]}?" if near else f"; there are {', '.join(known)}"


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


def _lines(path: Path) -> list[str]:
    return _read_text(path, "a file of names").splitlines()


def _read_text(path: Path, what: str) -> str:
    if path.exists() and not path.is_file():  # reading a pipe could block
        raise OptionError(f"expected {what}, {path} is not; correct the path")
    try:
        return path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise OptionError(f"expected {what}, cannot read {path}: {error.strerror}") from error
    except UnicodeDecodeError:
        raise OptionError(f"expected text in UTF-8 in {path}; save it as UTF-8") from None


def _read_yaml(path: Path) -> dict[str, Any]:
    try:
        settings = read_yaml(_read_text(path, "a YAML file"))
    except NotPlainYaml as error:
        raise OptionError(f"{path}: {error}; write one `name: value` per line") from None
    if not isinstance(settings, dict):
        raise OptionError(f"expected `name: value` lines in {path}, got {type(settings).__name__}")
    return settings
