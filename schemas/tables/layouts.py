"""The published layouts of tables: columns, canonical names, file names."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from schemas.tables.containers import TableName

MISSING_VALUES = ("", "NA", "NaN", "nan")
"""Texts that mean a missing value, in text and number columns."""

OWN = "own"
"""Name of a layout, or its beginning, of tables with labels of any form beside an own logFC table.
"""

GENE_EFFECTS = "gene_effects"
"""Layout of a logFC table of cell lines, or of screens, x genes."""
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


_LINES = ("ModelID", "DepMap_ID", "depmap_id", "model_id", "cell_line")
"""Names of a first column of cell lines."""


def _by_profile(table: TableName, value: str) -> tuple[Layout, ...]:
    """Return the layouts of a table of cell lines x genes.

    `value`: the column of values in the tables of the R package depmap, one row per value.
    """
    long = {"depmap_id": "cell_line", "gene": "gene", value: "value"}
    return (
        Layout("several_profiles", table, _PROFILES, _UNUSED, matrix_of="gene"),
        Layout("one_profile", table, {UNNAMED: "cell_line"}, matrix_of="gene"),
        *(Layout("one_profile_named", table, {n: "cell_line"}, matrix_of="gene") for n in _LINES),
        Layout("one_value_per_row", table, long),
    )


_LONG = {"gene": "gene", "cell_line": "cell_line", "logfc": "logfc"}

LAYOUTS: dict[TableName, tuple[Layout, ...]] = {
    "logfc": (
        Layout(
            "long", "logfc", {**_LONG, "guide": "guide"}, {"replicate": "replicate", "rna": "rna"}
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
        *(
            Layout(GENE_EFFECTS, "logfc", {name: "row"}, matrix_of="gene")
            for name in (UNNAMED, *_LINES, "ScreenID")
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
            {
                "pDNABatch": "pdna_batch",
                "ExcludeFromCRISPRCombined": "excluded",
                "ScreenID": "screen",
            },
        ),
        Layout(
            "older",
            "sequence_map",
            {"replicate_ID": "sequence", "DepMap_ID": "cell_line", "passes_QC": "passes_qc"},
            {"pDNA_batch": "pdna_batch"},
        ),
        Layout(OWN, "sequence_map", {"sequence": "sequence", "cell_line": "cell_line"}),
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
            for name, column in (("older", "DepMap_ID"), ("of_r", "depmap_id"), (OWN, "cell_line"))
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


def is_own(layout: str) -> bool:
    """Whether a logFC table brings its own guide map and sequence map, or these were made of it."""
    return layout.startswith(("long", "wide", GENE_EFFECTS))


def is_gene_level(layout: str) -> bool:
    """Whether a logFC table has one value per gene and cell line, without guides."""
    return layout in (GENE_EFFECTS, "long_by_gene", "wide_by_gene")


def free_labels(layout: str) -> bool:
    """Whether guides, genes and lines may have labels of any form, as in tables of one's own."""
    return is_own(layout) or layout.startswith(OWN)


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
