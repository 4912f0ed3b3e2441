"""A file that is no table is named by its first bytes; headers are read as libraries write them."""

import pytest

from schemas.tables.containers import TableFormatError
from schemas.tables.heads import check_head, is_padded, name_columns, parse_header, without_padding


@pytest.mark.parametrize(
    ("head", "rule", "words"),
    [
        (b"\xef\xbb\xbf \r\n", "empty_file", ""),
        (b"<?xml version='1.0'?><Error><Code>NoSuchKey", "html_page", ""),
        (b"<html>\xe9" + b"a" * 50, "html_page", f"begins '<html>\ufffd{'a' * 33}'; download"),
        (b"PAR1\x15", "wrong_format", "got a Parquet file"),
    ],
)
def test_what_is_no_table_is_named(head: bytes, rule: str, words: str):
    with pytest.raises(TableFormatError) as refused:
        check_head("logfc", "x.csv", head)
    error = refused.value
    assert (error.table, error.location, error.rule) == ("logfc", "x.csv", rule)
    assert words in f"{error.message}; {error.remedy}"


@pytest.mark.parametrize(
    "head", [b"Gene\nA\nA\n", b",HB11;19_RepA\nACGT,1\n", b"a,b\r\n1,2", b"Gene\nA;B\nC\tD\n"]
)
def test_a_table_is_accepted(head: bytes):
    check_head("logfc", "x.csv", head)


def test_a_header_is_parsed_as_csv():
    assert parse_header("logfc", "x.csv", b'\xef\xbb\xbf"","a,b", c \r\n') == ("", "a,b", " c ")
    assert parse_header("logfc", "x.csv", b"\xef\xbb\xbfa,b") == ("a", "b")
    assert parse_header("logfc", "x.csv", b"\n") == ("",)
    assert name_columns(["Unnamed: 0", "index"]) == ("", "index")
    assert name_columns(["__index_level_0__"]) == name_columns(["index"]) == ("",)
    of_r = ["X", "HLA.A..3105.", "SOX10..6663.", "A2058..c903.R1"]
    assert name_columns(of_r) == ("", "HLA.A (3105)", "SOX10 (6663)", "A2058..c903.R1")


def test_blanks_beside_every_delimiter_are_no_part_of_values():
    assert is_padded(b"\xef\xbb\xbf, A (1), B (2)\n") and is_padded(b"a ,b ,c \n")
    assert not is_padded(b"a, b,c\n") and not is_padded(b"a\n")
    padded = b'  a , "b, ""c" ,d\r\n e ,, f \n'
    assert without_padding(padded) == b'a,"b, ""c",d\r\ne,,f\n'
    assert without_padding(b"a , b\n c,\td \n") == b"a,b\nc,\td\n"
