"""What a table that cannot be read says."""

from __future__ import annotations

from schemas.screen import TableFormatError


def test_a_table_that_cannot_be_read_says_which_where_and_what_to_do():
    error = TableFormatError("rna", "a.csv", "empty_file", "there is nothing in it", "fetch it")
    assert str(error) == "rna (a.csv): there is nothing in it; fetch it"
    assert vars(error) == {
        "table": "rna",
        "location": "a.csv",
        "rule": "empty_file",
        "message": "there is nothing in it",
        "mend": "fetch it",
    }
