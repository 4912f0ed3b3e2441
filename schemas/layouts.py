"""The layouts tables are published in: columns, canonical names, how to tell them apart.

Only names and the recognition of a table from its first bytes and its header. Opening files belongs
in `tasks`; rules about the values belong in `schemas.tables`.
"""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from schemas.screen import TableFormatError, TableName

MISSING_VALUES = ("", "NA", "NaN", "nan")
"""What stands for a missing value, in text and number columns alike."""

UNNAMED = ""
"""The name of a column without one: row labels in most published matrices."""

NUMBER = re.compile(
    r"\s*[+-]?(\d+\.?\d*([eE][+-]?\d+)?|\.\d+([eE][+-]?\d+)?|inf|infinity)\s*", re.I
)
_UNNAMED_ALIASES = ("Unnamed: 0", "__index_level_0__", "index")


@dataclass(frozen=True)
class Layout:
    """One published layout: file column -> canonical column; further columns are ignored."""

    name: str
    table: TableName
    required: Mapping[str, str]
    """Columns that tell the layout; all of them must be there."""
    optional: Mapping[str, str] = field(default_factory=dict)
    """Columns used where they are there."""
    matrix_of: str = ""
    """What every other column is one of (`sequence`, `gene`); empty for a table without such."""

    @property
    def canonical(self) -> dict[str, str]:
        """File column -> canonical column, required and optional."""
        return {**self.required, **self.optional}

    def missing(self, header: Sequence[str]) -> list[str]:
        """Required columns the header does not have."""
        return [column for column in self.required if column not in header]

    def share(self, header: Sequence[str]) -> float:
        """Share of the required columns, those with a name, that the header has."""
        named = [column for column in self.required if column]
        return sum(column in header for column in named) / max(len(named), 1)

    def __str__(self) -> str:
        columns = [column or "(unnamed)" for column in self.required]
        if self.matrix_of:
            columns.append(f"one column a {self.matrix_of}")
        return f"{self.name}: {', '.join(columns)}"


_LONG = {"gene": "gene", "cell_line": "cell_line", "logfc": "logfc"}

LAYOUTS: dict[TableName, tuple[Layout, ...]] = {
    "logfc": (
        Layout(
            "long", "logfc", {**_LONG, "guide": "guide"}, {"replicate": "replicate", "rna": "rna"}
        ),
        # `sgrna_idx` numbers the guides of each gene: only with the gene it is a guide.
        Layout(
            "long_simulated",
            "logfc",
            {**_LONG, "sgrna_idx": "guide_of_gene"},
            {"replicate": "replicate", "rna": "rna"},
        ),
        Layout(
            "long_modelling_frame",
            "logfc",
            {
                "sgrna": "guide",
                "replicate_id": "sequence",
                "lfc": "logfc",
                "hugo_symbol": "gene",
                "depmap_id": "cell_line",
            },
            {"rna_expr": "rna"},
        ),
        Layout("older", "logfc", {"Construct Barcode": "guide"}, matrix_of="sequence"),
        Layout("current", "logfc", {UNNAMED: "guide"}, matrix_of="sequence"),
    ),
    "guide_map": (
        Layout(
            "current",
            "guide_map",
            {
                "sgRNA": "guide",
                "Gene": "gene",
                "nAlignments": "n_alignments",
                "UsedByChronos": "used",
            },
        ),
        Layout(
            "older",
            "guide_map",
            {"sgrna": "guide", "gene": "gene", "n_alignments": "n_alignments"},
        ),
    ),
    "sequence_map": (
        Layout(
            "current",
            "sequence_map",
            {
                "SequenceID": "sequence",
                "ModelID": "cell_line",
                "ScreenType": "screen_type",
                "Library": "library",
                "PassesQC": "passes_qc",
            },
            {"pDNABatch": "pdna_batch", "ExcludeFromCRISPRCombined": "excluded"},
        ),
        Layout(
            "older",
            "sequence_map",
            {"replicate_ID": "sequence", "DepMap_ID": "cell_line", "passes_QC": "passes_qc"},
            {"pDNA_batch": "pdna_batch"},
        ),
    ),
    "rna": (
        Layout(
            "several_profiles",
            "rna",
            {
                "SequencingID": "profile",
                "ModelID": "cell_line",
                "IsDefaultEntryForModel": "is_default",
            },
            {
                UNNAMED: "",  # a running number
                "ModelConditionID": "",
                "IsDefaultEntryForMC": "",
            },
            matrix_of="gene",
        ),
        Layout("one_profile", "rna", {UNNAMED: "cell_line"}, matrix_of="gene"),
    ),
    "model_table": (
        Layout("current", "model_table", {"ModelID": "cell_line", "OncotreeLineage": "lineage"}),
        Layout("older", "model_table", {"DepMap_ID": "cell_line", "lineage": "lineage"}),
    ),
    "essential": (
        Layout("current", "essential", {"Gene": "gene"}),
        Layout("older", "essential", {"gene": "gene"}),
    ),
    "nonessential": (
        Layout("current", "nonessential", {"Gene": "gene"}),
        Layout("older", "nonessential", {"gene": "gene"}),
    ),
    "expression_addictions": (
        Layout("current", "expression_addictions", {"Gene": "gene"}),
        Layout("older", "expression_addictions", {"gene": "gene"}),
    ),
}
"""Layouts by table, the more particular first: the first that fits is taken."""


def free_labels(layout: str) -> bool:
    """Whether guides, genes and lines may have labels of any form: so in long tables."""
    return layout.startswith("long")


SUFFIXES = (".csv", ".csv.gz", ".parquet", ".hdf5")


