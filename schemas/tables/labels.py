"""Rules on labels that seem to mean another thing: spellings, spreadsheets, mixed screens."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence

import pandas as pd

from schemas.reports import Finding
from schemas.tables.containers import RawScreen
from schemas.tables.eligibility import usable_guides, usable_sequences
from schemas.tables.layouts import Layout, is_own
from schemas.tables.maps import CELL_LINE_PATTERN, GENE_PATTERN, CheckedTables
from schemas.tables.own_columns import plain
from schemas.tables.rule import Rule

SIMILAR_LABELS = Rule(
    "similar_labels",
    "labels that differ in more than capitals, blanks, punctuation and letters that look alike",
    "write each in one way, if they mean the same: now each spelling is fitted by itself",
    "warning",
)
SPREADSHEET_LABEL = Rule(
    "spreadsheet_label",
    "names, not dates, exponents or errors that a spreadsheet made of them",
    "take the labels from the original table: MARCH1 and MARC1 both become 1-Mar",
    "warning",
)
ONE_SCREEN = Rule(
    "one_screen",
    "measurements of one screen: one value in each column of origin",
    "fit each by itself, unless they may be counted as replicates of one screen",
    "warning",
)
ONE_CONDITION = Rule(
    "one_condition",
    "one time point and treatment per cell line, as all its sequences count as replicates",
    "keep one of them: the latest time point, the untreated arm",
    "warning",
)

REPLICATES_NUMBERED = Rule(
    "replicates_numbered",
    "a column `replicate`, as most guides have several rows in a cell line",
    "none needed if these rows are replicates: they are numbered in the order of the file",
    "warning",
)

ORIGINS = frozenset({"screen", "library", "dataset", "source", "study", "institute", "project"})
CONDITIONS = frozenset(
    {"day", "days", "time", "timepoint", "hours", "weeks", "treatment", "drug", "compound",
     "condition", "arm", "dose", "concentration"}
)  # fmt: skip
"""Columns of origin, and of time and treatment, in small letters without punctuation."""
SIMILAR_NUMBERS = 1.5
"""Ratio of times from which they are different time points: 21 days and 23 are not."""

_LOOK_ALIKES = str.maketrans("авекмнорстухіјѕαβεηικμνορτυχ", "abekmhopctyxijsabenikmvoptux")
_MONTH = r"(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sept?|Oct|Nov|Dec|Mrz|Mai|Okt|Dez)[a-z]*"
_SPREADSHEET = (
    rf"\d{{1,2}}[-/. ]{{1,2}}{_MONTH}(?:[-/. ]\d{{2,4}})?|{_MONTH}[-/. ]\d{{1,4}}"
    r"|\d{4}-\d\d-\d\d(?:[ T].*)?|\d{1,2}[/.]\d{1,2}[/.]\d{2,4}|\d(?:\.\d+)?E\+\d+|#[A-Z/0!?]+"
)
_SERIAL = r"[34]\d{4}(?:\.0)?"  # days since 1900: 1982 to 2036
_TOKEN = re.compile(
    r"(?<![a-z0-9])(?:(?:d|days?|t|wk|weeks?)[-_. ]?(\d{1,3})|(\d{1,3})(?:h|hrs?|hours|d|days|wks?)"
    r"|(dmso|vehicle|mock|untreated|treated|plasmid))(?![a-z0-9])"
)


def label_key(label: str) -> str:
    """Return what remains of a label without capitals, blanks, punctuation and look-alikes.

    A mark between two digits is kept as `-`: `NKX2-1` is not `NKX21`.
    """
    text = unicodedata.normalize("NFKC", label).casefold().translate(_LOOK_ALIKES)
    text = re.sub(r"\.0+$", "", text.strip())
    text = re.sub(r"(?<=\d)[\W_]+(?=\d)", "\x00", text)
    return re.sub(r"[^\w\x00]|_", "", text).replace("\x00", "-")


def condition_columns(header: Sequence[str], layout: Layout) -> list[str]:
    """Return the columns beside a layout that tell screens, time points or treatments apart."""
    further = [name for name in header if name not in layout.canonical and header.count(name) == 1]
    return [name for name in further if plain(name) in ORIGINS | CONDITIONS]


def same_label(missing: Sequence[str], others: Iterable[str], table: str) -> list[str]:
    """Return `missing` labels, each with the label of `others` that seems to mean the same.

    Genes agree by number (Entrez) or, where one label has none, by symbol.
    """
    known: dict[str, str] = {}
    for other in others:
        for key in _keys(other):
            known.setdefault(key, other)
    return [
        next((f"{label} = {known[key]} of {table}" for key in _keys(label) if key in known), label)
        for label in missing
    ]


def check_labels(
    raw: RawScreen, tables: CheckedTables, sequences: Sequence[str] | None, library: str
) -> list[Finding]:
    """Return the findings on labels of lines, genes and sequences, each table by itself."""
    findings: list[Finding] = []
    if sequences is not None:
        findings += _broken_labels("logfc", "sequence", pd.Series(sequences, dtype="str"))
    if tables.sequence_map is not None:
        used = tables.sequence_map[usable_sequences(tables.sequence_map, library)]
        findings += _broken_labels("sequence_map", "cell_line", used["cell_line"])
        findings += _conditions(raw, used)
    if tables.guide_map is not None:
        genes = tables.guide_map.loc[usable_guides(tables.guide_map), "gene"]
        findings += _broken_labels("guide_map", "gene", genes)
    if tables.rna is not None and tables.profiles is not None and not _is_long(raw):
        genes = pd.Series(tables.rna.columns, dtype="str")
        # Those of the guide map are reported above.
        known = () if tables.guide_map is None else tables.guide_map["gene"].unique()
        findings += _broken_labels("rna", "gene labels", genes[~genes.isin(known)])
    return findings


def _is_long(raw: RawScreen) -> bool:
    return raw.rna is not None and is_own(raw.rna.source.layout)


def _broken_labels(table: str, column: str, labels: pd.Series) -> Iterator[Finding]:
    labels = pd.Series(labels.dropna().unique(), dtype="str")
    # Labels of DepMap differ by their numbers, which have rules of their own.
    is_free = not labels.str.fullmatch(f"{CELL_LINE_PATTERN}|{GENE_PATTERN}").all()
    alike = labels.groupby(labels.map(label_key)).agg(list) if is_free else ()
    if similar := [" = ".join(map(ascii, same)) for same in alike if len(same) > 1]:
        yield SIMILAR_LABELS.broken(table, similar, column=column)
    names = labels.str.replace(r" \(\d+\)$", "", regex=True)
    damaged = names.str.fullmatch(_SPREADSHEET)
    if "gene" in column and names.str.fullmatch(r"[\d.]+").mean() < 0.5:  # else Entrez numbers
        damaged |= names.str.fullmatch(_SERIAL)
    if damaged.any():
        yield SPREADSHEET_LABEL.broken(table, list(labels[damaged]), column=column)


def _conditions(raw: RawScreen, used: pd.DataFrame) -> Iterator[Finding]:
    """Check columns of origin and of conditions, and conditions in labels of sequences."""
    assert raw.sequence_map is not None
    marks = used["sequence"].dropna().str.lower().map(_marks)
    yield from _several("sequence", used["cell_line"], marks[marks != ""])
    conditions = raw.sequence_map.conditions
    if conditions is None:
        return
    is_long = is_own(raw.sequence_map.source.layout)
    conditions = conditions if is_long else conditions[conditions.index.isin(used.index)]
    for column in conditions.columns.drop("cell_line"):
        lines, values = conditions["cell_line"], conditions[column].dropna()
        if plain(column) in CONDITIONS:
            yield from _several(column, lines, values)
        # Where each line has a value of its own, it is the name of its screen.
        elif is_long and 1 < values.nunique() < max(3, lines.nunique()):
            counts = [
                f"{value}: {count} sequences" for value, count in values.value_counts().items()
            ]
            yield ONE_SCREEN.broken("logfc", counts, column=column)


def _several(column: str, lines: pd.Series, values: pd.Series) -> Iterator[Finding]:
    by_line = values.groupby(lines.reindex(values.index)).unique()
    found = [
        f"{line}: {', '.join(map(str, different))}"
        for line, different in by_line.items()
        if len(different) > 1 and not _similar_numbers(different)
    ]
    if found:
        yield ONE_CONDITION.broken("sequence_map", found, column=column)


def _similar_numbers(values: Iterable[str]) -> bool:
    numbers = pd.to_numeric(pd.Series(list(values)), errors="coerce")
    return bool(numbers.notna().all() and numbers.max() < SIMILAR_NUMBERS * numbers.min())


def _marks(label: str) -> str:
    return " ".join(next(filter(None, match.groups())) for match in _TOKEN.finditer(label))


def _keys(label: str) -> list[str]:
    """Return the keys by which a label may agree with another, the surest first."""
    gene = re.fullmatch(r"(.+) \((\d+)\)", label)
    if gene is None:
        return [label_key(label)]
    return [gene[2], label_key(gene[1])]
