"""Labels that look like markup: HTML, Markdown, mathematics. They are shown as they are.

Labels that cannot be shown as they are, such as formulas, are refused (`test_labels`).
"""

from __future__ import annotations

from dataclasses import replace

import pytest
from markdown_it import MarkdownIt

from schemas.refresh import SeenRelease
from schemas.reports import ValidationReport, Verdict
from tasks.front_page import run_note
from tasks.render_refresh import refresh_markdown
from tasks.render_result import result_markdown
from tasks.render_validation import validation_markdown
from tests.faults.catalogue import Area, fault
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
