"""How a release is spoiled: a change, the rule that answers it, and the place that is named."""

import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from schemas.reports import Finding
from tests.property.releases import Release, release

Spoiled = tuple[Release, str]
"""A spoiled release, and what the finding must name."""


@dataclass(frozen=True)
class Spoil:
    name: str
    table: str
    rule: str
    change: Callable[[Release, random.Random], Spoiled]
    column: str = ""
    """The column that the finding names; empty where that is not asked."""
    reported: str = ""
    """The tables that the finding names, where they are others than the spoiled one."""

    def __str__(self) -> str:
        return self.name

    def is_answered_by(self, finding: Finding, place: str) -> bool:
        """Whether a finding is the one that this spoil must lead to."""
        return (
            (finding.table, finding.rule) == (self.reported or self.table, self.rule)
            and self.column in ("", finding.column)
            and (not place or any(place in found for found in finding.found))
            and bool(finding.expected and finding.remedy)
        )


def complete_release() -> Release:
    """Return a sound release of all nine tables: 16 guides of 5 genes, 6 lines in 13 sequences."""
    plain = release(5, 6, 3, 2, seed=7)
    logfc = plain.logfc.copy()
    logfc.iloc[:6] -= 2.5  # the guides of the two essential genes
    genes, lines = list(plain.rna.columns), list(plain.rna.index)
    lists = {"essential": genes[:2], "nonessential": genes[2:4], "expression_addictions": genes[4:]}
    others = {name: pd.DataFrame({"Gene": [*listed, "X (99)"]}) for name, listed in lists.items()}
    draws = np.random.default_rng(8).normal(1, 0.1, plain.rna.shape).round(6)
    others["copy_number"] = pd.DataFrame(draws, lines, genes)
    others["model_table"] = pd.DataFrame({"ModelID": lines, "OncotreeLineage": "Skin"})
    return replace(plain, logfc=logfc, others=others)


def with_profiles(of: Release) -> Release:
    """Return a release whose RNA is in the later layout: two profiles a line, one the default."""
    n = len(of.rna)
    leading = {
        "": range(2 * n),
        "SequencingID": [f"CDS-{number:06}" for number in range(2 * n)],
        "ModelID": [*of.rna.index] * 2,
        "IsDefaultEntryForModel": ["Yes"] * n + ["No"] * n,
    }
    values = pd.concat([of.rna, of.rna + 0.5]).reset_index(drop=True)
    return of.having("rna", pd.concat([pd.DataFrame(leading), values], axis=1))


def long_release(_: Release | None = None) -> Release:
    """Return a release of one long table: 8 guides of 4 genes, 6 lines."""
    draws = np.random.default_rng(7)
    cells = [(f"G{i // 2}", f"g{i}", f"line {j}") for i in range(8) for j in range(6)]
    frame = pd.DataFrame(cells, columns=["gene", "guide", "cell_line"])
    rna = draws.uniform(-1, 0.9, size=(4, 6)).repeat(2, axis=0).ravel()
    frame = frame.assign(rna=rna, logfc=draws.normal(size=len(frame)))
    alone = {"guide_map": None, "sequence_map": None, "rna": None, "rna_units": "z_score"}
    return replace(complete_release(), logfc=frame, others={}, entries=alone)


def wide_release(of: Release) -> Release:
    """Return a release whose guides have a column of genes, by symbol, and no maps."""
    genes = of.guide_map.set_index("sgRNA")["Gene"].reindex(of.logfc.index).str.split(" ").str[0]
    frame = of.logfc.rename_axis("sgRNA").reset_index()
    frame.insert(0, "Gene", genes.to_numpy())
    alone = {"guide_map": None, "sequence_map": None}
    return replace(of, logfc=frame, entries=of.entries | alone)


# --------------------------------------------------------------- spoils that are a few words each


def line_of(place: int, value: str | None = None) -> str:
    return f"line {place + 2}" + ("" if value is None else f": {value!r}")


def row_in_use(of: Release, table: str, source: random.Random) -> int:
    """Return the place of some row of a table that a fit uses."""
    frame = of.table(table)
    used = pd.Series(True, frame.index)
    if table == "guide_map":
        used = frame["UsedByChronos"].astype(bool)
    if table == "sequence_map":
        used = frame["PassesQC"].astype(bool) & (frame["ScreenType"] == "2DS")
    return source.choice([place for place, one in enumerate(used) if one])


def with_cell(frame: pd.DataFrame, place: int, column: str, value: str | None) -> pd.DataFrame:
    frame = frame.astype("str")
    frame.iat[place, list(frame.columns).index(column)] = value
    return frame


def cell(table: str, column: str, shown: str, rule: str, *values: str | None) -> Spoil:
    """Put one of these values into a column of text, which findings call `shown`."""

    def change(of: Release, source: random.Random) -> Spoiled:
        place, value = row_in_use(of, table, source), source.choice(values)
        frame = with_cell(of.table(table), place, column, value)
        return of.having(table, frame), line_of(place, value)

    return Spoil(f"{rule} in {column} of {table}", table, rule, change, shown)


def number(table: str, rule: str, *values: float) -> Spoil:
    def change(of: Release, source: random.Random) -> Spoiled:
        frame, value = of.table(table).copy(), source.choice(values)
        row, column = source.randrange(len(frame)), source.randrange(len(frame.columns))
        frame.iloc[row, column] = value
        return of.having(table, frame), f"line {row + 2}, {frame.columns[column]}: {value:g}"

    return Spoil(f"{rule} in {table}", table, rule, change)


def row_label(table: str, column: str, rule: str, *labels: str, reported: str = "") -> Spoil:
    def change(of: Release, source: random.Random) -> Spoiled:
        frame, label = of.table(table), source.choice(labels)
        place = source.randrange(len(frame))
        names = [*frame.index[:place], label, *frame.index[place + 1 :]]
        return of.having(table, frame.set_axis(names)), line_of(place, label or None)

    name = f"{rule} of a row label of {table}"
    return Spoil(name, table, rule, change, column, reported)


def row(
    name: str,
    table: str,
    column: str,
    rule: str,
    change: Callable[[pd.DataFrame, int], tuple[pd.DataFrame, str]],
) -> Spoil:
    """Change any release: `change` is given a table and the place of some row in use."""

    def applied(of: Release, source: random.Random) -> Spoiled:
        frame, place = change(of.table(table), row_in_use(of, table, source))
        return of.having(table, frame), place

    return Spoil(name, table, rule, applied, column)


def frame(
    name: str,
    table: str,
    rule: str,
    change: Callable[[pd.DataFrame], pd.DataFrame],
    place: str = "",
    *,
    of: Callable[[Release], Release] = lambda sound: sound,
    reported: str = "",
) -> Spoil:
    """Change a table of the complete release, or of what `of` makes of it."""

    def applied(sound: Release, _: random.Random) -> Spoiled:
        other = of(sound)
        return other.having(table, change(other.table(table))), place

    return Spoil(name, table, rule, applied, reported=reported)


def content(
    name: str, table: str, rule: str, change: Callable[[bytes], bytes], suffix: str = ".csv"
) -> Spoil:
    def applied(sound: Release, _: random.Random) -> Spoiled:
        suffixes, rewrites = sound.suffixes | {table: suffix}, sound.rewrites | {table: change}
        return replace(sound, suffixes=suffixes, rewrites=rewrites), ""

    return Spoil(name, table, rule, applied)


def entry(name: str, table: str, rule: str, key: str, value: Any) -> Spoil:
    return Spoil(
        name, table, rule, lambda of, _: (replace(of, entries=of.entries | {key: value}), "")
    )
