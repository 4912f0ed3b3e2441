"""Spoils of files: cut off, of another kind, or without what the contract names."""

import pandas as pd

from tests.spoiled.spoil import complete_release, content, entry, frame, long_release

POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a21\nsize 1234567\n"
PAGE = b"\n<!DOCTYPE html>\n<html><body>Log in</body></html>\n"


def longer_line(before: bytes) -> bytes:
    lines = before.split(b"\n")
    return b"\n".join([*lines[:9], lines[9] + b",0.1", *lines[10:]])


FILES = (
    content("a web page as the guide map", "guide_map", "html_page", lambda _: PAGE),
    content("a compressed file cut off", "logfc", "truncated", lambda was: was[:500], ".csv.gz"),
    content("a file cut off within a row", "rna", "truncated", lambda was: was[:200]),
    content("a row of one column more", "logfc", "uneven_rows", longer_line),
    content("semicolons", "guide_map", "wrong_delimiter", lambda was: was.replace(b",", b";")),
    content("a value without a name at the end of a line", "rna", "unnamed_column",
            lambda was: was.replace(b"\n", b",\n").replace(b",\nACH", b",7\nACH").replace(
                b",7\n", b",\n", 1)),
    content("a pointer of Git LFS", "logfc", "pointer_file", lambda _: POINTER),
    content("a pointer of git-annex as Parquet", "rna", "pointer_file",
            lambda _: b"../.git/annex/objects/Kx/MD5E-s4--0.parquet", ".parquet"),
    content("Zarr", "rna", "unknown_suffix", lambda was: was, ".zarr"),
    frame("a custom download of the portal", "rna", "foreign_table",
          lambda rna: rna.set_axis([f"G{n}" for n in range(5)], axis=1).assign(
              lineage_1="Skin", cell_line_display_name=rna.index), "without Entrez numbers"),
    frame("the guide map as log fold changes", "logfc", "other_table",
          lambda _: complete_release().guide_map, "the columns are those of guide_map"),
    frame("genes x cell lines as RNA", "rna", "transposed", lambda rna: rna.T),
    frame("RNA as log fold changes", "logfc", "gene_matrix",
          lambda _: complete_release().rna, "got genes as columns and"),
    frame("gene effects as log fold changes", "logfc", "gene_level",
          lambda _: complete_release().rna - 4, "5 genes without guides"),
    frame("gene effects beyond any log fold change", "logfc", "logfc_range",
          lambda _: 9 * (complete_release().rna - 4), "column "),
    content("a no-break space in a number", "logfc", "not_a_number",
            lambda was: was.replace(b",0.", b",\xc2\xa00.", 1)),
    content("an empty file", "sequence_map", "empty_file", lambda _: b""),
    content("200,001 columns", "rna", "too_large", lambda _: b"A" + b"," * 200_000 + b"\n"),
    content("carriage returns", "guide_map", "damaged_file", lambda w: w.replace(b"\n", b"\r")),
    content("noise as Parquet", "rna", "damaged_file", lambda _: bytes(range(256)), ".parquet"),
    content("a workbook named as CSV", "guide_map", "wrong_format", lambda _: b"PK\x03\x04...."),
    content("an unknown suffix", "guide_map", "unknown_suffix", lambda was: was, ".xlsx"),
    content("a repeated header", "sequence_map", "repeated_header",
            lambda was: was.partition(b"\n")[0] + b"\n" + was),
    content("Latin-1", "sequence_map", "not_utf8", lambda w: w.replace(b"failed", b"\xe9chec")),
    frame("text among the RNA", "rna", "not_a_number",
          lambda rna: rna.astype(object).replace({rna.iat[1, 3]: "high"}),
          "got 'high' on line 3, column 'G3 (4)'"),
    frame("a header of logFC alone", "logfc", "table_empty", lambda logfc: logfc.iloc[:0]),
    frame("a column of another name", "guide_map", "unknown_layout",
          lambda guides: guides.rename(columns={"sgRNA": "barcode"}), "for current it lacks sgRNA"),
    frame("a repeated column", "guide_map", "duplicate_column",
          lambda guides: pd.concat([guides, guides[["Gene"]]], axis=1),
          "got twice: Gene"),
    frame("two columns of log fold changes", "logfc", "ambiguous_column",
          lambda long: long.rename(columns={"logfc": "LFC"}).assign(log2fc=0.5), of=long_release),
    entry("a mapped column that is missing", "logfc", "mapped_column_missing", "columns",
          {"gene": "target"}),
    entry("no file", "rna", "missing_file", "rna", "nowhere.csv"),
    entry("no sequence map named", "sequence_map", "missing_table", "sequence_map", None),
)  # fmt: skip
