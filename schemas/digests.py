"""Digests that define when two fits are the same: data, how they are read, and settings."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping

from schemas.dataset import Dataset
from schemas.parameters import FitParameters
from schemas.reports import TableSummary


def data_digest(tables: Iterable[TableSummary]) -> str:
    """Return the SHA-256, in hex, of names and contents of tables, in any order."""
    return content_digest({table.table: table.sha256 for table in tables})


def content_digest(contents: Mapping[str, str]) -> str:
    """Return the SHA-256, in hex, of digests of the tables by name."""
    lines = sorted(f"{name} {content}\n" for name, content in contents.items())
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def parameters_digest(parameters: FitParameters) -> str:
    """Return the SHA-256, in hex, of all settings of a fit."""
    return _digest(parameters.model_dump(mode="json"))


def fit_key(dataset: Dataset, data: str, parameters: FitParameters) -> str:
    """Return the key shared by fits of the same data with the same settings.

    `data` is the digest of the tables. Release and paths are not part of the key; library, units
    and named columns are, as they decide what is read from the tables.
    """
    content = {
        "dataset": dataset.name,
        "library": dataset.library,
        "rna_units": dataset.rna_units,
        "data": data,
        "parameters": parameters_digest(parameters),
    }
    if dataset.columns.named:
        content["columns"] = json.dumps(dataset.columns.named, sort_keys=True)
    if dataset.copy_number is not None:
        content["copy_number_units"] = dataset.copy_number_units
    return _digest(content)


def trace_key(dataset: Dataset, data: str, parameters: FitParameters, trace: str) -> str:
    """Return the key of an imported trace, which differs from that of any fit.

    `trace` is the digest of its file; the other arguments are those of `fit_key`.
    """
    return _digest({"fit_key": fit_key(dataset, data, parameters), "trace": trace})


def _digest(content: object) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
