"""The gate: when each condition is met, and what explains that a hit of the champion is lost."""

from typing import Any

import pandas as pd
import pytest

from model.comparison.fits import ComparedFit, compare_fits
from model.comparison.promotion import AgainstChampion, evaluate_promotion, lost_hits
from schemas.promotion import CalibrationEvidence, GateSettings
from schemas.reports import Exclusion, PreparationReport
from tests.model.comparison.test_fits import fit

EVIDENCE = CalibrationEvidence(run_id="c1", verdict="pass", n_simulations=1200)
PACKAGED = CalibrationEvidence(packaged_with="SB 1.2", verdict="pass", n_simulations=1000)
OUTDATED = "the packaged one is out of date"
SOX10, IRF4, MYB, TP53 = "SOX10 (6663)", "IRF4 (3662)", "MYB (4602)", "TP53 (7157)"
HITS = {
    SOX10: (-1.0, 0.1, 0.0),
    IRF4: (-0.5, 0.1, 0.01),
    MYB: (0.4, 0.1, 0.02),
    TP53: (0.05, 0.1, 0.3),  # no hit
}


def slopes_of(run_id: str, slopes, settings=None, **summary) -> ComparedFit:
    columns = ["beta_mean", "beta_sd", "lfsr"]
    effects = pd.DataFrame.from_dict(slopes, orient="index", columns=columns)
    given: dict[str, Any] = {"release": "24Q4", "log_evidence": -100.0} | summary
    return fit(run_id, effects.reset_index(names="gene"), settings=settings or {}, **given)


def prepared(unit, reason, *genes: str) -> PreparationReport:
    losses = (Exclusion(unit=unit, reason=reason, count=len(genes), examples=genes),)
    return PreparationReport(losses=losses, n_genes=4, n_cell_lines=9, n_guides=8, n_measurements=9)


def against(
    b, a=HITS, champion=None, candidate=None, changed="", lost=("gene", "none"), **settings
) -> AgainstChampion:
    """The champion with slopes `a` and a candidate with slopes `b` and one other setting."""
    before = slopes_of("a", a, {changed: "0"}, **champion or {})
    after = slopes_of("b", b, {changed: "1"}, **candidate or {})
    comparison, genes = compare_fits("avana", before, after, GateSettings(**settings).comparison)
    return AgainstChampion("3", before, comparison, genes, prepared(*lost))


def decided(
    found=None, evidence=EVIDENCE, candidate=None, packaged=OUTDATED, given=None, **settings
):
    after, gate = slopes_of("b", HITS, given, **candidate or {}), GateSettings(**settings)
    decision = evaluate_promotion("avana", after, evidence, packaged, found, gate)
    return decision, {one.name: (one.met, one.detail) for one in decision.conditions}


def moved(gene: str, beta: float, sd: float = 0.05, lfsr: float = 0.4):
    return HITS | {gene: (beta, sd, lfsr)}


def without(gene: str, **more: tuple[float, float, float]):
    others = {name: one for name, one in HITS.items() if name != gene}
    return others | {f"{symbol} (6663)": one for symbol, one in more.items()}


@pytest.mark.parametrize(
    ("verdict", "evidence", "found", "failing"),
    [
        ("pass", EVIDENCE, against(HITS), []),
        ("review", EVIDENCE, against(HITS), ["verdict"]),
        ("pass", None, None, ["calibration"]),
        ("pass", EVIDENCE, against(moved(SOX10, 0.0)), ["lost hits"]),
        ("fail", None, against({}), ["verdict", "calibration", "lost hits"]),
    ],
)
def test_each_condition_can_refuse_a_fit(verdict, evidence, found, failing):
    decision, by_name = decided(found, evidence, {"verdict": verdict}, lfsr_max=0.04)
    assert decision.passed == (not failing)
    assert decision.outcome == (f"refused: {', '.join(failing)}" if failing else "passed")
    assert [name for name, (met, _) in by_name.items() if not met] == failing
    assert (decision.dataset, decision.candidate.run_id) == ("avana", "b")
    assert decision.settings == GateSettings(lfsr_max=0.04)
    assert decision.champion == (found and found.champion.summary)
    assert decision.champion_version == ("3" if found else "")
    assert ("no champion" in by_name["lost hits"][1]) == (found is None)
    assert not decision.model_copy(update={"conditions": ()}).passed


