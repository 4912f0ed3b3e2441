"""Recognition of the layout of a table by its header.

Tables of other kinds are named in errors.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from types import MappingProxyType

from schemas.tables.containers import TableFormatError, TableName
from schemas.tables.foreign import foreign_source
from schemas.tables.layouts import GENE_EFFECTS, LAYOUTS, OWN, UNNAMED, Layout, known_file_stems
from schemas.tables.own_columns import lacking_roles, own_layout

OF_PROGRAMS = ("long_simulated", "long_modelling_frame")
"""Long layouts whose columns have other meanings than those of `schemas.tables.own_columns`."""


def recognise(
    table: TableName,
    location: str,
    header: Sequence[str],
    mapping: Mapping[str, str] = MappingProxyType({}),
) -> Layout:
    """Return the first layout of the table that matches the header.

    `mapping`: role -> column of an own logFC table (`columns` of the dataset file).

    Raises:
        TableFormatError: `unknown_layout`, `foreign_table` or `other_table`; `unnamed_column`
            or `transposed` of a matrix; `duplicate_column` where a column of the
            layout is repeated (repeated columns of a matrix are checked with the values);
            `mapped_column_missing` or `ambiguous_column` of an own logFC table.
    """
    of_program = any(
        layout.name in OF_PROGRAMS and not layout.missing(header) for layout in LAYOUTS[table]
    )
    own = None
    if table == "logfc" and (mapping or not of_program):
        own = own_layout(location, header, mapping)
    if own is not None:
        if own.matrix_of:
            _require_no_other(table, location, header)
            _require_own_matrix(own, location, header)
        _require_once(own, location, header)
        return own
    # Tables of their own kind before matrices, which may have columns of any name.
    for layout in sorted(LAYOUTS[table], key=lambda one: bool(one.matrix_of)):
        if layout.missing(header):
            continue
        if layout.matrix_of:
            _require_no_other(table, location, header)
            if not _reads_as_matrix(layout, header):
                continue
            if layout.name == GENE_EFFECTS and not most_match(_GENE, header[1:]):
                continue
            _require_own_matrix(layout, location, header)
        _require_once(layout, location, header)
        return layout
    _require_no_other(table, location, header)

    # A matrix may have all its columns, and others besides that belong to another layout.
    incomplete = [layout for layout in LAYOUTS[table] if layout.missing(header)]
    closest = max(incomplete or LAYOUTS[table], key=lambda layout: layout.share(header))
    missing = ", ".join(closest.missing(header))
    lacks = f"; for {closest.name} it lacks {missing}" if missing and closest.share(header) else ""
    remedy = "name the right file or rename its columns"
    if table == "logfc":
        remedy += "; the dataset file may say which they are: columns: {guide: ..., logfc: ...}"
    if roles := lacking_roles(header) if table == "logfc" else []:
        lacks = f"; for a long table it lacks {', '.join(roles)}"
        mapped = f"columns: {{{', '.join(f'{role}: ...' for role in roles)}}}"
        remedy = f"add it, or say in the dataset file which column it is: {mapped}"
    came = ", ".join(name or "(unnamed)" for name in header[:12])
    more = f", ... ({len(header)} columns)" if len(header) > 12 else ""
    names = {layout.name: str(layout) for layout in reversed(LAYOUTS[table])}
    raise TableFormatError(
        table,
        location,
        "unknown_layout",
        f"expected the columns of one of [{'] ['.join(reversed(names.values()))}], "
        f"got {came}{more}{lacks}",
        remedy,
    )


def _require_once(layout: Layout, location: str, header: Sequence[str]) -> None:
    times = Counter(header)
    twice = [column for column in layout.canonical if column and times[column] > 1]
    if twice:
        raise TableFormatError(
            layout.table,
            location,
            "duplicate_column",
            f"expected each column once, got twice: {', '.join(twice)}",
            "delete or rename one of them",
        )


def _require_no_other(table: TableName, location: str, header: Sequence[str]) -> None:
    """Raise an error for a table of another kind, or of another source than a release."""
    files = " or ".join(known_file_stems(table, "Avana"))
    for other, layouts in LAYOUTS.items():
        published = (layout for layout in layouts if layout.name != OWN)
        for layout in published if other != table else ():
            n_columns = len(list(filter(None, layout.required)))
            if not (layout.matrix_of or layout.missing(header)) and n_columns > 1:
                raise TableFormatError(
                    table,
                    location,
                    "other_table",
                    f"expected {table}, the columns are those of {other}: "
                    f"{', '.join(layout.required)}",
                    f"name this file as `{other}`, and {files} or its like as `{table}`",
                )
    if source := foreign_source(header):
        raise TableFormatError(
            table,
            location,
            "foreign_table",
            f"expected a table of a DepMap release, got {source}",
            f"fetch {files} of a release (portal, Downloads, All data) in its place",
        )


def _require_own_matrix(layout: Layout, location: str, header: Sequence[str]) -> None:
    if UNNAMED in header[1:]:
        at = ", ".join(str(place + 1) for place, name in enumerate(header) if place and not name)
        raise TableFormatError(
            layout.table,
            location,
            "unnamed_column",
            f"expected a name of each column but the first, got none of column {at} of "
            f"{len(header)}",
            "name the column, or remove it",
        )
    labels = header[1:]
    rows, turned = ("guides", _GUIDE) if layout.matrix_of == "sequence" else ("cell lines", _LINE)
    if most_match(turned, labels):
        raise TableFormatError(
            layout.table,
            location,
            "transposed",
            f"expected {rows} x {layout.matrix_of}s, the columns are {rows} "
            f"({', '.join(labels[:3])})",
            "transpose the table",
        )


_GENE, _GUIDE, _LINE = r"\S+ \(\d+\)", r"[ACGT]{19,23}", r"ACH-\d{6}"


def most_match(pattern: str, labels: Sequence[str]) -> bool:
    """Return whether more than half of the labels match a pattern as a whole."""
    return 2 * sum(re.fullmatch(pattern, label) is not None for label in labels) > len(labels)


def _reads_as_matrix(layout: Layout, header: Sequence[str]) -> bool:
    """Whether the row labels come first and no other column belongs to another layout.

    Otherwise every table saved with unnamed row numbers would be recognised as a matrix.
    """
    others = {name for other in LAYOUTS[layout.table] for name in other.required if name}
    labels = set(header) - set(layout.canonical)
    return header[0] in layout.canonical and bool(labels) and not labels & others
