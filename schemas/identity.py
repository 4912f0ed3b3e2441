"""What makes two fits the same: the data, how they are read, and the settings.

Only the digests. Looking for a fit that is there already is `tasks.tracking_run`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping

from schemas.dataset import Dataset
from schemas.parameters import FitParameters
from schemas.reports import TableSummary


def data_digest(tables: Iterable[TableSummary]) -> str:
    """Return the SHA-256, in hex, of names and contents of tables, whatever their order."""
    return content_digest({table.table: table.sha256 for table in tables})


def content_digest(contents: Mapping[str, str]) -> str:
    """Return the same of what tells the content of each table, by its name."""
    lines = sorted(f"{name} {content}\n" for name, content in contents.items())
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def parameters_digest(parameters: FitParameters) -> str:
    """Return the SHA-256, in hex, of all settings of a fit."""
    return _digest(parameters.model_dump(mode="json"))


def fit_key(dataset: Dataset, data: str, parameters: FitParameters) -> str:
    """Return the key that fits of the same data with the same settings share.

    `data` is the digest of the tables. Release and paths are labels and places, and no part of it;
    library and units decide what is read from the tables.
    """
    return _digest(
        {
            "dataset": dataset.name,
            "library": dataset.library,
            "rna_units": dataset.rna_units,
            "data": data,
            "parameters": parameters_digest(parameters),
        }
    )


def trace_key(dataset: Dataset, data: str, parameters: FitParameters, trace: str) -> str:
    """Return the key of a trace that was imported; never that of a fit made here.

    `trace` is the digest of its file, the others are as in `fit_key`.
    """
    return _digest({"fit_key": fit_key(dataset, data, parameters), "trace": trace})


def _digest(content: object) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