def known_file_stems(table: TableName, library: str) -> tuple[str, ...]:
    """Names, without suffix, under which a release folder holds a table; the current one first."""
    # The screens of both Humagne sets (`Humagne-CD`) are published in one file.
    library = library.split("-")[0]
    stems: dict[TableName, tuple[str, ...]] = {
        "logfc": (f"{library}LogfoldChange",),
        "guide_map": (f"{library}GuideMap",),
        "sequence_map": ("ScreenSequenceMap",),
        "rna": (
            "OmicsExpressionTPMLogp1HumanProteinCodingGenes",
            "OmicsExpressionProteinCodingGenesTPMLogp1",
            "CCLE_expression",
        ),
        "model_table": ("Model", "sample_info"),
        "essential": ("AchillesCommonEssentialControls", "common_essentials"),
        "nonessential": ("AchillesNonessentialControls", "nonessentials"),
        "expression_addictions": ("RNAiExpressionAddictions",),
    }
    older_avana: dict[TableName, tuple[str, ...]] = {
        "logfc": ("Achilles_logfold_change",),
        "guide_map": ("Achilles_guide_map",),
        "sequence_map": ("Achilles_replicate_map",),
    }
    return stems[table] + (older_avana.get(table, ()) if library == "Avana" else ())


def check_head(table: TableName, location: str, head: bytes) -> None:
    """Refuse, from its first bytes, a text table that is none.

    Raises:
        TableFormatError: `empty_file`, `html_page`, `wrong_format`, `wrong_delimiter` or
            `repeated_header`.
    """

    def refuse(rule: str, message: str, mend: str) -> TableFormatError:
        return TableFormatError(table, location, rule, message, mend)

    start = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    if not start:
        raise refuse("empty_file", "expected a table, the file is empty", "fetch it again")
    if start[:14].lower().startswith((b"<!doctype", b"<html", b"<head", b"<?xml")):
        raise refuse(
            "html_page",
            f"expected a table, got a web page that begins {start[:40].decode(errors='replace')!r}",
            "fetch the file itself; a login or error page was saved under its name",
        )
    for magic, what in (
        (b"PK\x03\x04", "a zip or Excel"),
        (b"PAR1", "a Parquet"),
        (b"\x89HDF", "an HDF5"),
    ):
        if start.startswith(magic):
            raise refuse(
                "wrong_format",
                f"expected comma-separated text, got {what} file",
                f"save it as CSV or give it its own suffix ({', '.join(SUFFIXES)} are read)",
            )
    lines = start.split(b"\n", 2)
    if b"," not in lines[0]:
        for delimiter, what in ((b"\t", "tabs"), (b";", "semicolons")):
            if delimiter in lines[0]:
                raise refuse(
                    "wrong_delimiter",
                    f"expected columns separated by commas, the header has {what}",
                    "save the table comma-separated",
                )
    if len(lines) == 3 and lines[0] == lines[1]:
        raise refuse(
            "repeated_header", "the header stands twice, on lines 1 and 2", "delete one of them"
        )


def parse_header(table: TableName, location: str, line: bytes) -> tuple[str, ...]:
    """Return the column names of the first line; a column without a name is `UNNAMED`.

    Raises:
        TableFormatError: `not_utf8` or `damaged_file`.
    """
    try:
        text = line.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise TableFormatError(
            table,
            location,
            "not_utf8",
            f"expected UTF-8 text, line 1 has the byte {line[error.start]:#04x}",
            "save the table as UTF-8",
        ) from None
    try:
        names = next(csv.reader([text])) or [UNNAMED]
    except csv.Error:
        raise TableFormatError(
            table,
            location,
            "damaged_file",
            "expected lines that end with a line feed, the header has a carriage return alone",
            "save the table as plain CSV",
        ) from None
    return name_columns(names)


def name_columns(names: Sequence[str]) -> tuple[str, ...]:
    """Return the names; what libraries write over a first column without one becomes `UNNAMED`."""
    first, *others = names
    return (UNNAMED if first in _UNNAMED_ALIASES else first, *others)


def recognise(table: TableName, location: str, header: Sequence[str]) -> Layout:
    """Return the first layout of the table that fits the header.

    Raises:
        TableFormatError: `unknown_layout`, or `duplicate_column` where a column of the layout
            stands twice (columns of a matrix may; their labels are checked with the values).
    """
    for layout in LAYOUTS[table]:
        if layout.missing(header):
            continue
        if layout.matrix_of and not _reads_as_matrix(layout, header):
            continue
        times = Counter(header)
        twice = [column for column in layout.canonical if column and times[column] > 1]
        if twice:
            raise TableFormatError(
                table,
                location,
                "duplicate_column",
                f"expected each column once, got twice: {', '.join(twice)}",
                "delete or rename one of them",
            )
        return layout

    closest = max(LAYOUTS[table], key=lambda layout: layout.share(header))
    missing = ", ".join(closest.missing(header))
    lacks = f"; for {closest.name} it lacks {missing}" if missing and closest.share(header) else ""
    came = ", ".join(name or "(unnamed)" for name in header[:12])
    more = f", ... ({len(header)} columns)" if len(header) > 12 else ""
    raise TableFormatError(
        table,
        location,
        "unknown_layout",
        f"expected the columns of one of [{'] ['.join(map(str, LAYOUTS[table]))}], "
        f"got {came}{more}{lacks}",
        "name the right file or rename its columns",
    )


def _reads_as_matrix(layout: Layout, header: Sequence[str]) -> bool:
    """Whether the row labels come first and no other column is known from another layout.

    An unnamed first column alone would make a matrix of every table saved with its row numbers.
    """
    others = {name for other in LAYOUTS[layout.table] for name in other.required if name}
    labels = set(header) - set(layout.canonical)
    return header[0] in layout.canonical and bool(labels) and not labels & others
