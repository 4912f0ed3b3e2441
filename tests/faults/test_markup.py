"""Labels that look like markup: HTML, Markdown, mathematics. They are shown as they are.

Labels that cannot be shown as they are, such as formulas, are refused (`test_labels`).
"""

from __future__ import annotations

from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pandas as pd
import pytest
from markdown_it import MarkdownIt

from deployments.exit_codes import VERDICT_FAIL
from schemas.refresh import SeenRelease
from schemas.reports import ValidationReport, Verdict
from tasks.front_page import NOTE, run_note
from tasks.render_refresh import refresh_markdown
from tasks.render_result import result_markdown
from tasks.render_validation import validation_markdown
from tests.faults.catalogue import Area, Left, fault
from tests.faults.commands import Command
from tests.integration.runs import artifact, runs_in
from tests.tasks.fits import results_of

LABELS = {
    "a script": "<script>alert(1)</script>",
    "a picture from elsewhere": "![x](http://127.0.0.1:9/x.png)",
    "a link that runs": "[x](javascript:alert(1))",
    "a cell of a table": "a|b |",
    "code and emphasis": "`a` **b** _c_ ~~d~~",
    "mathematics": r"$\frac$ $",
    "markup of terminals": "[red]x[/red]",
    "a template": "{{ 7 * 7 }} {% raw %}",
    "an entity": "&lt;b&gt;",
    "a path": "../../etc/passwd",
}
READER = MarkdownIt("commonmark").enable(["table", "strikethrough"])


def shown_in(page: str) -> tuple[set[str], str]:
    """The kinds of marks within the lines of a page of Markdown, and all its words."""
    lines = [token for token in READER.parse(page) if token.type != "fence"]
    words = [child for token in lines for child in token.children or ()]
    blocks = {token.type for token in lines if token.type.startswith("html")}
    return blocks | {word.type for word in words}, "\n".join(
        "".join(child.content for child in token.children or ()) for token in lines
    )


@pytest.mark.parametrize(
    "label",
    [
        pytest.param(
            label,
            marks=fault(
                Area.EXPORTS,
                f"a gene, a release or a cell of a refused table that looks like {what}",
                made="this label, on pages in Markdown",
                left="the label, as it is",
            ),
            id=what,
        )
        for what, label in LABELS.items()
    ],
)
def test_a_label_on_a_page(label: str) -> None:
    results = results_of()
    verdict = Verdict(status="fail", reasons=(f"R-hat of beta_g[{label}]",), notes=(label,))
    genes = results.effects["gene"].where(results.effects.index > 0, label)
    effects = results.effects.assign(gene=genes, beta_sd=0.1, lfsr=0.5)
    results = replace(results, verdict=verdict, effects=effects)
    finding = results.validation.findings[0].model_copy(
        update={"found": (label,), "column": label, "mend": label}
    )
    report = ValidationReport(dataset="a", release="b", tables=(), findings=(finding,))
    seen = SeenRelease(
        dataset_file=f"s3://a/{label}.yaml", name=label, status="refused", detail=label
    )
    pages = {
        "the result": (result_markdown(results, "sqlite:///mlflow.db"), 3),
        "the note in MLflow": (run_note(results, "1", "a" * 32), 3),
        "the validation": (validation_markdown(report), 3),
        "the releases": (refresh_markdown("s3://a", (seen,)), 3),
    }
    ours = {"text", "text_special", "softbreak", "strong_open", "strong_close", "code_inline"}
    for name, (page, times) in pages.items():
        links = {"link_open", "link_close"} if name == "the note in MLflow" else set()
        kinds, words = shown_in(page)
        assert kinds <= ours | links, name
        assert words.count(label) >= times, (name, words)


class Page(HTMLParser):
    """The elements of a page and its words."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: set[str] = set()
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.add(tag)

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.mark.integration
@pytest.mark.slow
@fault(
    Area.EXPORTS,
    "a screen whose genes and cell lines look like scripts, links, mathematics, templates, paths",
    made="these labels in the long table, and a fit",
    code=VERDICT_FAIL,
    told=("Tracked as run", *list(LABELS.values())[:5]),
    left=Left.WHOLE,
)
def test_a_screen_of_such_labels(begun: Command, screen: Path) -> None:
    path = screen.parent / "simulated_screen.csv"
    table = pd.read_csv(path)
    for column in ("gene", "cell_line"):
        names = table[column].unique()
        new = dict(zip(names, LABELS.values(), strict=False))
        table[column] = table[column].map(lambda name, new=new: new.get(name, name))
    table.to_csv(path, index=False)
    begun("fit", screen, "--draws", "100")
    (run,) = runs_in(begun.folder)
    genes = set(table["gene"])
    assert set(pd.read_csv(artifact(run, "gene_effects.csv"))["gene"]) == genes
    page = Page(artifact(run, "report.html").read_text(encoding="utf-8"))
    assert not page.elements & {"script", "a", "b"}
    assert all(gene in page.text for gene in genes)
    kinds, words = shown_in(run.data.tags[NOTE])
    assert not kinds & {"image", "html_inline", "html_block", "em_open"}
    assert all(gene in words for gene in genes)
    assert len(list(artifact(run, "plots").iterdir())) >= 15
