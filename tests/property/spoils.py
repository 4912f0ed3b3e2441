"""Ways of spoiling a small sound release: each says the rule it breaks, and where.

Every way takes a release and a source of random numbers, and returns the release spoilt and the
place that the finding has to name. Tables of text stay text, so that any format can hold them.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from tests.property.releases import Release

Way = Callable[[Release, random.Random], tuple[Release, str]]


@dataclass(frozen=True)
class Spoil:
    """A way of spoiling, and how the finding that answers it is known."""

    table: str
    rule: str
    column: str
    way: Way
    alone: bool
    """Whether the rule asks for this table alone, whatever is wrong with the others."""
    reported_of: str
    """The tables that the finding speaks of."""

    def __str__(self) -> str:
        return self.way.__name__


SPOILS: list[Spoil] = []


def breaks(
    table: str, rule: str, column: str = "", *, alone: bool = True, reported_of: str = ""
) -> Callable[[Way], Way]:
    """Register a way of spoiling a table under the rule, and the column, that answer it."""

    def register(way: Way) -> Way:
        SPOILS.append(Spoil(table, rule, column, way, alone, reported_of or table))
        return way

    return register


# ------------------------------------------------------------------------------------- guide map


def usable(of: Release) -> list[int]:
    """Places of the rows of the guide map that are fitted."""
    return [place for place, used in enumerate(of.guide_map["UsedByChronos"]) if used]


def line_of(place: int, value: str | None = None) -> str:
    """The place of a row, as findings say it."""
    return f"line {place + 2}" + ("" if value is None else f": {value!r}")


def put(of: Release, table: str, column: str, place: int, value: str | None) -> tuple[Release, str]:
    """Put a value into a row of a table of text; return its place too."""
    frame: pd.DataFrame = getattr(of, table).astype("str")
    frame.iat[place, list(frame.columns).index(column)] = value
    return of.having(table, frame), line_of(place, value)


def row_again(of: Release, table: str, place: int, **other: str) -> Release:
    """Repeat a row of a table at its end, some of its values others."""
    frame: pd.DataFrame = getattr(of, table)
    return of.having(table, pd.concat([frame, frame.iloc[[place]].assign(**other)]))


@breaks("guide_map", "guide_sequence", "guide")
def a_letter_that_is_no_base(of: Release, source: random.Random) -> tuple[Release, str]:
    place = source.randrange(len(of.guide_map))
    guide = of.guide_map["sgRNA"].iloc[place]
    cut = source.randrange(len(guide))
    return put(of, "guide_map", "sgRNA", place, guide[:cut] + "N" + guide[cut + 1 :])


@breaks("guide_map", "value_missing", "guide")
def a_row_of_no_guide(of: Release, source: random.Random) -> tuple[Release, str]:
    place = source.randrange(len(of.guide_map))
    return put(of, "guide_map", "sgRNA", place, None)[0], line_of(place)


@breaks("guide_map", "value_missing", "guide")
def rows_of_neither_guide_nor_gene(of: Release, source: random.Random) -> tuple[Release, str]:
    bare = row_again(row_again(of, "guide_map", 0), "guide_map", 0)
    for place in (-2, -1):
        for column in ("sgRNA", "Gene"):
            bare, _ = put(bare, "guide_map", column, place, None)
    return bare, line_of(len(bare.guide_map) - 1)


@breaks("guide_map", "gene_label", "gene")
def a_gene_without_its_number(of: Release, source: random.Random) -> tuple[Release, str]:
    label = source.choice(["SOX10", "SOX10 6663", "(6663)", "SOX 10 (6663)", "SOX10 (x)"])
    return put(of, "guide_map", "Gene", source.randrange(len(of.guide_map)), label)


@breaks("guide_map", "plain_label", "gene")
def a_gene_that_is_a_formula(of: Release, source: random.Random) -> tuple[Release, str]:
    label = source.choice("=+-@") + "SOX10 (6663)"
    return put(of, "guide_map", "Gene", source.randrange(len(of.guide_map)), label)


@breaks("guide_map", "surrounding_blanks", "gene")
def a_blank_beside_a_gene(of: Release, source: random.Random) -> tuple[Release, str]:
    place = source.randrange(len(of.guide_map))
    gene = of.guide_map["Gene"].iloc[place]
    return put(of, "guide_map", "Gene", place, source.choice([f" {gene}", f"{gene} "]))


@breaks("guide_map", "whole_number", "n_alignments")
def alignments_that_are_no_count(of: Release, source: random.Random) -> tuple[Release, str]:
    value = source.choice(["one", "-1", "1.5", "1e0", "1,0"])
    return put(of, "guide_map", "nAlignments", source.randrange(len(of.guide_map)), value)


@breaks("guide_map", "flag", "used")
def a_doubtful_use(of: Release, source: random.Random) -> tuple[Release, str]:
    value = source.choice(["maybe", "2", "yes?", "Y", "NO"])
    return put(of, "guide_map", "UsedByChronos", source.randrange(len(of.guide_map)), value)


@breaks("guide_map", "guide_map_unique", "guide")
def a_guide_standing_twice_in_its_map(of: Release, source: random.Random) -> tuple[Release, str]:
    place = source.choice(usable(of))
    return row_again(of, "guide_map", place), of.guide_map["sgRNA"].iloc[place]


@breaks("guide_map", "guide_of_one_gene", "guide")
def a_guide_of_two_genes(of: Release, source: random.Random) -> tuple[Release, str]:
    place = source.choice(usable(of))
    guide, gene = of.guide_map[["sgRNA", "Gene"]].iloc[place]
    return row_again(of, "guide_map", place, Gene="OTHER (99)"), f"{guide}: {gene}, OTHER (99)"


@breaks("guide_map", "gene_of_one_symbol", "gene")
def two_symbols_of_one_number(of: Release, source: random.Random) -> tuple[Release, str]:
    place = source.choice(usable(of))
    label = "OTHER " + of.guide_map["Gene"].iloc[place].split(" ")[1]
    other = "TGCATGCATGCATGCATGCA"
    return row_again(of, "guide_map", place, Gene=label, sgRNA=other), label


@breaks("guide_map", "guides_left")
def no_guide_that_is_used(of: Release, source: random.Random) -> tuple[Release, str]:
    unused = of.guide_map.assign(UsedByChronos=False)
    n_all = len(unused)
    return of.having("guide_map", unused), f"{n_all} of {n_all}: not used by the release"


@breaks("guide_map", "unknown_layout")
def a_guide_map_short_of_a_column(of: Release, source: random.Random) -> tuple[Release, str]:
    column = source.choice(list(of.guide_map.columns))
    return of.having("guide_map", of.guide_map.drop(columns=column)), column


# ---------------------------------------------------------------------------------- sequence map


def screened(of: Release) -> list[int]:
    """Places of the rows of the sequence map that are fitted."""
    frame = of.sequence_map
    fitted = frame["PassesQC"] & (frame["ScreenType"] == "2DS")
    return list(np.flatnonzero(fitted.to_numpy()))


@breaks("sequence_map", "sequence_unique", "sequence")
def a_sequence_standing_twice_in_its_map(of: Release, source: random.Random) -> tuple[Release, str]:
    place = source.choice(screened(of))
    sequence = of.sequence_map["SequenceID"].iloc[place]
    return row_again(of, "sequence_map", place), line_of(len(of.sequence_map), sequence)


@breaks(
    "sequence_map", "sequence_in_map", "sequence", alone=False, reported_of="logfc+sequence_map"
)
def a_sequence_the_map_does_not_have(of: Release, source: random.Random) -> tuple[Release, str]:
    place = source.choice(screened(of))
    rest = of.sequence_map.drop(index=of.sequence_map.index[place])
    return of.having("sequence_map", rest), of.sequence_map["SequenceID"].iloc[place]


@breaks("sequence_map", "value_missing", "sequence")
def a_row_of_no_sequence(of: Release, source: random.Random) -> tuple[Release, str]:
    place = source.choice(screened(of))
    return put(of, "sequence_map", "SequenceID", place, None)[0], line_of(place)


@breaks("sequence_map", "flag", "passes_qc")
def a_doubtful_no(of: Release, source: random.Random) -> tuple[Release, str]:
    value = source.choice(["No?", "none", "2", "passed", "0.5"])
    return put(of, "sequence_map", "PassesQC", source.choice(screened(of)), value)


@breaks("sequence_map", "value_missing", "passes_qc")
def no_word_on_quality(of: Release, source: random.Random) -> tuple[Release, str]:
    place = source.choice(screened(of))
    return put(of, "sequence_map", "PassesQC", place, None)[0], line_of(place)


@breaks("sequence_map", "value_missing", "cell_line")
def a_sequence_of_no_line(of: Release, source: random.Random) -> tuple[Release, str]:
    place = source.choice(screened(of))
    return put(of, "sequence_map", "ModelID", place, None)[0], line_of(place)


@breaks("sequence_map", "cell_line_id", "cell_line")
def a_line_by_its_name(of: Release, source: random.Random) -> tuple[Release, str]:
    value = source.choice(["A375", "ACH-1", "ach-000001", "ACH-0000011", "ACH 000001"])
    return put(of, "sequence_map", "ModelID", source.choice(screened(of)), value)


@breaks("sequence_map", "library_in_map", "library")
def another_library(of: Release, source: random.Random) -> tuple[Release, str]:
    library = source.choice(["KY", "avana", "Brunello"])
    return of.having("sequence_map", of.sequence_map.assign(Library=library)), library


@breaks("sequence_map", "sequences_left")
def no_sequence_that_passes(of: Release, source: random.Random) -> tuple[Release, str]:
    failed = of.sequence_map.assign(PassesQC=False)
    return of.having("sequence_map", failed), "failed quality control"


# ------------------------------------------------------------------------------------------- RNA


def number_in(of: Release, table: str, source: random.Random, value: float) -> tuple[Release, str]:
    """Put a number into some cell of a matrix."""
    frame: pd.DataFrame = getattr(of, table).copy()
    row, column = source.randrange(len(frame)), source.randrange(len(frame.columns))
    frame.iloc[row, column] = value
    return of.having(table, frame), f"line {row + 2}, {frame.columns[column]}: {value:g}"


def renamed_row(of: Release, table: str, place: int, label: str) -> Release:
    """Give a row of a matrix another label."""
    frame: pd.DataFrame = getattr(of, table)
    labels = list(frame.index)
    labels[place] = label
    return of.having(table, frame.set_axis(labels))


@breaks("rna", "rna_finite")
def rna_without_end(of: Release, source: random.Random) -> tuple[Release, str]:
    return number_in(of, "rna", source, source.choice([np.inf, -np.inf]))


@breaks("rna", "rna_not_negative")
def rna_below_zero(of: Release, source: random.Random) -> tuple[Release, str]:
    return number_in(of, "rna", source, source.choice([-1e-9, -0.5, -30.0]))


@breaks("rna", "rna_not_linear")
def rna_of_another_unit(of: Release, source: random.Random) -> tuple[Release, str]:
    return number_in(of, "rna", source, source.choice([40.1, 500.0, 1e5]))


@breaks("rna", "rna_gene_known")
def a_gene_of_unknown_rna(of: Release, source: random.Random) -> tuple[Release, str]:
    gene = source.choice(list(of.rna.columns))
    return of.having("rna", of.rna.assign(**{gene: np.nan})), gene


@breaks("rna", "rna_profile_known")
def a_line_of_unknown_rna(of: Release, source: random.Random) -> tuple[Release, str]:
    rna, place = of.rna.copy(), source.randrange(len(of.rna))
    rna.iloc[place] = np.nan
    return of.having("rna", rna), line_of(place)


@breaks("rna", "rna_gene_unique", "gene labels")
def a_gene_standing_twice(of: Release, source: random.Random) -> tuple[Release, str]:
    gene = source.choice(list(of.rna.columns))
    label = "OTHER " + gene.split(" ")[1]
    return of.having("rna", of.rna.assign(**{label: of.rna[gene]})), label


@breaks("rna", "gene_label", "gene labels")
def a_gene_by_its_symbol(of: Release, source: random.Random) -> tuple[Release, str]:
    gene = source.choice(list(of.rna.columns))
    label = gene.split(" ")[0]
    return of.having("rna", of.rna.rename(columns={gene: label})), repr(label)


@breaks("rna", "cell_line_id", "cell_line")
def a_profile_by_the_name_of_its_line(of: Release, source: random.Random) -> tuple[Release, str]:
    place = source.randrange(len(of.rna))
    return renamed_row(of, "rna", place, "HELA"), line_of(place, "HELA")


@breaks("rna", "value_missing", "cell_line")
def a_profile_of_no_line(of: Release, source: random.Random) -> tuple[Release, str]:
    place = source.randrange(len(of.rna))
    return renamed_row(of, "rna", place, ""), line_of(place)


@breaks("rna", "one_default_profile", "is_default")
def two_profiles_of_a_line(of: Release, source: random.Random) -> tuple[Release, str]:
    place = source.randrange(len(of.rna))
    twice = pd.concat([of.rna, of.rna.iloc[[place]]])
    return of.having("rna", twice), f"{of.rna.index[place]}: 2"


# ----------------------------------------------------------------------------------------- logFC


@breaks("logfc", "logfc_finite")
def a_change_without_end(of: Release, source: random.Random) -> tuple[Release, str]:
    return number_in(of, "logfc", source, source.choice([np.inf, -np.inf]))


@breaks("logfc", "logfc_range")
def a_change_out_of_range(of: Release, source: random.Random) -> tuple[Release, str]:
    return number_in(of, "logfc", source, source.choice([15.1, -15.1, 1e5]))


@breaks("logfc", "guide_measured")
def a_guide_without_a_value(of: Release, source: random.Random) -> tuple[Release, str]:
    logfc, place = of.logfc.copy(), source.randrange(len(of.logfc))
    logfc.iloc[place] = np.nan
    return of.having("logfc", logfc), line_of(place, of.logfc.index[place])


@breaks("logfc", "sequence_measured")
def a_sequence_without_a_value(of: Release, source: random.Random) -> tuple[Release, str]:
    sequence = source.choice(list(of.logfc.columns))
    return of.having("logfc", of.logfc.assign(**{sequence: np.nan})), repr(sequence)


@breaks("logfc", "guide_unique", "guide")
def a_guide_standing_twice(of: Release, source: random.Random) -> tuple[Release, str]:
    place = source.randrange(len(of.logfc))
    twice = pd.concat([of.logfc, of.logfc.iloc[[place]]])
    guide = of.logfc.index[place]
    return of.having("logfc", twice), f"{line_of(len(of.logfc), guide)}, first on {line_of(place)}"


@breaks("logfc", "guide_sequence", "guide")
def a_guide_of_the_wrong_length(of: Release, source: random.Random) -> tuple[Release, str]:
    place = source.randrange(len(of.logfc))
    guide = "ACGT" * source.choice([4, 6]) + source.choice("ACGT")
    return renamed_row(of, "logfc", place, guide), line_of(place, guide)


@breaks("logfc", "value_missing")
def a_row_of_no_label(of: Release, source: random.Random) -> tuple[Release, str]:
    place = source.randrange(len(of.logfc))
    return renamed_row(of, "logfc", place, ""), line_of(place)


@breaks("logfc", "guide_in_map", "guide", alone=False, reported_of="logfc+guide_map")
def a_guide_the_map_does_not_have(of: Release, source: random.Random) -> tuple[Release, str]:
    place, guide = source.randrange(len(of.logfc)), "TGCATGCATGCATGCATGCA"
    return renamed_row(of, "logfc", place, guide), line_of(place, guide)
