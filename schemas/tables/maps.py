"""Rules of each small table by itself, and parsing of its text into types.

All problems of a table are reported together.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import cast

import numpy as np
import pandas as pd
import pandera.pandas as pa

from schemas.formatting import is_plain_label
from schemas.reports import Finding
from schemas.tables.containers import (
    COVARIATE_TABLES,
    GUIDE_MAP_COLUMNS,
    MODEL_TABLE_COLUMNS,
    PROFILE_COLUMNS,
    SEQUENCE_MAP_COLUMNS,
    CovariateTable,
    RawProfiles,
    RawScreen,
    RawTable,
    Screen,
    TableSource,
)
from schemas.tables.eligibility import FITTED_SCREEN_TYPE, usable_guides
from schemas.tables.layouts import free_labels
from schemas.tables.rule import MOST_KEPT, Rule, at_line

CELL_LINE_PATTERN = r"ACH-\d{6}"
GENE_PATTERN = r"[^\s()]+ \((\d+)\)"
GUIDE_PATTERN = r"[ACGT]{19,23}"  # guides of Cas9 have 19 or 20 letters, of Cas12a up to 23
PDNA = "pDNA"
FLAGS = {
    **dict.fromkeys(("True", "true", "TRUE", "1", "1.0", "Yes"), True),
    **dict.fromkeys(("False", "false", "FALSE", "0", "0.0", "No"), False),
}

TABLE_EMPTY = Rule("table_empty", "at least one row", "provide the whole table")
COLUMN_MISSING = Rule("column_missing", "this column", "provide the table as released")
VALUE_MISSING = Rule("value_missing", "a value in every row", "fill it in or remove the row")
BLANKS = Rule("surrounding_blanks", "no blank before or after a value", "remove the blanks")
LABEL = Rule(
    "plain_label",
    "a label of one line that begins with none of = + - @",
    "rename it: spreadsheets take these for formulas, and terminals obey control characters",
)
GUIDE_SEQUENCE = Rule(
    "guide_sequence",
    "19 to 23 letters, each A, C, G or T",
    "check that the column holds the guides' own sequences, in capitals",
)
GENE_LABEL = Rule("gene_label", "SYMBOL (ENTREZ), as SOX10 (6663)", "label genes as DepMap does")
UNUSED_GENE_LABEL = Rule(
    "unused_gene_label",
    "SYMBOL (ENTREZ), as SOX10 (6663), also of guides that are not used",
    "none needed: these guides are excluded in any case",
    "warning",
)
CELL_LINE_ID = Rule("cell_line_id", "ACH- and six digits", "use the ModelID of DepMap")
FLAG = Rule("flag", "True or False, Yes or No, 1 or 0", "write every flag in one of these ways")
WHOLE_NUMBER = Rule("whole_number", "a count: 0, 1, 2 ...", "write the number of alignments")
SEQUENCE_UNIQUE = Rule("sequence_unique", "one row per sequence", "keep the right row of each")
GENE_OF_ONE_SYMBOL = Rule(
    "gene_of_one_symbol",
    "one symbol per gene (Entrez number), among usable guides",
    "give all guides of a gene the same label",
)
CELL_LINE_UNIQUE = Rule("cell_line_unique", "one row per cell line", "keep the right row of each")
_TEXT_RULES = {
    rule.name: rule
    for rule in (
        BLANKS,
        LABEL,
        GUIDE_SEQUENCE,
        GENE_LABEL,
        CELL_LINE_ID,
        FLAG,
        WHOLE_NUMBER,
        SEQUENCE_UNIQUE,
        CELL_LINE_UNIQUE,
    )
} | {"not_nullable": VALUE_MISSING, "column_in_dataframe": COLUMN_MISSING}


@dataclass(frozen=True)
class CheckedTables:
    """The small tables with their types, index = line of the file, and their findings.

    A value that could not be parsed gets a default that keeps its row, so that a bad flag does not
    also break rules across tables. A table that is absent, empty or without a required column is
    None.
    """

    guide_map: pd.DataFrame | None
    sequence_map: pd.DataFrame | None
    profiles: pd.DataFrame | None
    rna: pd.DataFrame | None
    model_table: pd.DataFrame | None
    essential: tuple[str, ...]
    nonessential: tuple[str, ...]
    expression_addictions: tuple[str, ...]
    findings: tuple[Finding, ...]
    covariates: Mapping[str, CovariateTable] = field(default_factory=dict)
    ambiguous_genes: tuple[str, ...] = ()

    def screen(self) -> Screen:
        """Return a `Screen`; raise ValueError where a table is missing."""
        guide_map, sequence_map = self.guide_map, self.sequence_map
        profiles, rna = self.profiles, self.rna
        if guide_map is None or sequence_map is None or profiles is None or rna is None:
            raise ValueError("a screen needs guide map, sequence map and RNA, all of them sound")

        model_table = self.model_table
        return Screen(
            guide_map=guide_map.reset_index(drop=True),
            sequence_map=sequence_map.reset_index(drop=True),
            profiles=profiles.reset_index(drop=True),
            rna=rna.reset_index(drop=True),
            covariates={name: table.renumbered() for name, table in self.covariates.items()},
            model_table=None if model_table is None else model_table.reset_index(drop=True),
            essential=self.essential,
            nonessential=self.nonessential,
            expression_addictions=self.expression_addictions,
            ambiguous_genes=self.ambiguous_genes,
        )


def check_tables(raw: RawScreen, library: str) -> CheckedTables:
    """Return every small table parsed, with all findings; never raises for their contents.

    `library` is used for every sequence where the sequence map has no such column.
    """
    findings: list[Finding] = []

    def checked(table: RawTable | None, schema: Callable[[bool], pa.DataFrameSchema]) -> _Text:
        if table is None:
            return None
        text = _as_text(table.frame)
        # Rows of profiles must match those of the values.
        if table.source.table not in ("rna", *COVARIATE_TABLES):
            text = text.dropna(how="all")
        if table.source.table == "guide_map" and not free_labels(table.source.layout):
            text = _without_unused_genes(text, findings)
        broken = list(_broken_text(text, schema(free_labels(table.source.layout)), table))
        findings.extend(broken)
        without_column = any(finding.rule == COLUMN_MISSING.name for finding in broken)
        return None if text.empty or without_column else text

    guide_map = checked(raw.guide_map, guide_map_schema)
    typed_guide_map = None if guide_map is None else _typed_guide_map(guide_map)
    if raw.guide_map is not None and typed_guide_map is not None:
        findings.extend(_repeated_symbols(typed_guide_map, raw.guide_map.source))
    sequence_map = checked(raw.sequence_map, sequence_map_schema)
    model_table = checked(raw.model_table, model_table_schema)
    essential, nonessential, expression_addictions = (
        () if list_of is None else tuple(_stripped(list_of["gene"]))
        for list_of in (
            checked(controls, controls_schema)
            for controls in (raw.essential, raw.nonessential, raw.expression_addictions)
        )
    )

    def with_profiles(table: RawProfiles) -> tuple[_Text, pd.DataFrame]:
        profiles = checked(RawTable(table.source, table.profiles), profiles_schema)
        values = table.values.set_axis(table.profiles.index)
        values = values.set_axis(table.values.columns.astype("str").str.strip(), axis=1)
        return None if profiles is None else _typed_profiles(profiles), values

    profiles, rna = (None, None) if raw.rna is None else with_profiles(raw.rna)
    of_covariates = {name: with_profiles(table) for name, table in raw.covariates.items()}
    return CheckedTables(
        guide_map=typed_guide_map,
        sequence_map=None if sequence_map is None else _typed_sequence_map(sequence_map, library),
        profiles=profiles,
        rna=rna,
        model_table=None if model_table is None else _typed(model_table, MODEL_TABLE_COLUMNS),
        essential=essential,
        nonessential=nonessential,
        expression_addictions=expression_addictions,
        findings=tuple(findings),
        ambiguous_genes=raw.ambiguous_genes,
        covariates={
            name: CovariateTable(table, values)
            for name, (table, values) in of_covariates.items()
            if table is not None
        },
    )


def guide_map_schema(free: bool) -> pa.DataFrameSchema:
    """Schema of a guide map in text; `free`: labels of any form, alignments not needed."""
    return pa.DataFrameSchema(
        {
            "guide": _column(*_unless(free, GUIDE_SEQUENCE, GUIDE_PATTERN)),
            # Non-targeting guides have no gene; they are excluded and counted.
            "gene": _column(*_unless(free, GENE_LABEL, GENE_PATTERN), nullable=True),
            "n_alignments": _column(
                _matches(WHOLE_NUMBER, r"\d+(\.0+)?"), nullable=True, required=not free
            ),
            "used": _column(_is_flag(), required=False),
        }
    )


def sequence_map_schema(free: bool) -> pa.DataFrameSchema:
    """Schema of a sequence map in text; the rows of the plasmid pool (pDNA) have no cell line."""
    return pa.DataFrameSchema(
        {
            "sequence": _column(_is_plain(), _is_unique(SEQUENCE_UNIQUE)),
            "cell_line": _column(*_unless(free, CELL_LINE_ID, CELL_LINE_PATTERN), nullable=True),
            "screen_type": _column(nullable=True, required=False),
            "library": _column(nullable=True, required=False),
            "passes_qc": _column(_is_flag(), nullable=True, required=not free),
            "excluded": _column(_is_flag(), nullable=True, required=False),
        }
    )


def profiles_schema(free: bool) -> pa.DataFrameSchema:
    """Schema of the leading columns of a table of RNA or copy number in text."""
    return pa.DataFrameSchema(
        {
            "cell_line": _column(*_unless(free, CELL_LINE_ID, CELL_LINE_PATTERN)),
            "is_default": _column(_is_flag(), required=False),
        }
    )


def model_table_schema(free: bool) -> pa.DataFrameSchema:
    """Schema of a model table in text."""
    return pa.DataFrameSchema(
        {
            "cell_line": _column(
                *_unless(free, CELL_LINE_ID, CELL_LINE_PATTERN), _is_unique(CELL_LINE_UNIQUE)
            ),
            "lineage": _column(_is_plain(), nullable=True, required=False),
            "cell_line_name": _column(_is_plain(), nullable=True, required=False),
        }
    )


def controls_schema(free: bool) -> pa.DataFrameSchema:
    """Schema of a list of control genes in text."""
    return pa.DataFrameSchema({"gene": _column(*_unless(free, GENE_LABEL, GENE_PATTERN))})


def _column(*checks: pa.Check, nullable: bool = False, required: bool = True) -> pa.Column:
    blanks = pa.Check(lambda values: values == values.str.strip(), error=BLANKS.name)
    return pa.Column(checks=[blanks, *checks], nullable=nullable, required=required)


def _matches(rule: Rule, pattern: str) -> pa.Check:
    return pa.Check(lambda values: values.str.strip().str.fullmatch(pattern), error=rule.name)


def _unless(free: bool, rule: Rule, pattern: str) -> list[pa.Check]:
    return [_is_plain()] if free else [_is_plain(), _matches(rule, pattern)]


def _is_plain() -> pa.Check:
    return pa.Check(lambda values: values.dropna().map(is_plain_label), error=LABEL.name)


def _is_flag() -> pa.Check:
    return pa.Check(lambda values: values.str.strip().isin(FLAGS), error=FLAG.name)


def _is_unique(rule: Rule) -> pa.Check:
    return pa.Check(lambda values: ~values.str.strip().duplicated(), error=rule.name)


# ---------------------------------------------------------------------------- text into findings

_Text = pd.DataFrame | None


def _as_text(frame: pd.DataFrame) -> pd.DataFrame:
    text = frame.astype("str")
    return text.where(text.apply(lambda column: column.str.strip()) != "")


def _broken_text(
    text: pd.DataFrame, schema: pa.DataFrameSchema, table: RawTable
) -> Iterator[Finding]:
    name = table.source.table
    if text.empty:
        yield TABLE_EMPTY.broken(name, (), count=1)
    if {"sequence", "cell_line"} <= set(text.columns):
        yield from _missing_beside_pdna(text, name)
    try:
        schema.validate(text, lazy=True)
    except pa.errors.SchemaErrors as errors:
        cases = errors.failure_cases.sort_values("index", kind="stable")
        for (check, column), group in cases.groupby(
            ["check", cases["column"].fillna(cases["failure_case"])], sort=False
        ):
            rule = _TEXT_RULES[check]
            if rule is COLUMN_MISSING:
                found = [f"columns {', '.join(map(str, table.frame.columns))}"]
                yield rule.broken(name, found, column=column)
                continue
            shown = group.head(MOST_KEPT)
            if rule is VALUE_MISSING:
                found = [f"line {line}" for line in shown["index"]]
            else:
                found = list(map(at_line, shown["index"], shown["failure_case"]))
            yield rule.broken(name, found, column=column, count=len(group))


def _without_unused_genes(text: pd.DataFrame, findings: list[Finding]) -> pd.DataFrame:
    """Return a guide map without odd labels of genes in rows that are not used, and report them."""
    if not {"gene", "n_alignments"} <= set(text.columns):
        return text
    genes = text["gene"]
    unused = ~usable_guides(_typed_guide_map(text)) & genes.notna()
    odd = unused & ~genes.str.strip().str.fullmatch(GENE_PATTERN).fillna(True)
    if found := list(map(at_line, genes.index[odd], genes[odd])):
        findings.append(UNUSED_GENE_LABEL.broken("guide_map", found, column="gene"))
    return text.assign(gene=genes.where(~odd))


def _missing_beside_pdna(text: pd.DataFrame, name: str) -> Iterator[Finding]:
    screened = text[~_is_pdna(text)]
    for column in ("cell_line", "passes_qc"):
        if column in screened:
            lines = screened.index[screened[column].isna()]
            if len(lines):
                yield VALUE_MISSING.broken(name, [f"line {line}" for line in lines], column=column)


def _repeated_symbols(guide_map: pd.DataFrame, source: TableSource) -> Iterator[Finding]:
    if free_labels(source.layout):
        return
    genes = pd.Series(guide_map.loc[usable_guides(guide_map), "gene"].unique(), dtype="str")
    numbers = genes.str.extract(f"^{GENE_PATTERN}$", expand=False).dropna()
    repeated = genes[numbers.index[numbers.duplicated(keep=False)]]
    if len(repeated):
        yield GENE_OF_ONE_SYMBOL.broken("guide_map", sorted(repeated), column="gene")


def _is_pdna(text: pd.DataFrame) -> pd.Series:
    # The older map has no screen type; a row without a cell line is the plasmid pool.
    return text["screen_type"].eq(PDNA) if "screen_type" in text else text["cell_line"].isna()


# -------------------------------------------------------------------------------- text into types


def _stripped(column: pd.Series) -> pd.Series:
    return column.dropna().str.strip()


def _typed(text: pd.DataFrame, columns: tuple[str, ...]) -> pd.DataFrame:
    return (
        text.reindex(columns=list(columns)).astype("str").apply(lambda column: column.str.strip())
    )


def _flags(text: pd.DataFrame, column: str, *, default: bool) -> pd.Series:
    if column not in text:
        return pd.Series(default, index=text.index)
    parsed = text[column].str.strip().map(FLAGS).astype("boolean")
    return cast(pd.Series, parsed.fillna(default).astype(bool))


def _typed_guide_map(text: pd.DataFrame) -> pd.DataFrame:
    typed = _typed(text, GUIDE_MAP_COLUMNS)
    typed["n_alignments"] = (
        pd.to_numeric(typed["n_alignments"], errors="coerce").round().astype("Int64")
        if "n_alignments" in text
        else pd.Series(1, index=text.index, dtype="Int64")
    )
    typed["used"] = _flags(text, "used", default=True)
    return typed


def _typed_sequence_map(text: pd.DataFrame, library: str) -> pd.DataFrame:
    typed = _typed(text, SEQUENCE_MAP_COLUMNS)
    if "screen_type" not in text:
        typed["screen_type"] = np.where(_is_pdna(text), PDNA, FITTED_SCREEN_TYPE)
    if "library" not in text:
        typed["library"] = library
    typed["passes_qc"] = _flags(text, "passes_qc", default=True)
    typed["excluded"] = _flags(text, "excluded", default=False)
    return typed


def _typed_profiles(text: pd.DataFrame) -> pd.DataFrame:
    typed = _typed(text, PROFILE_COLUMNS)
    if "profile" not in text:
        typed["profile"] = typed["cell_line"]
    typed["is_default"] = _flags(text, "is_default", default=True)
    return typed
