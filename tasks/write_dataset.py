"""Writes a dataset, or tables in memory, as files that a fit can read and be repeated from."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import yaml
from pydantic import ValidationError

from schemas.dataset import Dataset
from schemas.errors import UserError
from schemas.tables.containers import TableName
from tasks.reading.dataset_file import CONTROLS, TABLES, explain_key
from tasks.runtime.files import write_atomic

FOLDER = Path("screenbayes-tables")
"""Folder, in the working folder, of what was in memory."""
DATASET_FILE = "dataset.yaml"
DEFAULTS = {"name": "notebook", "release": "1"}
"""Of tables without a name."""

Tables = Mapping[TableName, pd.DataFrame]
Data = str | Path | Dataset | pd.DataFrame | Tables
"""A dataset file, its contents, a long table, or several tables by name."""


class NotADataset(UserError):
    """What was given is no dataset."""


def dataset_file(data: Data, about: Mapping[str, Any] | None = None) -> str:
    """Return the path or address of a dataset file; write it if the data are in memory.

    A table is written as CSV, with its index unless that numbers the rows. `about` has the other
    keys of the file (docs/datasets.md), such as `name` and `release`. Files go to
    `screenbayes-tables/NAME RELEASE/` of the working folder and replace those of an earlier call.

    Raises:
        NotADataset: a table or key is unknown, or needed and missing.
    """
    if isinstance(data, str | Path):
        if about:
            raise NotADataset(f"expected no `about` with a dataset file, got {dict(about)!r}")
        return str(data)
    if isinstance(data, Dataset):
        return _write(data, {})
    tables: dict[Any, pd.DataFrame] = (
        {"logfc": data} if isinstance(data, pd.DataFrame) else dict(data)
    )
    if unknown := set(tables) - {*TABLES, *CONTROLS}:
        raise NotADataset(
            f"expected tables named {', '.join((*TABLES, *CONTROLS))}, got "
            f"{', '.join(sorted(map(str, unknown)))}; rename them"
        )
    paths = {name: f"{name}.csv" for name in tables}
    content: dict[str, Any] = {**DEFAULTS, **(about or {})}
    content |= {name: path for name, path in paths.items() if name in TABLES}
    content["controls"] = {name: path for name, path in paths.items() if name in CONTROLS}
    try:
        dataset = Dataset.model_validate(content)
    except ValidationError as error:
        raise NotADataset("\n".join(map(explain_key, error.errors()))) from None
    return _write(dataset, {paths[name]: table for name, table in tables.items()})


def _write(dataset: Dataset, tables: Mapping[str, pd.DataFrame]) -> str:
    """Write tables by file name, then the dataset file; return its path."""
    folder = FOLDER / f"{dataset.name} {dataset.release}"
    folder.mkdir(parents=True, exist_ok=True)
    for file, table in tables.items():
        index = not isinstance(table.index, pd.RangeIndex)
        write_atomic(folder / file, table.to_csv(index=index).encode())
    content = dataset.model_dump(exclude_unset=True, exclude_none=True)
    if not tables:  # its paths are relative to the working folder
        content = {key: _absolute(key, value) for key, value in content.items()}
    text = yaml.safe_dump(content, sort_keys=False)
    write_atomic(folder / DATASET_FILE, text.encode())
    return str(folder / DATASET_FILE)


def _absolute(key: str, value: Any) -> Any:
    if isinstance(value, dict):
        return value if key == "columns" else {one: _absolute(one, value[one]) for one in value}
    is_path = key in ("folder", *TABLES, *CONTROLS) and "://" not in value
    return str(Path(value).resolve()) if is_path else value
