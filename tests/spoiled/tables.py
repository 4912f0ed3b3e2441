"""Spoils of one table that break any release, whatever is wrong with its other tables."""

from typing import Any

import numpy as np
import pandas as pd

from tests.spoiled.cells import GUIDE
from tests.spoiled.spoil import line_of, row, with_cell


def again(table: pd.DataFrame, place: int, **other: Any) -> pd.DataFrame:
    """Repeat a row of a table at its end, with some values changed."""
    row: pd.DataFrame = table.iloc[[place]].assign(**other)
    return pd.concat([table, row])


def bare_rows(table: pd.DataFrame, _: int) -> tuple[pd.DataFrame, str]:
    for place in (len(table), len(table) + 1):
        table = with_cell(again(table, 0), place, "sgRNA", None)
        table = with_cell(table, place, "Gene", None)
    return table, line_of(len(table) - 1)


def name_of(labels: pd.Index, place: int) -> str:
    return labels[place % len(labels)]


def empty_row(table: pd.DataFrame, place: int) -> pd.DataFrame:
    table = table.copy()
    table.iloc[place] = np.nan
    return table


def other(gene: str) -> str:
    """Return another symbol with the same number."""
    return f"OTHER {gene.split(' ')[1]}"


TABLES = (
    row("rows of neither guide nor gene", "guide_map", "guide", "value_missing", bare_rows),
    row("a guide repeated in its map", "guide_map", "guide", "guide_map_unique",
        lambda guides, i: (again(guides, i), guides["sgRNA"].iloc[i])),
    row("a guide of two genes", "guide_map", "guide", "guide_of_one_gene",
        lambda guides, i: (again(guides, i, Gene="OTHER (98)"),
                           "{}: {}, OTHER (98)".format(*guides[["sgRNA", "Gene"]].iloc[i]))),
    row("two symbols of one number", "guide_map", "gene", "gene_of_one_symbol",
        lambda guides, i: (again(guides, i, Gene=other(guides["Gene"].iloc[i]), sgRNA=GUIDE),
                           other(guides["Gene"].iloc[i]))),
    row("no guide in use", "guide_map", "", "guides_left",
        lambda guides, _: (guides.assign(UsedByChronos=False),
                           f"{len(guides)} of {len(guides)}: not used by the release")),
    row("a sequence repeated in its map", "sequence_map", "sequence", "sequence_unique",
        lambda sequences, i: (again(sequences, i),
                              line_of(len(sequences), sequences["SequenceID"].iloc[i]))),
    row("another library", "sequence_map", "library", "library_in_map",
        lambda sequences, _: (sequences.assign(Library="Brunello"), "it has Brunello")),
    row("no sequence that passes", "sequence_map", "", "sequences_left",
        lambda sequences, _: (sequences.assign(PassesQC=False), ": failed quality control")),
    row("a gene without RNA", "rna", "", "rna_gene_known",
        lambda rna, i: (rna.assign(**{name_of(rna.columns, i): np.nan}), name_of(rna.columns, i))),
    row("a profile without RNA", "rna", "", "rna_profile_known",
        lambda rna, i: (empty_row(rna, i), line_of(i))),
    row("two columns of one gene", "rna", "gene labels", "rna_gene_unique",
        lambda rna, i: (rna.assign(**{other(name_of(rna.columns, i)): 1.0}),
                        other(name_of(rna.columns, i)))),
    row("a column of no known gene", "rna", "gene labels", "rna_gene_label",
        lambda rna, i: (rna.assign(novel=range(len(rna))), "'novel'")),
    row("an unused guide of no known gene", "guide_map", "gene", "unused_gene_label",
        lambda guides, i: (with_cell(guides, len(guides) - 1, "Gene", "unknown"),
                           line_of(len(guides) - 1, "unknown"))),
    row("genes by other names", "rna", "gene labels", "gene_label",
        lambda rna, i: (rna.set_axis([f"ENSG{n:011}" for n in range(rna.shape[1])], axis=1),
                        "'ENSG00000000000'")),
    row("a guide without a value", "logfc", "", "guide_measured",
        lambda logfc, i: (empty_row(logfc, i), line_of(i, logfc.index[i]))),
    row("a sequence without a value", "logfc", "", "sequence_measured",
        lambda logfc, i: (logfc.assign(**{name_of(logfc.columns, i): np.nan}),
                          repr(name_of(logfc.columns, i)))),
    row("a repeated guide", "logfc", "guide", "guide_unique",
        lambda logfc, i: (again(logfc, i),
                          f"{line_of(len(logfc), logfc.index[i])}, first on {line_of(i)}")),
)  # fmt: skip
