"""Spoils of whole tables, by table, that break any release whatever is wrong with its others."""

from __future__ import annotations

import random
from collections.abc import Callable

import numpy as np
import pandas as pd

from tests.property.releases import Release
from tests.spoiled.cells import GUIDE
from tests.spoiled.spoil import Change, Spoil, Spoiled, line_of, put, rows_in_use

TABLES: list[Spoil] = []


def breaks(table: str, rule: str, column: str = "") -> Callable[[Change], Change]:
    """Add a change of a table to the list, under the rule and the column that answer it."""

    def register(change: Change) -> Change:
        TABLES.append(Spoil(change.__name__.replace("_", " "), table, rule, change, column))
        return change

    return register


def row_again(of: Release, table: str, place: int, **other: str) -> Release:
    """Repeat a row of a table at its end, with some values changed."""
    frame = of.table(table)
    return of.having(table, pd.concat([frame, frame.iloc[[place]].assign(**other)]))


@breaks("guide_map", "value_missing", "guide")
def rows_of_neither_guide_nor_gene(of: Release, _: random.Random) -> Spoiled:
    bare = row_again(row_again(of, "guide_map", 0), "guide_map", 0)
    for place in (-2, -1):
        for column in ("sgRNA", "Gene"):
            bare = put(bare, "guide_map", column, place, None)
    return bare, line_of(len(bare.guide_map) - 1)


@breaks("guide_map", "guide_map_unique", "guide")
def a_guide_repeated_in_its_map(of: Release, source: random.Random) -> Spoiled:
    place = source.choice(rows_in_use(of, "guide_map"))
    return row_again(of, "guide_map", place), of.guide_map["sgRNA"].iloc[place]


@breaks("guide_map", "guide_of_one_gene", "guide")
def a_guide_of_two_genes(of: Release, source: random.Random) -> Spoiled:
    place = source.choice(rows_in_use(of, "guide_map"))
    guide, gene = of.guide_map[["sgRNA", "Gene"]].iloc[place]
    return row_again(of, "guide_map", place, Gene="OTHER (99)"), f"{guide}: {gene}, OTHER (99)"


@breaks("guide_map", "gene_of_one_symbol", "gene")
def two_symbols_of_one_number(of: Release, source: random.Random) -> Spoiled:
    place = source.choice(rows_in_use(of, "guide_map"))
    label = "OTHER " + of.guide_map["Gene"].iloc[place].split(" ")[1]
    return row_again(of, "guide_map", place, Gene=label, sgRNA=GUIDE), label


@breaks("guide_map", "guides_left")
def no_guide_in_use(of: Release, source: random.Random) -> Spoiled:
    n_all, unused = len(of.guide_map), {"UsedByChronos": False}
    if source.random() < 0.5:
        several = of.guide_map.assign(nAlignments=2.0, UsedByChronos=True)
        return of.having("guide_map", several), f"{n_all} of {n_all}: alignments other than one"
    found = f"{n_all} of {n_all}: not used by the release"
    return of.having("guide_map", of.guide_map.assign(**unused)), found


@breaks("guide_map", "unknown_layout")
def a_guide_map_without_one_column(of: Release, source: random.Random) -> Spoiled:
    column = source.choice(list(of.guide_map.columns))
    return of.having("guide_map", of.guide_map.drop(columns=column)), column


@breaks("sequence_map", "sequence_unique", "sequence")
def a_sequence_repeated_in_its_map(of: Release, source: random.Random) -> Spoiled:
    place = source.choice(rows_in_use(of, "sequence_map"))
    sequence = of.sequence_map["SequenceID"].iloc[place]
    return row_again(of, "sequence_map", place), line_of(len(of.sequence_map), sequence)


@breaks("sequence_map", "library_in_map", "library")
def another_library(of: Release, source: random.Random) -> Spoiled:
    library = source.choice(["KY", "avana", "Brunello"])
    return of.having("sequence_map", of.sequence_map.assign(Library=library)), library


@breaks("sequence_map", "sequences_left")
def no_sequence_in_use(of: Release, source: random.Random) -> Spoiled:
    column, value, reason = source.choice(
        [
            ("PassesQC", False, "failed quality control"),
            ("ExcludeFromCRISPRCombined", True, "excluded by the release"),
            ("ScreenType", "3DO", "screen type other than 2DS"),
        ]
    )
    return of.having("sequence_map", of.sequence_map.assign(**{column: value})), reason


@breaks("rna", "rna_gene_known")
def a_gene_without_rna(of: Release, source: random.Random) -> Spoiled:
    gene = source.choice(list(of.rna.columns))
    return of.having("rna", of.rna.assign(**{gene: np.nan})), gene


@breaks("rna", "rna_profile_known")
def a_profile_without_rna(of: Release, source: random.Random) -> Spoiled:
    rna, place = of.rna.copy(), source.randrange(len(of.rna))
    rna.iloc[place] = np.nan
    return of.having("rna", rna), line_of(place)


@breaks("rna", "rna_gene_unique", "gene labels")
def two_columns_of_one_gene(of: Release, source: random.Random) -> Spoiled:
    gene = source.choice(list(of.rna.columns))
    label = "OTHER " + gene.split(" ")[1]
    return of.having("rna", of.rna.assign(**{label: of.rna[gene]})), label


@breaks("rna", "gene_label", "gene labels")
def a_gene_by_its_symbol(of: Release, source: random.Random) -> Spoiled:
    gene = source.choice(list(of.rna.columns))
    label = gene.split(" ")[0]
    return of.having("rna", of.rna.rename(columns={gene: label})), repr(label)


@breaks("rna", "one_default_profile", "is_default")
def two_profiles_of_a_line(of: Release, source: random.Random) -> Spoiled:
    place = source.randrange(len(of.rna))
    twice = pd.concat([of.rna, of.rna.iloc[[place]]])
    return of.having("rna", twice), f"{of.rna.index[place]}: 2"


@breaks("logfc", "guide_measured")
def a_guide_without_a_value(of: Release, source: random.Random) -> Spoiled:
    logfc, place = of.logfc.copy(), source.randrange(len(of.logfc))
    logfc.iloc[place] = np.nan
    return of.having("logfc", logfc), line_of(place, of.logfc.index[place])


@breaks("logfc", "sequence_measured")
def a_sequence_without_a_value(of: Release, source: random.Random) -> Spoiled:
    sequence = source.choice(list(of.logfc.columns))
    return of.having("logfc", of.logfc.assign(**{sequence: np.nan})), repr(sequence)


@breaks("logfc", "guide_unique", "guide")
def a_repeated_guide(of: Release, source: random.Random) -> Spoiled:
    place, guides = source.randrange(len(of.logfc)), of.logfc.index
    twice = pd.concat([of.logfc, of.logfc.iloc[[place]]])
    found = f"{line_of(len(guides), guides[place])}, first on {line_of(place)}"
    return of.having("logfc", twice), found
