"""The report: complete, self-contained, safe against what stands in tables."""

from __future__ import annotations

from dataclasses import replace
from html.parser import HTMLParser
from typing import Any

import numpy as np
import pandas as pd
import pytest

from model.influence import Influence
from schemas.columns import GENE_EFFECTS
from schemas.dataset import Dataset
from schemas.parameters import FitParameters
from schemas.reports import InfluenceSummary, Loss, PreparationReport, Verdict
from tasks.report import render_report
from tests.tasks.fits import PNG, check_of, convergence_of, results_of


class Page(HTMLParser):
    """A page as its tags and its text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.pieces: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.pieces.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.pieces).split())

    def sources(self) -> list[str]:
        return [attributes["src"] or "" for tag, attributes in self.tags if tag == "img"]


def effects_of(**changes: Any) -> pd.DataFrame:
    """Three genes with every column of the table of genes."""
    table = pd.DataFrame({name: [0.25, 0.5, 0.75] for name in GENE_EFFECTS})
    table["gene"] = ["SOX10 (6663)", "MYB (4602)", "IRF4 (3662)"]
    table = table.assign(call=["negative", "none", "positive"], call_reason="")
    return table.assign(beta_mean=[-1.25, -0.5, 0.125], n_guides=4, **changes)


def page(**changes: Any) -> Page:
    results = replace(results_of(), **{"effects": effects_of(), **changes})
    command = "screenbayes fit avana.yaml --seed 103"
    return Page(render_report(results, "run-17", command, {"pymc": "6.4.0"}))


def page_of(engine: str) -> Page:
    results = results_of(engine=engine)
    return page(tree=results.tree, convergence=results.convergence)


def test_nothing_is_fetched_and_nothing_runs():
    shown = page()
    assert {tag for tag, _ in shown.tags}.isdisjoint({"script", "link", "iframe", "object"})
    addresses = [
        value
        for _, attributes in shown.tags
        for name, value in attributes.items()
        if name in {"src", "href", "srcset"} and value is not None
    ]
    assert addresses
    assert all(address.startswith("data:image/") for address in addresses)


@pytest.mark.parametrize(
    ("content", "start"),
    [(PNG, "data:image/png;base64,iVBOR"), (b"<svg/>", "data:image/svg+xml;base64,")],
)
def test_pictures_are_embedded(content, start):
    assert page(figures={"trace": content}).sources()[0].startswith(start)


def test_a_picture_unknown_here_is_shown_all_the_same():
    shown = page(figures={"trace": PNG, "guide_spread": PNG})
    assert len(shown.sources()) == 2
    assert "guide spread" in shown.text


@pytest.mark.parametrize("status", ["pass", "review", "fail"])
def test_the_verdict_is_in_words_with_its_reasons(status):
    verdict = Verdict(status=status, reasons=("R-hat is 1.7.",), notes=("Guides differ.",))
    shown = page(verdict=verdict)
    assert f"Verdict: {status}" in shown.text
    assert "R-hat is 1.7." in shown.text
    assert "Notes, which do not change the verdict: Guides differ." in shown.text
    assert ("section", {"class": f"verdict {status}"}) in shown.tags


def test_markup_in_a_label_stays_text():
    name = "<script>alert(1)</script> (7)"
    shown = page(effects=effects_of().assign(gene=[name, "B", "C"]))
    assert name in shown.text
    assert "script" not in {tag for tag, _ in shown.tags}


def test_data_and_their_digests_are_named():
    text = page().text
    for expected in ("Avana sample", "24Q4", "/release/rna.csv", "2" * 64):
        assert expected in text
    assert f"content of all tables: {results_of().data_digest}" in text


def test_warnings_of_the_validation_are_shown():
    assert "rna_high" in page().text
    assert "check the units" in page().text


def test_losses_are_shown_with_reason_and_examples():
    loss = Loss(unit="gene", reason="RNA varies too little", count=25, examples=tuple("ABCDEFGHIJ"))
    report = PreparationReport(
        losses=(loss,), n_genes=105, n_cell_lines=41, n_guides=408, n_measurements=35063
    )
    text = page(preparation=report).text
    assert "25 gene RNA varies too little A, B, C, D, E, F, G, H, I, J, …" in text
    assert "35,063 measurements" in text


@pytest.mark.parametrize(
    ("model", "formula", "has_mu_gamma"),
    [
        ("m4", "γ c ~ Normal(μ γ , σ γ )", True),
        ("m4_zero_mean", "γ c ~ Normal(0, σ γ )", False),
        ("m4_nested", "ζ kc ~ Normal(0, σ guide line )", True),
    ],
)
def test_formula_and_priors_are_those_of_the_model(model, formula, has_mu_gamma):
    text = page(parameters=FitParameters(model=model)).text
    assert formula in text
    assert ("mu_gamma Normal(0, 2) Mean over cell lines" in text) == has_mu_gamma
    assert "mu_beta Normal(0, 1)" in text
    nested = model == "m4_nested"
    assert ("+ δ k + ε gc + ζ kc , σ)" in text) == nested
    assert ("sigma_gene_line Exponential(1) SD over gene-line cells" in text) == nested


def test_convergence_stands_beside_its_limits():
    text = page(convergence=convergence_of(rhat_max=1.6789)).text
    assert "rhat_max 1.679 at most 1.01" in text


def test_the_convergence_shown_is_that_of_the_engine_that_ran():
    sampled, integrated = page(), page_of("exact")
    assert "bfmi_min 0.9000 at least 0.3" in sampled.text
    assert "importance_efficiency" not in sampled.text and "Log evidence" not in sampled.text
    for row in (
        "pareto_k 0.1250 at most 0.7",
        "importance_efficiency 0.8750 times the points at least 400",
        "log_evidence −123.5",
        "interpolation_error 0.0003000 at most 0.1",
    ):
        assert row in integrated.text
    assert "Log evidence compares models" in integrated.text
    for row in ("bfmi_min 0.9", "divergences 0", "step_size_min"):
        assert row in sampled.text and row not in integrated.text
    assert "engine exact; library" in integrated.text


def test_captions_speak_of_what_the_engine_has():
    assert "Chains that have found" in page().text
    integrated = page_of("exact").text
    assert "Chains that" not in integrated
    assert "Batches of independent draws that have found" in integrated


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (1.004, "1.004"),
        (812.5, "812.5"),
        (35063, "35,063"),
        (1.0, "1"),
        (8385.2, "8,385"),
        (np.inf, "inf"),
    ],
)
def test_numbers_are_written_to_be_read(value, shown):
    assert (
        f"ess_bulk_min {shown} at least 400"
        in page(convergence=convergence_of(ess_bulk_min=value)).text
    )


def test_a_number_that_could_not_be_computed_is_said_so():
    assert "rhat_max not known" in page(convergence=convergence_of(rhat_max=np.nan)).text


def test_every_check_is_shown_with_its_stage():
    text = page(checks=(check_of("sd", 0.31), check_of("mean", 1.0, "prior"))).text
    assert "sd posterior 0.100 0 −1 to 1 0.310" in text
    assert "mean prior 0.100 0 −1 to 1 > 0.998" in text


def test_the_genes_stand_in_the_order_of_the_table_and_the_rest_is_counted():
    many = pd.concat([effects_of(call="none")] * 10, ignore_index=True)
    many["gene"] = [f"GENE{number}" for number in range(30)]
    text = page(effects=many).text
    assert "The 20 most negative of 30 genes" in text
    assert text.index("GENE0 ") < text.index("GENE19 ")
    assert "GENE20" not in text


def test_none_or_all_of_the_draws_are_no_certainty():
    text = page(
        effects=effects_of(prob_negative=1.0, lfsr=0.0),
        convergence=convergence_of(n_draws=200),
    ).text
    assert "SOX10 (6663) negative – −1.25 0.250 0.250 to 0.250 0.250 > 0.995 < 0.005 0.250" in text


@pytest.mark.parametrize(("value", "shown"), [(0.4, True), (np.nan, False)])
def test_slopes_per_log2_unit_are_shown_where_they_have_a_meaning(value, shown):
    text = page(effects=effects_of(beta_per_log2_mean=value)).text
    assert ("Beta per log2(TPM+1)" in text) == shown


def test_it_says_how_to_reproduce():
    text = page().text
    for expected in (
        "run-17",
        "screenbayes fit avana.yaml --seed 103",
        "pymc 6.4.0",
        "sampling.draws 2000",
        "filters.genes all",
        "parameters.json",
    ):
        assert expected in text


def test_a_dataset_name_is_in_the_title():
    dataset = Dataset(name="KY", release="25Q2", library="KY", folder="release")
    html = page(dataset=dataset).text
    assert html.startswith("KY 25Q2: m4, pass")


def test_genes_without_a_call_stand_with_their_reason():
    effects = effects_of(
        call=["negative", "none", "not enough data"],
        call_reason=["", "", "measured in fewer than 10 cell lines"],
    )
    text = page(effects=effects).text
    assert "1 fitted, but measured in fewer than 10 cell lines IRF4 (3662)" in text
    assert "1 not fitted: RNA SD below 0.1 TP53 (7157)" in text
    assert "Calls: 1 negative, 0 positive, 1 none, 1 not enough data" in text


def test_positive_calls_are_named():
    assert "the largest first: IRF4 (3662) 0.125." in page().text
    assert "Called positive" not in page(effects=effects_of(call="none")).text


def test_the_first_table_says_which_effects_rest_on_one_line():
    effects = effects_of(
        most_influential_line="ACH-000007",
        carried_by_one_line=pd.array([True, False, None], "boolean"),
    )
    text = page(effects=effects).text
    assert "Gene Call Rests on Beta per SD" in text
    assert "SOX10 (6663) negative ACH-000007 −1.25" in text
    assert "MYB (4602) none −0.500" in text and "IRF4 (3662) positive – 0.125" in text
    assert "1 of the 1 called that were looked at rests on one cell line" in text


@pytest.mark.parametrize(
    ("n_lineages", "shown"),
    [(0, "n_lineages – Lineages"), (4, "n_lineages 4 Lineages")],
)
def test_numbers_of_lineages_are_no_zeros_where_these_are_not_known(n_lineages, shown):
    summary = InfluenceSummary(
        elpd_lolo=-61.5,
        elpd_lolo_se=8385.2,
        pareto_k_max=0.5,
        n_genes=3,
        n_genes_of_screen=3,
        n_genes_carried_by_one_line=1,
        n_lineages=n_lineages,
        n_genes_carried_by_one_lineage=0,
        n_genes_marking_a_lineage=0,
    )
    table = pd.DataFrame()
    text = page(influence=Influence(summary, table, table, table, None)).text
    assert shown in text and "elpd_lolo_se 8,385 Its" in text
    assert ("n_genes_marking_a_lineage – " in text) == (n_lineages == 0)
