"""The base classes of settings, datasets and results, which are stored and read back unchanged."""

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
    """Return the title of a field in a form: `Smallest RNA SD` for `min_rna_sd`."""
    *others, last = name.split("_")
    # `rhat_max`, too, is "Largest R-hat".
    words = [last, *others] if last in ("min", "max") else [*others, last]
    text = " ".join(_WORDS.get(word, word) for word in words)
    return text[0].upper() + text[1:]


def _number_fields(schema: dict[str, Any]) -> None:
    """Number the fields for the form: PostgreSQL does not keep the order of keys."""
    for position, field in enumerate(schema.get("properties", {}).values()):
        field["position"] = position


class Frozen(BaseModel):
    """Immutable model without unknown fields; field docstrings are descriptions."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        use_attribute_docstrings=True,
        field_title_generator=title_in_words,
        json_schema_extra=_number_fields,
        ser_json_inf_nan="strings",  # null, the default, cannot be read back
    )


class Settings(Frozen):
    """Base of all settings."""

    def flat(self) -> dict[str, str | int | float]:
        """Return one entry per setting, names joined by dots, lists by commas."""
        return _flatten(self.model_dump())


def _flatten(tree: dict[str, Any], prefix: str = "") -> dict[str, str | int | float]:
    flat: dict[str, str | int | float] = {}
    for key, value in tree.items():
        if isinstance(value, dict):
            flat |= _flatten(value, f"{prefix}{key}.")
        else:
            is_list = value is None or isinstance(value, tuple)
            flat[prefix + key] = ", ".join(value or ()) if is_list else value
    return flat