LOOSER = {"rhat_max": 1.5, "ess_min": 10}


@pytest.mark.parametrize(
    ("verdict", "asked", "thresholds", "met"),
    [
        ("pass", "pass", {}, True),
        ("review", "pass", {}, False),
        ("fail", "pass", {}, False),
        ("review", "review", {}, True),
        ("pass", "review", LOOSER, True),
        ("pass", "pass", LOOSER, False),
        ("pass", "pass", {"max_divergence_share": 0.5}, False),
        ("pass", "pass", {"rhat_max": 1.005, "predictive_p_min": 0.05}, True),
    ],
)
def test_the_verdict_is_at_least_the_one_asked_for_by_usual_thresholds(
    verdict, asked, thresholds, met
):
    limits = {f"thresholds.{name}": str(limit) for name, limit in thresholds.items()}
    _, by_name = decided(None, None, {"verdict": verdict}, given=limits, verdict=asked)
    found, detail = by_name["verdict"]
    assert found is met and ("--verdict review" in detail) == (not met and verdict != "fail")
    assert (f"rhat_max {LOOSER['rhat_max']} (1.01)" in detail) == (thresholds is LOOSER)


FEW = {"min_calibration_simulations": 60}


@pytest.mark.parametrize(
    ("n", "verdict", "settings", "words"),
    [
        (None, "", {}, f"and {OUTDATED}: run `screenbayes calibrate --model m4_nested --engine"),
        (1000, "pass", {}, ""),
        (1000, "fail", {}, "verdict fail, expected pass"),
        (999, "pass", {}, "of 999 simulations, has the verdict pass, but at least 1,000 are"),
        (60, "pass", FEW, ""),
        (59, "pass", FEW, "--simulations 60`"),
    ],
)
def test_the_latest_calibration_of_model_and_engine_has_passed_on_enough_simulations(
    n, verdict, settings, words
):
    evidence = n and EVIDENCE.model_copy(update={"verdict": verdict, "n_simulations": n})
    candidate = {"model": "m4_nested", "engine": "nuts"}
    met, detail = decided(None, evidence, candidate=candidate, **settings)[1]["calibration"]
    assert met == (not words) and words in detail and "of m4_nested by the engine nuts" in detail


@pytest.mark.parametrize(
    ("tracked", "packaged", "needed", "met", "words"),
    [
        (None, PACKAGED, 1000, True, "packaged with SB 1.2, of 1,000"),
        (EVIDENCE, PACKAGED, 1000, True, "run c1"),
        (EVIDENCE, PACKAGED, 1500, False, "run c1, of 1,200"),
        (EVIDENCE.model_copy(update={"n_simulations": 60}), PACKAGED, 1000, True, "SB 1.2"),
        (EVIDENCE.model_copy(update={"verdict": "fail"}), PACKAGED, 1000, False, "run c1"),
        (EVIDENCE, OUTDATED, 1500, False, OUTDATED),
    ],
)
def test_the_packaged_calibration_counts_where_none_in_mlflow_is_conclusive(
    tracked, packaged, needed, met, words
):
    given = {"priors.mu_beta": "Normal(0, 0.5)"}
    settings = {"min_calibration_simulations": needed}
    _, by_name = decided(None, tracked, packaged=packaged, given=given, **settings)
    found, detail = by_name["calibration"]
    assert found == met and words in detail
    assert ("--priors 'mu_beta=Normal(0, 0.5)'`" in detail) == (not met)


NESTED = {"model": "m4_nested", "log_evidence": -50.0}
BETTER = "m4_nested has the higher log evidence"
NOWHERE = {SOX10: (False, "in no table of the release")}
NO_RNA = ("gene", "no RNA", SOX10)


