"""Reads a dataset file (YAML) into a `Dataset` with the full location of every table."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from schemas.base import Frozen
from schemas.dataset import Columns, Controls, Dataset
from schemas.errors import UserError
from schemas.tables.containers import COVARIATE_TABLES, TableName
from schemas.tables.layouts import SUFFIXES, known_file_stems
from schemas.tables.own_columns import role_of
from tasks.reading.storage import (
    MAX_TEXT_BYTES,
    NoSuchFile,
    TextTooLong,
    join,
    list_folder,
    parent,
    read_text,
)
from tasks.reading.yaml_file import NotPlainYaml, read_yaml

NEEDED: tuple[TableName, ...] = ("logfc", "guide_map", "sequence_map", "rna")
TABLES: tuple[TableName, ...] = (*NEEDED, *COVARIATE_TABLES, "model_table")
CONTROLS: tuple[TableName, ...] = ("essential", "nonessential", "expression_addictions")
_SECTIONS: Mapping[object, type[Frozen]] = {"controls": Controls, "columns": Columns}


class DatasetError(UserError):
    """A dataset file is unusable; the message has one line per problem."""

    def __init__(self, location: str, problems: Iterable[str]) -> None:
        super().__init__(
            f"dataset {location}:\n" + "\n".join(f"  {problem}" for problem in problems)
        )


def load_dataset(location: str) -> Dataset:
    """Return the dataset of a dataset file, local or s3://, with the locations of its tables.

    Paths are relative to the folder of the file. Tables of a release folder are found by their
    known names unless the file names them.

    Raises:
        DatasetError: no such file, not YAML, an unknown or missing key, a table not found.
        StorageError: the storage cannot be reached.
    """
    dataset = _read(location)
    here = parent(location)
    found = _find_tables(dataset, location, join(here, dataset.folder)) if dataset.folder else {}

    def places(given: Dataset | Controls, names: tuple[TableName, ...]) -> dict[str, str | None]:
        paths = {name: getattr(given, name) for name in names}
        return {
            name: found.get(name) if path is None else join(here, path)
            for name, path in paths.items()
        }

    return dataset.model_copy(
        update={
            **places(dataset, TABLES),
            "folder": join(here, dataset.folder) if dataset.folder else None,
            "controls": Controls(**places(dataset.controls, CONTROLS)),
        }
    )


def _read(location: str) -> Dataset:
    try:
        content = read_yaml(read_text(location))
    except NoSuchFile as error:
        raise DatasetError(
            location,
            [
                f"expected a file, {error.why}; correct the path: a dataset is a small YAML file "
                "with the locations of tables"
            ],
        ) from None
    except TextTooLong:
        most = f"{MAX_TEXT_BYTES / 1e6:.0f} MB"
        raise DatasetError(
            location,
            [
                f"expected at most {most} of text, it is larger; is it a table? A dataset is a "
                "small YAML file with the locations of tables"
            ],
        ) from None
    except UnicodeDecodeError:
        raise DatasetError(location, ["expected text in UTF-8; save it as UTF-8"]) from None
    except NotPlainYaml as error:
        raise DatasetError(location, [f"{error}; write one `key: value` per line"]) from None
    if not isinstance(content, dict):
        keys = ", ".join(f"`{key}:`" for key in Dataset.model_fields)
        raise DatasetError(
            location, [f"expected keys and values, got {_shown(content)}; the keys are {keys}"]
        )
    try:
        dataset = Dataset.model_validate(content)
    except ValidationError as error:
        raise DatasetError(location, map(explain_key, error.errors())) from None
    if problems := list(_unknown_schemes(dataset)):
        raise DatasetError(location, problems)
    return dataset


def explain_key(error: ErrorDetails) -> str:
    """Return one pydantic error of a `Dataset` as `key: expected ..., got ...; remedy`."""
    key = ".".join(map(str, error["loc"]))
    got = _shown(error["input"])
    context = error.get("ctx", {})
    section = _SECTIONS.get(error["loc"][0]) if error["loc"] else None
    match error["type"]:
        case "missing":
            return f"{key}: expected a value, got none; add a line `{key}: ...`"
        case "extra_forbidden":
            keys = list((section or Dataset).model_fields)
            last = str(error["loc"][-1])
            close = [role_of(last)] if section is Columns and role_of(last) else []
            close = close or difflib.get_close_matches(last.lower(), keys, n=1)
            remedy = f"did you mean `{close[0]}`?" if close else "remove it"
            return f"{key}: expected one of {', '.join(keys)}, got this unknown key; {remedy}"
        case "string_type":
            return f"{key}: expected text, got {got}; write it in quotes"
        case "string_pattern_mismatch":
            return (
                f"{key}: expected letters, digits, blanks and any of _.+- after a first letter or "
                f"digit, got {got}; rename it"
            )
        case "string_too_long":
            most = context["max_length"]
            return f"{key}: expected at most {most} characters, got {got}; shorten it"
        case "string_too_short":
            what = "the name of a column" if section is Columns else "a path or an s3:// address"
            return f"{key}: expected {what}, got {got}; give one"
        case "literal_error":
            return f"{key}: expected {context['expected']}, got {got}; write one of these"
        case "model_type" | "model_attributes_type":
            keys = list((section or Dataset).model_fields)
            return (
                f"{key}: expected the keys {', '.join(keys)}, got {got}; indent them under `{key}:`"
            )
        case _:
            message = error["msg"].removeprefix("Value error, ")
            return f"{key + ': ' if key else ''}{message}; correct it"


def _shown(value: Any) -> str:
    if value is None:
        return "nothing"
    text = repr(value)
    return f"{text if len(text) < 60 else text[:57] + '...'} ({type(value).__name__})"


def _unknown_schemes(dataset: Dataset) -> Iterable[str]:
    given = {name: getattr(dataset, name) for name in ("folder", *TABLES)}
    given |= {f"controls.{name}": getattr(dataset.controls, name) for name in CONTROLS}
    for key, path in given.items():
        if path and "://" in path and not path.startswith("s3://"):
            yield f"{key}: expected a path or an s3:// address, got {path!r}; fetch the file first"


def _find_tables(dataset: Dataset, location: str, folder: str) -> dict[TableName, str]:
    """Return the locations of tables in a release folder, except those the file names."""
    try:
        names = set(list_folder(folder))
    except FileNotFoundError:
        raise DatasetError(
            location, [f"folder: expected a folder, there is no {folder}; correct the path"]
        ) from None
    given = {name for name in TABLES if getattr(dataset, name)}
    given |= {name for name in CONTROLS if getattr(dataset.controls, name)}
    # With an explicit logFC table the folder needs no others: a long table replaces them.
    needed = set() if dataset.logfc else set(NEEDED)
    found: dict[TableName, str] = {}
    problems = []
    for table in (*TABLES, *CONTROLS):
        if table in given:
            continue
        stems = known_file_stems(table, dataset.library)
        candidates = [
            stem + suffix for stem in stems for suffix in SUFFIXES if stem + suffix in names
        ]
        if table in COVARIATE_TABLES and candidates:  # releases may have several: the first name
            stem = candidates[0].partition(".")[0]
            candidates = [name for name in candidates if name.partition(".")[0] == stem]
        key = f"controls.{table}" if table in CONTROLS else table
        if len(candidates) > 1:
            problems.append(
                f"{key}: expected one file in {folder}, got {' and '.join(candidates)}; "
                f"name the one to use: `{key}: ...`"
            )
        elif candidates:
            found[table] = join(folder, candidates[0])
        elif table in needed:
            wanted = {(stem + suffix).lower() for stem in stems for suffix in SUFFIXES}
            near = sorted(name for name in names if name.lower() in wanted)
            got = f"{near[0]} (names are case-sensitive, also `library:`)" if near else "none"
            problems.append(
                f"{key}: expected in {folder} one of {', '.join(stems)} ({', '.join(SUFFIXES)}), "
                f"got {got}; add the file or name another: `{key}: ...`"
            )
    if problems:
        raise DatasetError(location, problems)
    return found
