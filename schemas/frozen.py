"""The base of settings, datasets and results: what is once made and read back as it was written.

What settings have besides is in `schemas.parameters`.
"""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict

_WORDS = {
    "bfmi": "BFMI",
    "ess": "ESS",
    "lfsr": "local false sign rate",
    "logfc": "log fold change",
    "max": "largest",
    "min": "smallest",
    "p": "p-value",
    "pareto": "Pareto",
    "rhat": "R-hat",
    "rna": "RNA",
    "sd": "SD",
    "tune": "tuning steps",
}


def title_in_words(name: str, _: object = None) -> str:
    """Return what a form calls a field: its name in words, `Smallest RNA SD`."""
    *others, last = name.split("_")
    # The limit comes last in some names, and first in speech.
    words = [last, *others] if last in ("min", "max") else [*others, last]
    text = " ".join(_WORDS.get(word, word) for word in words)
    return text[0].upper() + text[1:]


def _number_fields(schema: dict[str, Any]) -> None:
    """Give each field its place in the form: PostgreSQL keeps no order of keys."""
    for position, field in enumerate(schema.get("properties", {}).values()):
        field["position"] = position


class Frozen(BaseModel):
    """Cannot be changed; no unknown fields, field texts as descriptions, titles in words."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        use_attribute_docstrings=True,
        field_title_generator=title_in_words,
        json_schema_extra=_number_fields,
        ser_json_inf_nan="strings",  # null, the default, is refused when read back
    )
