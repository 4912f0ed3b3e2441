"""Words in Markdown stay words: read with a reader of Markdown, nothing else is found."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from tasks.markdown import as_text, markdown_row, markdown_table

READER = MarkdownIt("commonmark").enable(["table", "strikethrough"])
MARKS = "\\`*_[]()~<>&|!#$:;'\"{}+-.="


def read(markdown: str) -> tuple[set[str], str]:
    """The kinds of inline marks that a reader finds in a line, and what it shows."""
    inline = [token for token in READER.parse(markdown) if token.type == "inline"]
    children = [child for token in inline for child in token.children or ()]
    return {child.type for child in children}, "".join(child.content for child in children)


@given(st.text(st.sampled_from(f"{MARKS}abc 1"), max_size=20))
def test_words_are_shown_and_do_nothing(words: str) -> None:
    for before, after in (("", ""), ("note: ", ".")):
        page = READER.parse(f"- {before}{as_text(words)}{after}")
        assert {token.tag for token in page} <= {"ul", "li", "p", ""}
        kinds, shown = read(f"- {before}{as_text(words)}{after}")
        assert kinds <= {"text", "text_special"}
        assert shown == f"{before}{' '.join(words.split())}{after}".strip()


@given(st.lists(st.text(st.sampled_from(MARKS + "ab "), max_size=8), min_size=2, max_size=3))
def test_cells_stay_cells(cells: list[str]) -> None:
    header = tuple("abc"[: len(cells)])
    page = "\n".join(markdown_table(header, [cells]))
    inline = [token for token in READER.parse(page) if token.type == "inline"][len(cells) :]
    shown = ["".join(child.content for child in token.children or ()) for token in inline]
    assert shown == [" ".join(cell.split()) for cell in cells]


@pytest.mark.parametrize(
    "name",
    ["SOX10 (6663)", "HLA_A", "ACH-000001", "beta_mean_a", "a -> b", "< 0.001", "-1.5", "R & D"],
)
def test_usual_names_stay_as_they_are(name: str) -> None:
    assert as_text(name) == name


def test_marks_of_ours_in_a_row_are_marks() -> None:
    assert "strong_open" in read(f"x {markdown_row(('**not met**', 'a|b'))}")[0]
