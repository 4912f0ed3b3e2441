"""Text that came with a file is shown, and does nothing to the terminal."""

import pytest

from schemas.plain_text import MOST_CHARACTERS, is_plain_label, visible
from schemas.reports import Finding


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("SOX10 (6663)", "SOX10 (6663)"),
        ("café cafe\u0301 日本", "café cafe\u0301 日本"),
        ("\x1b[2Ja", r"\x1b[2Ja"),
        ("a\tb\r\n", r"a\tb\r\n"),
        ("\u202egnp.exe", r"\u202egnp.exe"),
        ("\ud800", r"\ud800"),
    ],
)
def test_what_cannot_be_printed_is_written_out(text, shown):
    assert visible(text) == shown


def test_line_breaks_of_ours_stay():
    assert visible("a\n\x07b", keep="\n") == "a\n\\x07b"


def test_what_a_finding_shows_is_on_a_line_and_ends():
    words = {"table": "rna", "rule": "r", "severity": "error", "expected": "", "mend": ""}
    odd = {"column": "\x1b[31m", "found": ("a\nb", "c" * 10**6), "count": 2}
    finding = Finding.model_validate(words | odd)
    assert finding.column == r"\x1b[31m"
    assert finding.found[0] == r"a\nb"
    assert len(finding.found[1]) < MOST_CHARACTERS + 10


def test_formulas_and_what_terminals_obey_are_no_labels():
    good = ["SOX10 (6663)", "HLA-A (3105)", "Hs 746.T", "a\xa0b", "日本", "1=1"]
    bad = ["=1+1", "+1", "-1", "@SUM", " =1", "\t=1", "a\nb", "\x1b[2J", "\u202ea", "a\0"]
    assert [label for label in good + bad if is_plain_label(label)] == good
