"""The result in a page of Prefect: verdict, how it was computed, the genes that stand out."""

from __future__ import annotations

from dataclasses import replace

import pandas as pd
import pytest

from schemas.reports import Convergence
from tasks.render_result import (
    how_computed,
    rests_on,
    result_markdown,
    said_of_genes,
    said_of_known_genes,
)
from tests.tasks.fits import GENES, KNOWN, convergence_of, results_of

NEITHER = Convergence.model_validate(convergence_of().model_dump() | {"nuts": None, "exact": None})


@pytest.mark.parametrize(
    ("convergence", "line"),
    [
        (
            convergence_of("exact"),
            "exact: importance efficiency 0.88, Pareto k 0.12, log evidence -123.5",
        ),
        (
            convergence_of(divergences=3),
            "nuts: largest R-hat 1.004, smallest effective sample size 640, 3 divergent draws",
        ),
        (NEITHER, "the engine left no diagnostics of its own"),
    ],
)
def test_how_it_was_computed_stands_in_a_line(convergence, line):
    assert how_computed(convergence) == line


def rows_at(page, gene):
    return next(number for number, line in enumerate(page) if line.startswith(f"| {gene}"))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (
            {},
            "Known expression addictions: 12 of 20 listed genes compared; 9 called negative, 1 "
            "positive (share of negative among the calls, 89 % interval: 0.70 to 0.97). Of 300 "
            "other genes 30 are called negative (enrichment p = 3e-07); AUC of the slopes 0.91, "
            "89 % interval 0.85 to 0.96.",
        ),
        (
            {"n_others": 0, "n_negative": 0, "n_positive": 0},
            "Known expression addictions: 12 of 20 listed genes compared; 0 called negative, 0 "
            "positive. All fitted genes are listed: there are no others to compare them with.",
        ),
        (
            {"n_others": 1, "auc_low": float("nan"), "n_negative": 0, "n_positive": 0},
            "Known expression addictions: 12 of 20 listed genes compared; 0 called negative, 0 "
            "positive. Not listed: 1 of the fitted genes, too few to compare with.",
        ),
        (
            {"n_compared": 0},
            "Known expression addictions: none of 20 listed genes was fitted with enough data for "
            "a call.",
        ),
    ],
)
def test_known_genes_in_words(changes, said):
    assert said_of_known_genes(KNOWN.model_copy(update={"enrichment_p": 3e-7, **changes})) == said


def test_the_page_holds_verdict_engine_genes_and_address():
    columns = ("beta_mean", "beta_sd", "beta_hdi_low", "beta_hdi_high", "lfsr")
    call = ["positive", "negative", "none"]
    effects = pd.DataFrame(
        {"gene": GENES, "call": call, **{name: [0.5, -1.0, 0.0] for name in columns}}
    )
    results = replace(results_of(status="review", engine="exact"), effects=effects)
    page = result_markdown(results, "http://127.0.0.1:5000/#/runs/1").splitlines()
    assert page[0] == "# Avana sample 24Q4, m4: review"
    assert page[2].endswith(" measurements.") and page[2].startswith("3 genes, ")
    assert how_computed(results.convergence) in page
    assert "- R-hat is 1.7; draw more." in page
    rows = [line for line in page if line.startswith("| ") and "---" not in line]
    assert [row.split(" | ")[0] for row in rows[1:]] == [f"| {GENES[n]}" for n in (1, 2, 0)]
    assert rows[1].endswith(" | < 0.005 |") and rows[3].endswith(" | 0.500 |")
    # Above the genes: below them nobody would see it.
    assert page[4] == "[The run in MLflow](http://127.0.0.1:5000/#/runs/1)"
    assert "| MYB (4602) | negative | – | -1.000" in page[rows_at(page, "MYB")]
    assert (
        "Calls: 1 negative, 1 positive, 1 none, 0 not enough data; 1 genes were not fitted "
        "(genes_without_effect.csv)." in page
    )


def carried_of(lines, lineages=None):
    """Effects of as many genes as flags are given, called but for the last."""
    effects = pd.DataFrame({"carried_by_one_line": pd.array(lines, "boolean")})
    effects["most_influential_line"] = "ACH-000007"
    effects["call"] = ["negative"] * (len(lines) - 1) + ["none"]
    if lineages is not None:
        effects["carried_by_one_lineage"] = pd.array(lineages, "boolean")
        effects["most_influential_lineage"] = "Skin"
    return effects


@pytest.mark.parametrize(
    ("effects", "words"),
    [
        (carried_of([True, False, None]), ["ACH-000007", "", "–"]),
        (carried_of([True, False, None], [True, True, None]), ["ACH-000007", "Skin", "–"]),
        (pd.DataFrame({"gene": ["A", "B"]}), ["–", "–"]),
    ],
)
def test_a_gene_is_marked_with_what_its_effect_rests_on(effects, words):
    assert rests_on(effects).tolist() == words


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        ([True, True, False, True], "; 2 of the 3 called rest on one cell line; "),
        ([True, False, False], "; 1 of the 2 called rests on one cell line; "),
        ([True, None, False], "; 1 of the 1 called that were looked at rests on one cell line; "),
    ],
)
def test_it_is_said_how_many_calls_rest_on_one_line(flags, said):
    (line,) = said_of_genes(replace(results_of(), effects=carried_of(flags)))
    assert said in line


@pytest.mark.parametrize("flags", [[None, None], [True]])  # the last is not called
def test_nothing_is_said_of_calls_of_which_none_was_looked_at(flags):
    (line,) = said_of_genes(replace(results_of(), effects=carried_of(flags)))
    assert "cell line" not in line
