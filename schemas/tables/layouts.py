"""The published layouts of tables: columns, canonical names, recognition.

A layout is recognised from the first bytes and the header of a file.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from schemas.tables.containers import TableFormatError, TableName
from schemas.tables.foreign import foreign_source

MISSING_VALUES = ("", "NA", "NaN", "nan")
"""Texts that mean a missing value, in text and number columns."""

UNNAMED = ""
"""Name of an unnamed column: row labels in most published matrices."""

NUMBER = re.compile(
    r"\s*[+-]?(\d+\.?\d*([eE][+-]?\d+)?|\.\d+([eE][+-]?\d+)?|inf|infinity)\s*",
    re.I | re.ASCII,  # a no-break space is no blank of a number
)


@dataclass(frozen=True)
class Layout:
    """One published layout: file column -> canonical column; further columns are ignored.

    Of two columns for the same canonical one, the first that the file has is used.
    """

    name: str
    table: TableName
    required: Mapping[str, str]
    """Required columns, which identify the layout."""
    optional: Mapping[str, str] = field(default_factory=dict)
    """Columns that are used if present."""
    matrix_of: str = ""
    """Kind of all other columns of a matrix (`sequence`, `gene`); empty for other tables."""

    @property
    def canonical(self) -> dict[str, str]:
        """File column -> canonical column, required and optional."""
        return {**self.required, **self.optional}

    def missing(self, header: Sequence[str]) -> list[str]:
        """Return the required columns that the header lacks."""
        return [column for column in self.required if column not in header]

    def share(self, header: Sequence[str]) -> float:
        """Return the share of the required named columns that the header has."""
        named = [column for column in self.required if column]
        return sum(column in header for column in named) / max(len(named), 1)

    def __str__(self) -> str:
        columns = [column or "(unnamed)" for column in self.required]
        if self.matrix_of:
            columns.append(f"one column per {self.matrix_of}")
        return f"{self.name}: {', '.join(columns)}"


_PROFILES = {
    "SequencingID": "profile",
    "ModelID": "cell_line",
    "IsDefaultEntryForModel": "is_default",
}
_UNUSED = {
    UNNAMED: "",  # a running number
    "ModelConditionID": "",
    "IsDefaultEntryForMC": "",
}


def _by_profile(table: TableName, value: str) -> tuple[Layout, ...]:
    """Return the layouts of a table of cell lines x genes.

    `value`: the column of values in the tables of the R package depmap, one row per value.
    """
    names = ("ModelID", "DepMap_ID", "depmap_id", "model_id", "cell_line")
    long = {"depmap_id": "cell_line", "gene": "gene", value: "value"}
    return (
        Layout("several_profiles", table, _PROFILES, _UNUSED, matrix_of="gene"),
        Layout("one_profile", table, {UNNAMED: "cell_line"}, matrix_of="gene"),
        *(Layout("one_profile_named", table, {n: "cell_line"}, matrix_of="gene") for n in names),
        Layout("one_value_per_row", table, long),
    )


_LONG = {"gene": "gene", "cell_line": "cell_line", "logfc": "logfc"}

LAYOUTS: dict[TableName, tuple[Layout, ...]] = {
    "logfc": (
        Layout(
            "long", "logfc", {**_LONG, "guide": "guide"}, {"replicate": "replicate", "rna": "rna"}
        ),
        Layout(
            "long_sgrna",
            "logfc",
            {**_LONG, "sgrna": "guide"},
            {"replicate": "replicate", "rna": "rna"},
        ),
        # `sgrna_idx` numbers the guides within each gene.
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
        Layout("current_named", "logfc", {"sgRNA": "guide"}, matrix_of="sequence"),
        Layout("current_named", "logfc", {"sgrna": "guide"}, matrix_of="sequence"),
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
    "rna": _by_profile("rna", "rna_expression"),
    "copy_number": _by_profile("copy_number", "log_copy_number"),
    "model_table": (
        Layout(
            "current",
            "model_table",
            {"ModelID": "cell_line", "OncotreeLineage": "lineage"},
            dict.fromkeys(("CellLineName", "StrippedCellLineName"), "cell_line_name"),
        ),
        *(
            Layout(
                name,
                "model_table",
                {column: "cell_line", "lineage": "lineage"},
                dict.fromkeys(("cell_line_name", "stripped_cell_line_name"), "cell_line_name"),
            )
            for name, column in (("older", "DepMap_ID"), ("of_r", "depmap_id"))
        ),
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
"""Layouts by table, the most specific first: the first match is used."""


def free_labels(layout: str) -> bool:
    """Whether guides, genes and lines may have labels of any form, as in long tables."""
    return layout.startswith("long")


TEXT_SUFFIXES = (".csv", ".tsv", ".txt", ".tab")
"""Of text separated by commas or tabs, whichever the header has."""
SUFFIXES = (".csv", ".csv.gz", ".tsv", ".tsv.gz", ".txt", ".txt.gz", ".parquet", ".hdf5")


def known_file_stems(table: TableName, library: str) -> tuple[str, ...]:
    """Return names, without suffix, of a table in a release folder; the current one first."""
    # The screens of both Humagne sets (`Humagne-CD`) are in one file.
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
        # Log2 before linear where a release has both; all are relative to the ploidy of the line.
        "copy_number": (
            "OmicsCNGene",
            "PortalOmicsCNGeneLog2",
            "OmicsCNGeneWGS",
            "CCLE_gene_cn",
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


def recognise(table: TableName, location: str, header: Sequence[str]) -> Layout:
    """Return the first layout of the table that matches the header.

    Raises:
        TableFormatError: `unknown_layout`, `foreign_table` or `other_table`; `unnamed_column`,
            `gene_matrix` or `transposed` of a matrix; or `duplicate_column` where a column of the
            layout is repeated (repeated columns of a matrix are checked with the values).
    """
    # Tables of their own kind before matrices, which may have columns of any name.
    for layout in sorted(LAYOUTS[table], key=lambda one: bool(one.matrix_of)):
        if layout.missing(header):
            continue
        if layout.matrix_of:
            _require_no_other(table, location, header)
            if not _reads_as_matrix(layout, header):
                continue
            _require_own_matrix(layout, location, header)
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
    _require_no_other(table, location, header)

    # A matrix may have all its columns, and others besides that belong to another layout.
    incomplete = [layout for layout in LAYOUTS[table] if layout.missing(header)]
    closest = max(incomplete or LAYOUTS[table], key=lambda layout: layout.share(header))
    missing = ", ".join(closest.missing(header))
    lacks = f"; for {closest.name} it lacks {missing}" if missing and closest.share(header) else ""
    came = ", ".join(name or "(unnamed)" for name in header[:12])
    more = f", ... ({len(header)} columns)" if len(header) > 12 else ""
    names = {layout.name: str(layout) for layout in reversed(LAYOUTS[table])}
    raise TableFormatError(
        table,
        location,
        "unknown_layout",
        f"expected the columns of one of [{'] ['.join(reversed(names.values()))}], "
        f"got {came}{more}{lacks}",
        "name the right file or rename its columns",
    )


def _require_no_other(table: TableName, location: str, header: Sequence[str]) -> None:
    """Raise an error for a table of another kind, or of another source than a release."""
    files = " or ".join(known_file_stems(table, "Avana"))
    for other, layouts in LAYOUTS.items():
        for layout in layouts if other != table else ():
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
    if layout.matrix_of == "sequence" and _most(_GENE, labels):
        raise TableFormatError(
            layout.table,
            location,
            "gene_matrix",
            f"expected guides x sequences, the columns are genes ({', '.join(labels[:3])}): a "
            "matrix of cell lines x genes, as of gene effects or RNA",
            "name the table of guides, such as AvanaLogfoldChange, with its guide map and sequence "
            "map",
        )
    rows, turned = ("guides", _GUIDE) if layout.matrix_of == "sequence" else ("cell lines", _LINE)
    if _most(turned, labels):
        raise TableFormatError(
            layout.table,
            location,
            "transposed",
            f"expected {rows} x {layout.matrix_of}s, the columns are {rows} "
            f"({', '.join(labels[:3])})",
            "transpose the table",
        )


_GENE, _GUIDE, _LINE = r"\S+ \(\d+\)", r"[ACGT]{19,23}", r"ACH-\d{6}"


def _most(pattern: str, labels: Sequence[str]) -> bool:
    return 2 * sum(re.fullmatch(pattern, label) is not None for label in labels) > len(labels)


def _reads_as_matrix(layout: Layout, header: Sequence[str]) -> bool:
    """Whether the row labels come first and no other column belongs to another layout.

    Otherwise every table saved with unnamed row numbers would be recognised as a matrix.
    """
    others = {name for other in LAYOUTS[layout.table] for name in other.required if name}
    labels = set(header) - set(layout.canonical)
    return header[0] in layout.canonical and bool(labels) and not labels & others