@pytest.mark.parametrize(
    ("slopes", "given", "lost"),
    [
        (HITS, {}, {}),
        (moved(SOX10, -0.05), {}, {SOX10: (False, "-1 -> -0.05, local false sign rate 0 -> 0.4")}),
        # A hit with the opposite sign is as good as none, and explained by the same causes.
        (moved(SOX10, 1.0, lfsr=0.0), {}, {SOX10: (False, "opposite sign: beta -1 -> 1")}),
        (moved(SOX10, 0.2), {}, {SOX10: (False, "beta -1 -> 0.2, local")}),
        (
            moved(IRF4, 0.5, lfsr=0.0),
            {"practical_difference": 2.0},
            {IRF4: (True, "opposite sign: the slope changed by less")},
        ),
        # The practical difference.
        (moved(IRF4, -0.47), {}, {IRF4: (True, "practical difference of 0.1")}),
        (moved(IRF4, -0.3), {}, {IRF4: (False, "beta -0.5 -> -0.3")}),
        (moved(IRF4, -0.3), {"practical_difference": 0.5}, {IRF4: (True, "difference of 0.5")}),
        # What a hit is.
        (moved(IRF4, -0.2, lfsr=0.05), {}, {}),
        (moved(IRF4, -0.2, lfsr=0.03), {"lfsr_max": 0.005}, {}),
        (moved(MYB, 0.0), {"lfsr_max": 0.02}, {MYB: (False, "beta 0.4 -> 0")}),
        (without(TP53), {}, {}),
        # A gene that is renamed, or not in the candidate.
        (without(SOX10, WS4=HITS[SOX10]), {}, {}),
        (without(SOX10), {}, NOWHERE),
        (without(SOX10), {"lost": ("guide", "no gene", SOX10)}, NOWHERE),
        (without(SOX10), {"lost": NO_RNA}, {SOX10: (True, "excluded: no RNA")}),
        (without(SOX10), {"lost": ("gene", "no RNA", "WS4 (6663)")}, {SOX10: (True, "no RNA")}),
        *(
            (without(SOX10), {"lost": NO_RNA, "changed": changed}, {SOX10: (explained, "no RNA")})
            for changed, explained in (
                ("filters.genes", False), ("preparation.min_rna_sd", False), ("engine", True),
            )
        ),
        # Evidence for another model from the same measurements.
        *(
            (moved(SOX10, 0.0), {"champion": champion, "candidate": candidate, "changed": changed},
             {SOX10: (explained, BETTER if explained else "beta -1 -> 0")})
            for champion, candidate, changed, explained in (
                ({}, NESTED, "engine", True),
                ({"log_evidence": -50.5}, NESTED, "", True),
                ({"log_evidence": -50.0}, NESTED, "", False),
                ({}, NESTED | {"log_evidence": -150.0}, "", False),
                ({"data_digest": "other"}, NESTED, "", False),
                ({}, NESTED, "filters.cell_lines", False),
            )
        ),
    ],
)  # fmt: skip
def test_a_lost_hit_is_explained_or_not(slopes, given, lost):
    settings = {name: given[name] for name in given if name in GateSettings.model_fields}
    found = {one.gene: one for one in lost_hits(against(slopes, **given), GateSettings(**settings))}
    assert [*found] == [*lost]
    for gene, (explained, words) in lost.items():
        assert found[gene].explained == explained and words in found[gene].why
        assert found[gene].opposite_sign == ("opposite sign" in found[gene].why)
        assert found[gene].opposite_sign == words.startswith("opposite sign")


def test_hits_with_the_opposite_sign_refuse_a_fit_and_are_named_first():
    slopes = without(SOX10) | {IRF4: (0.5, 0.1, 0.0), MYB: (-0.01, 0.001, 0.0)}
    before = HITS | {MYB: (0.01, 0.001, 0.0)}
    decision, _ = decided(against(slopes, before))
    assert decision.outcome == "refused: lost hits"
    assert [one.gene for one in decision.lost_hits] == [IRF4, SOX10, MYB]
