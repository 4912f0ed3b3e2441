"""Words in Markdown stay words: a reader of Markdown finds nothing else in them."""

from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from schemas.reports import TableSummary, ValidationReport
from tasks.reports.markdown import as_text, markdown_table
from tasks.reports.validation import validation_markdown

READER = MarkdownIt("commonmark").enable(["table", "strikethrough"])
MARKS = "\\`*_[]()~<>&|!#$:;'\"{}+-.="


def read(markdown: str) -> list[tuple[set[str], str]]:
    """The kinds of inline marks that a reader finds in each block, and what it shows."""
    inline = [token.children or () for token in READER.parse(markdown) if token.type == "inline"]
    return [({one.type for one in row}, "".join(one.content for one in row)) for row in inline]


@given(st.text(st.sampled_from(f"{MARKS}abc 1"), max_size=20))
def test_words_are_shown_and_do_nothing(words: str):
    for before, after in (("", ""), ("note: ", ".")):
        line = f"- {before}{as_text(words)}{after}"
        assert {token.tag for token in READER.parse(line)} <= {"ul", "li", "p", ""}
        shown = f"{before}{' '.join(words.split())}{after}".strip()
        ((kinds, read_words),) = read(line) or [(set(), "")]
        assert kinds <= {"text", "text_special"} and read_words == shown


@given(st.lists(st.text(st.sampled_from(MARKS + "ab "), max_size=8), min_size=2, max_size=3))
def test_cells_stay_cells(cells: list[str]):
    page = "\n".join(markdown_table(tuple("abc"[: len(cells)]), [cells]))
    shown = [words for _, words in read(page)[len(cells) :]]
    assert shown == [" ".join(cell.split()) for cell in cells]


def test_escape_sequences_in_names_of_files_are_shown_and_not_obeyed() -> None:
    one = TableSummary(table="rna", location="\x1b[2J", layout="", n_rows=1, n_columns=1, sha256="")
    report = ValidationReport(dataset="d", release="1", tables=(one,), findings=())
    shown = {words for _, words in read(validation_markdown(report))}
    assert r"\x1b[2J" in shown
