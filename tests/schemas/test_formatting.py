"""Text that came with a file is shown and does nothing; shares are no surer than their draws."""

import math

import pytest

from schemas.formatting import (
    MOST_CHARACTERS,
    cut_list,
    escape_unprintable,
    format_p_value,
    format_probability,
    is_plain_label,
)
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
    assert escape_unprintable(text) == shown
    assert escape_unprintable(f"{text}\n\x07", keep="\n").endswith("\n\\x07")


def test_what_a_finding_shows_is_on_a_line_and_ends():
    words = {"table": "rna", "rule": "r", "severity": "error", "expected": "", "remedy": ""}
    odd = {"column": "\x1b[31m", "found": ("a\nb", "c" * 10**6), "count": 2}
    finding = Finding.model_validate(words | odd)
    assert finding.column == r"\x1b[31m"
    assert finding.found[0] == r"a\nb"
    assert len(finding.found[1]) < MOST_CHARACTERS + 10


def test_formulas_and_what_terminals_obey_are_no_labels():
    good = ["SOX10 (6663)", "HLA-A (3105)", "Hs 746.T", "a\xa0b", "日本", "1=1"]
    bad = ["=1+1", "+1", "-1", "@SUM", " =1", "\t=1", "a\nb", "\x1b[2J", "\u202ea", "a\0"]
    assert [label for label in good + bad if is_plain_label(label)] == good


@pytest.mark.parametrize(
    ("value", "n_draws", "words"),
    [
        *((0.31, 500, "0.310"), (0.0, 500, "< 0.002"), (1.0, 500, "> 0.998")),
        *((0.0, 16_000, "< 0.00006"), (0.999875, 8_000, "0.9999"), (0.998, 8_000, "0.9980")),
        (1 - 0.999875, 8_000, "0.0001"),  # a little below 1 / 8,000
        (1e-5, 8_000, "< 0.0001"),  # a mean of shares may be
        (math.nan, 500, "not known"),
    ],
)
def test_a_share_of_draws_is_as_sure_as_its_draws(value, n_draws, words):
    assert format_probability(value, n_draws) == words
    assert format_p_value(value, n_draws) == f"p {'' if words[0] in '<>' else '= '}{words}"


def test_a_list_is_cut_after_a_whole_item_and_says_so():
    names = ", ".join(f"SIM{i}" for i in range(1000))
    cut = cut_list(names, 60)
    assert cut == "SIM0, SIM1, SIM2, SIM3, SIM4, SIM5, SIM6 ... and 993 more"
    assert cut_list(names[:60], 60) == names[:60] and cut_list("x" * 61, 60) == "x" * 56 + " ..."
