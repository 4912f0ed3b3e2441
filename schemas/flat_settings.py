"""Settings of a fit by their own names, without the sections they are in."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from schemas.errors import UserError
from schemas.formatting import setting_problems
from schemas.parameters import FitParameters
from schemas.suggestions import suggestion

SECTIONS = ("filters", "sampling")
"""Sections whose settings may be named without them."""


class WrongSetting(UserError):
    """A setting does not exist, or its value is out of bounds."""


def with_settings(parameters: FitParameters, settings: Mapping[str, Any]) -> FitParameters:
    """Return the parameters with other values of some settings.

    Settings are named as the fields of `FitParameters` and of its sections `filters` and
    `sampling`. Raises WrongSetting.

        >>> with_settings(FitParameters(), {"model": "m4", "genes": ["MYB"]}).filters.genes
        ('MYB',)
    """
    section_of = {
        name: section
        for section in SECTIONS
        for name in type(getattr(parameters, section)).model_fields
    }
    changed = parameters.model_dump(exclude_unset=True)
    for name, value in settings.items():
        if name in FitParameters.model_fields:
            changed[name] = value
        elif name in section_of:
            section = section_of[name]
            changed[section] = {**_as_dict(changed.get(section, {})), name: value}
        else:
            known = [*FitParameters.model_fields, *section_of]
            raise WrongSetting(
                f"expected a setting of a fit, got {name!r}{suggestion(name, known)}; there are "
                f"{', '.join(known)}"
            )
    try:
        return FitParameters.model_validate(changed)
    except ValidationError as error:
        raise WrongSetting("\n".join(setting_problems(error))) from None


def _as_dict(section: Any) -> dict[str, Any]:
    return dict(section) if isinstance(section, Mapping) else section.model_dump(exclude_unset=True)
