"""What is said of a file that is no table, or none of ours: rule, what came, what to do."""

from __future__ import annotations

import pytest

from schemas.layouts import check_head, parse_header, recognise
from schemas.screen import TableFormatError, TableName

HEADS = {
    b"": "empty_file: expected a table, the file is empty; fetch it again",
    b"\xef\xbb\xbf \r\n": "empty_file: expected a table, the file is empty; fetch it again",
    **{
        start + b" lang='en'><body>": (
            "html_page: expected a table, got a web page that begins "
            f"\"{start.decode()} lang='en'><body>\"; fetch the file itself; a login or error page "
            "was saved under its name"
        )
        for start in (b"<!DOCTYPE html", b"<html", b"<head", b"<?xml")
    },
    **{
        magic + b"\x00": (
            f"wrong_format: expected comma-separated text, got {what} file; save it as CSV or give "
            "it its own suffix (.csv, .csv.gz, .parquet, .hdf5 are read)"
        )
        for magic, what in (
            (b"PK\x03\x04", "a zip or Excel"),
            (b"PAR1", "a Parquet"),
            (b"\x89HDF", "an HDF5"),
        )
    },
    b"<html>\xe9" + b"a" * 50: (
        "html_page: expected a table, got a web page that begins "
        f"'<html>\ufffd{'a' * 33}'; fetch the file itself; a login or error page was saved under "
        "its name"
    ),
    b"guide\tgene\n1\t2\n": (
        "wrong_delimiter: expected columns separated by commas, the header has tabs; save the "
        "table comma-separated"
    ),
    b"guide;gene\n1,5;2\n": (
        "wrong_delimiter: expected columns separated by commas, the header has semicolons; save "
        "the table comma-separated"
    ),
    b"a,b\na,b\n1,2\n": (
        "repeated_header: the header stands twice, on lines 1 and 2; delete one of them"
    ),
}
FIRST_LINES = {
    "a,é".encode("latin-1"): (
        "not_utf8: expected UTF-8 text, line 1 has the byte 0xe9; save the table as UTF-8"
    ),
    b"a,b\r1,2": (
        "damaged_file: expected lines that end with a line feed, the header has a carriage return "
        "alone; save the table as plain CSV"
    ),
}
HEADERS: dict[tuple[TableName, str], str] = {
    ("guide_map", "sgRNA,Gene,sgrna,gene"): (
        "unknown_layout: expected the columns of one of [current: sgRNA, Gene, nAlignments, "
        "UsedByChronos] [older: sgrna, gene, n_alignments], got sgRNA, Gene, sgrna, gene; for "
        "older it lacks n_alignments; name the right file or rename its columns"
    ),
    ("rna", "a,b"): (
        "unknown_layout: expected the columns of one of [several_profiles: SequencingID, ModelID, "
        "IsDefaultEntryForModel, one column a gene] [one_profile: (unnamed), one column a gene], "
        "got a, b; name the right file or rename its columns"
    ),
    ("guide_map", "sgrna,gene,n_alignments,sgrna,gene"): (
        "duplicate_column: expected each column once, got twice: sgrna, gene; delete or rename one "
        "of them"
    ),
    ("model_table", ""): (
        "unknown_layout: expected the columns of one of [current: ModelID, OncotreeLineage] "
        "[older: DepMap_ID, lineage], got (unnamed); name the right file or rename its columns"
    ),
    ("model_table", "ModelID,a"): (
        "unknown_layout: expected the columns of one of [current: ModelID, OncotreeLineage] "
        "[older: DepMap_ID, lineage], got ModelID, a; for current it lacks OncotreeLineage; name "
        "the right file or rename its columns"
    ),
    ("guide_map", "sgrna,a,b,c,d,e,f,g,h,i,j,k,l"): (
        "unknown_layout: expected the columns of one of [current: sgRNA, Gene, nAlignments, "
        "UsedByChronos] [older: sgrna, gene, n_alignments], got sgrna, a, b, c, d, e, f, g, h, i, "
        "j, k, ... (13 columns); for older it lacks gene, n_alignments; name the right file or "
        "rename its columns"
    ),
    ("guide_map", "a,b,c,d,e,f,g,h,i,j,k,l"): (
        "unknown_layout: expected the columns of one of [current: sgRNA, Gene, nAlignments, "
        "UsedByChronos] [older: sgrna, gene, n_alignments], got a, b, c, d, e, f, g, h, i, j, "
        "k, l; name the right file or rename its columns"
    ),
}


def said(error: pytest.ExceptionInfo[TableFormatError]) -> str:
    one = error.value
    assert (one.table, one.location) in {(name, "x.csv") for name, _ in HEADERS}
    return f"{one.rule}: {one.message}; {one.mend}"


@pytest.mark.parametrize(("head", "words"), HEADS.items())
def test_a_head_of_no_table(head: bytes, words: str) -> None:
    with pytest.raises(TableFormatError) as refused:
        check_head("guide_map", "x.csv", head)
    assert said(refused) == words


def test_a_delimiter_further_down_is_a_value() -> None:
    check_head("essential", "x.csv", b"Gene\nA;B\nC\tD\n")


def test_a_first_column_with_a_name_keeps_it() -> None:
    assert parse_header("guide_map", "x.csv", b"\xef\xbb\xbfa,b") == ("a", "b")


@pytest.mark.parametrize(("line", "words"), FIRST_LINES.items())
def test_a_header_that_cannot_be_read(line: bytes, words: str) -> None:
    with pytest.raises(TableFormatError) as refused:
        parse_header("guide_map", "x.csv", line)
    assert said(refused) == words


@pytest.mark.parametrize(("table", "header", "words"), [(*key, HEADERS[key]) for key in HEADERS])
def test_a_header_of_no_layout(table: TableName, header: str, words: str) -> None:
    with pytest.raises(TableFormatError) as refused:
        recognise(table, "x.csv", header.split(","))
    assert said(refused) == words
