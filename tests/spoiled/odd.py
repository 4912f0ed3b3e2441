"""Odd tables that are read as the sound ones are, and the rules that report what was done."""

import random
from collections.abc import Callable
from dataclasses import dataclass, replace

import pandas as pd

from schemas.tables.matching import r_name
from tests.property.releases import Release
from tests.spoiled.spoil import content, frame

RANDOM = random.Random(1)


@dataclass(frozen=True)
class Odd:
    """A release whose statistics are those of the sound one."""

    name: str
    change: Callable[[Release], Release]
    rules: tuple[str, ...] = ()

    def __str__(self) -> str:
        return self.name


def written(name: str, table: str, change: Callable[[bytes], bytes], suffix: str = ".csv") -> Odd:
    return Odd(name, lambda of: content(name, table, "", change, suffix).change(of, RANDOM)[0])


def table(
    name: str, table: str, change: Callable[[pd.DataFrame], pd.DataFrame], *rules: str
) -> Odd:
    return Odd(name, lambda of: frame(name, table, "", change).change(of, RANDOM)[0], rules)


def symbols(names: pd.Index | pd.Series) -> list[str]:
    return [str(name).split(" ")[0] for name in names]


def of_r(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.rename(columns=r_name)


def long(rna: pd.DataFrame) -> pd.DataFrame:
    """Return RNA as the R package depmap has it."""
    rows = rna.rename_axis("depmap_id").reset_index().melt("depmap_id", var_name="gene")
    return rows.rename(columns={"value": "rna_expression"}).assign(cell_line="X_SKIN")


def both_by_symbol(of: Release) -> Release:
    guides = of.guide_map
    return replace(of, guide_map=guides.assign(Gene=symbols(guides["Gene"])))


def numbered(was: bytes) -> bytes:
    """Write the number of each row before it, and no name of that column."""
    header, *rows = was.splitlines()
    return b"\n".join([header, *(b"%d,%s" % pair for pair in enumerate(rows, 1)), b""])


def tabs(was: bytes) -> bytes:
    return was.replace(b",", b"\t")


SPACED, BOM = b", ", b"\xef\xbb\xbf"
ODD = (
    written("empty lines on top", "logfc", lambda was: b"\n\r\n,,,\n" + was),
    written("a line that names the delimiter", "guide_map", lambda was: BOM + b"sep=,\n" + was),
    written("tabs in a file named .csv", "logfc", tabs),
    written("tabs in a file named .txt", "guide_map", tabs, ".txt"),
    written("commas in a file named .tsv", "sequence_map", bytes, ".tsv"),
    written("blanks after commas", "rna", lambda was: was.replace(b",", SPACED)),
    written("blanks after commas of text", "guide_map", lambda was: was.replace(b",", SPACED)),
    written("blanks around commas", "logfc", lambda was: was.replace(b",", b" ,  ")),
    written("commas at the end of lines", "rna", lambda was: was.replace(b"\n", b",\n")),
    written("three commas at the end", "sequence_map", lambda was: was.replace(b"\n", b",,,\n")),
    written("no name of row labels, by R", "rna", lambda was: was[1:]),
    written("row numbers without a name, by R", "guide_map", numbered),
    written("V1 by data.table", "rna", lambda was: b"V1" + was),
    written("Unnamed: 0 by pandas", "logfc", lambda was: b"Unnamed: 0" + was),
    written("DepMap_ID", "rna", lambda was: b"DepMap_ID" + was),
    table("genes named by R", "rna", of_r),
    table("copy number of genes named by R", "copy_number", of_r),
    table("sequences named by R", "logfc", of_r, "sequences_matched"),
    table("RNA by the R package depmap", "rna", long),
    table("RNA by symbol", "rna", lambda rna: rna.set_axis(symbols(rna.columns), axis=1),
          "genes_matched"),
    table("RNA by Entrez number", "rna", lambda rna: rna.set_axis(list("12345"), axis=1),
          "genes_matched"),
    table("RNA by symbol and Ensembl", "rna", lambda rna: rna.set_axis(
        [f"{one} (ENSG00000000{n:03})" for n, one in enumerate(symbols(rna.columns))], axis=1),
        "genes_matched"),
    table("controls by symbol", "nonessential",
          lambda genes: genes.assign(Gene=symbols(genes["Gene"])), "genes_matched"),
    Odd("a guide map by symbol", both_by_symbol, ("genes_matched",)),
    table("a column of another gene", "rna", lambda rna: rna.assign(novel=1.5), "rna_gene_label"),
)  # fmt: skip
