"""The report of a fit: complete, self-contained, and safe against what stands in tables."""

from html.parser import HTMLParser
from typing import Any

import numpy as np
import pandas as pd
import pytest

from model.effects.copy_number import FLAG
from schemas.column_catalog import COPY_NUMBER_OF_GENES, GENE_EFFECTS
from schemas.parameters import FitParameters
from schemas.reports import Exclusion, PreparationReport
from schemas.trace import TraceOrigin
from tasks.reports.fit import describe_computation
from tasks.reports.html import render_report
from tests.model.predictive_checks import check_of
from tests.tasks.fits import FIGURES, PNG, convergence_of, influence_of, results_of
from tests.tasks.reports.pages import require_page

COMMAND = "screenbayes fit avana.yaml --seed 103"
BLOCKS = {"tr", "p", "li", "h1", "h2", "h3", "figcaption", "pre", "div", "br", "section", "title"}


class Page(HTMLParser):
    """A page as its tags and its text, a block a line and a cell after a bar."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self._lines: list[list[str]] = [[]]
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag in BLOCKS:
            self._lines.append([])
        elif tag in {"td", "th"}:
            self._lines[-1].append("|")

    def handle_data(self, data):
        if self.tags and self.tags[-1][0] != "style":
            self._lines[-1].append(data)

    @property
    def text(self) -> str:
        lines = (" ".join(" ".join(line).split()) for line in self._lines)
        return "".join(f"{line}\n" for line in lines if line)


def effects_of(**changes: Any) -> pd.DataFrame:
    """Three genes with every column of the table of genes."""
    table = pd.DataFrame({name: [0.25, 0.5, 0.75] for name in GENE_EFFECTS})
    table["gene"] = ["SOX10 (6663)", "MYB (4602)", "IRF4 (3662)"]
    table = table.assign(call=["negative", "none", "positive"], call_reason="")
    return table.assign(beta_mean=[-1.25, -0.5, 0.125], n_guides=4, **changes)


def page(
    engine: str = "nuts", model: str = "m4", figures: dict[str, bytes] = FIGURES, **changes: Any
) -> Page:
    parameters = FitParameters.model_validate({"model": model})
    results = results_of(parameters, engine=engine, **({"effects": effects_of()} | changes))
    return Page(render_report(results, figures, "run-17", COMMAND, {"pymc": "6.4.0"}))


LOSSES = (
    Exclusion(unit="gene", reason="RNA varies too little", count=25, examples=tuple("ABCDEFGHIJ")),
    Exclusion(unit="sequence", reason="failed quality control", count=1, examples=("X_A",)),
)
PREPARATION = PreparationReport(
    losses=LOSSES, **{"n_genes": 105, "n_cell_lines": 41, "n_guides": 408, "n_measurements": 35063}
)


def test_the_report_of_a_sampled_fit_is_the_one_that_is_kept():
    shown = page(
        preparation=PREPARATION,
        convergence=convergence_of(rhat_max=1.6789, ess_bulk_min=35063, mcse_mean_max_ratio=np.nan),
        checks=(check_of("sd", 0.31), check_of("mean", 1.0, "prior")),
        effects=effects_of(
            call=["negative", "none", "not enough data"],
            call_reason=["", "", "measured in fewer than 10 cell lines"],
            carried_by_one_line=pd.array([True, False, None], "boolean"),
            most_influential_line="ACH-000007",
            **dict.fromkeys(COPY_NUMBER_OF_GENES, -0.375)
            | {"call_without_copy_number": "negative", FLAG: [False, True, False]},
        ),
        influence=influence_of(n_lineages=0),
        figures={"trace": PNG, "volcano": PNG, "guide_spread": b"<svg/>"},
        status="review",
    )
    require_page("report_nuts.txt", shown.text.partition("All settings")[0])
    assert "filters.genes all" in shown.text and "filters.without_cell_lines none" in shown.text
    assert "sampling.draws auto" in shown.text


def test_the_report_of_an_imported_integrated_fit_is_the_one_that_is_kept():
    origin = TraceOrigin(location="old.nc", sha256="a1" * 32, library="pymc3", version="3.9.3")
    effects = effects_of(prob_negative=1.0, lfsr=0.0, beta_per_log2_mean=np.nan)
    measured = convergence_of("exact", ess_bulk_min=8385.2, ess_tail_min=np.inf, rhat_max=1.0)
    changes = {"origin": origin, "effects": effects, "convergence": measured}
    shown = page("exact", "m4_nested", influence=influence_of(), **changes)
    require_page("report_exact.txt", shown.text.partition("All settings")[0])


@pytest.mark.parametrize(
    ("pareto_k", "lower_bound"), [(0.5, False), (0.501, True), (np.nan, True), (0.9, True)]
)
def test_the_error_of_the_evidence_is_a_lower_bound_above_a_pareto_k(pareto_k, lower_bound):
    measured = convergence_of("exact", pareto_k=pareto_k, log_evidence_mcse=0.0125)
    shown = page("exact", "m4_nested", convergence=measured).text
    assert ("a lower bound: Pareto k above 0.5" in shown) == lower_bound
    words = describe_computation(measured)
    assert ("-123.5 with a Monte Carlo error of at least 0.013" in words) == lower_bound
    assert words.endswith("log evidence -123.5") != lower_bound


def test_nothing_is_fetched_and_nothing_runs_whatever_the_labels():
    name = "<script src='a'>alert(1)</script> (7)"
    figures = {"trace": PNG, "guide_spread": b"<svg/>"}
    shown = page(effects=effects_of().assign(gene=[name, "B", "C"]), figures=figures)
    assert name in shown.text
    assert {tag for tag, _ in shown.tags}.isdisjoint({"script", "link", "iframe", "object"})
    addresses = [
        str(value)[:26]
        for _, attributes in shown.tags
        for name, value in attributes.items()
        if name in {"src", "href", "srcset"}
    ]
    sections = {address for address in addresses if address.startswith("#")}
    assert sections <= {f"#{attributes.get('id')}" for _, attributes in shown.tags}
    others = [address for address in addresses if address not in sections]
    assert others == ["data:image/png;base64,iVBO", "data:image/svg+xml;base64,"]


def test_the_verdict_is_in_words_and_colour():
    shown = page(status="fail", model="m4_zero_mean")
    assert "Verdict: fail – " in shown.text
    assert ("p", {"class": "verdict fail"}) in shown.tags
    assert "γ c ~ Normal(0, σ γ )" in shown.text and "| mu_gamma |" not in shown.text
