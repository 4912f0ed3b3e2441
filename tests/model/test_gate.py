"""The gate: each condition met and not met, and what explains the loss of a hit."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from model.compare import ComparedFit, compare_fits
from model.gate import AgainstChampion, decide, lost_hits, nothing_to_decide
from schemas.comparison import FitSummary
from schemas.gate import CalibrationEvidence, GateSettings
from schemas.parameters import Thresholds
from schemas.reports import Loss, PreparationReport

EVIDENCE = CalibrationEvidence(run_id="c1", verdict="pass", n_simulations=60)
HITS = {
    "SOX10 (6663)": (-1.0, 0.1, 0.0),
    "IRF4 (3662)": (-0.5, 0.1, 0.01),
    "MYB (4602)": (0.4, 0.1, 0.02),
    "TP53 (7157)": (0.05, 0.1, 0.3),  # no hit
}


def fit(run_id: str, **changes: object) -> FitSummary:
    given = {
        "run_id": run_id,
        "release": "24Q4",
        "model": "m4",
        "engine": "exact",
        "verdict": "pass",
        "data_digest": "d",
        "n_genes": 4,
        "n_cell_lines": 40,
        "n_measurements": 1000,
        "log_evidence": -100.0,
    }
    return FitSummary.model_validate(given | changes)


def effects(genes: dict[str, tuple[float, float, float]]) -> pd.DataFrame:
    table = pd.DataFrame.from_dict(genes, orient="index", columns=["beta_mean", "beta_sd", "lfsr"])
    return table.reset_index(names="gene")


def compared(summary, slopes, settings=None) -> ComparedFit:
    empty = pd.DataFrame({"parameter": [], "mean": [], "sd": []})
    return ComparedFit(summary, effects(slopes), settings or {}, empty)


def preparation(**reasons: str) -> PreparationReport:
    losses = tuple(
        Loss(unit="gene", reason=reason, count=1, examples=(f"{name} (6663)",))
        for name, reason in reasons.items()
    )
    return PreparationReport(
        losses=losses, n_genes=4, n_cell_lines=40, n_guides=8, n_measurements=1000
    )


def against(
    b: dict[str, tuple[float, float, float]],
    *,
    champion: FitSummary | None = None,
    candidate: FitSummary | None = None,
    parameters: tuple[dict[str, str], dict[str, str]] = ({}, {}),
    prepared: PreparationReport | None = None,
    settings: GateSettings = GateSettings(),
) -> AgainstChampion:
    """The champion, with HITS, beside a candidate with these slopes."""
    before = compared(
        champion or fit("a", data_digest="before", log_evidence=None), HITS, parameters[0]
    )
    after = compared(candidate or fit("b"), b, parameters[1])
    comparison, genes = compare_fits("avana", before, after, settings.comparison)
    return AgainstChampion("3", before, comparison, genes, prepared or preparation())


def moved(gene: str, beta: float, sd: float = 0.05, lfsr: float = 0.4):
    return HITS | {gene: (beta, sd, lfsr)}


def losses(found: AgainstChampion, settings: GateSettings = GateSettings()):
    return {one.gene: (one.explained, one.why) for one in lost_hits(found, settings)}


def conditions(
    candidate=None, evidence=EVIDENCE, found=None, settings=GateSettings(), thresholds=None
):
    given = {f"thresholds.{name}": str(limit) for name, limit in (thresholds or {}).items()}
    after = compared(candidate or fit("b"), HITS, given)
    decision = decide("avana", after, evidence, found, settings)
    return decision, {one.name: one for one in decision.conditions}


# ---- the decision


def test_a_sound_first_fit_passes():
    decision, by_name = conditions()
    assert decision.passed and decision.in_a_word == "passed"
    assert list(by_name) == ["verdict", "calibration", "lost hits"]
    assert "no champion yet" in by_name["lost hits"].detail
    assert decision.champion is None and decision.champion_version == ""


def test_a_fit_with_the_hits_of_the_champion_passes():
    decision, by_name = conditions(found=against(HITS))
    assert decision.passed and decision.champion_version == "3"
    assert decision.champion is not None and decision.champion.run_id == "a"
    assert by_name["lost hits"].detail == (
        "of the 3 hits of the champion (version 3, 24Q4 m4) 0 are lost, 0 of them unexplained"
    )


@pytest.mark.parametrize("failing", ["verdict", "calibration", "lost hits"])
def test_one_condition_that_is_not_met_is_enough(failing):
    candidate = fit("b", verdict="review") if failing == "verdict" else fit("b")
    decision, by_name = conditions(
        candidate,
        None if failing == "calibration" else EVIDENCE,
        against(moved("SOX10 (6663)", 0.0) if failing == "lost hits" else HITS),
    )
    assert not decision.passed and decision.in_a_word == f"refused: {failing}"
    assert [name for name, one in by_name.items() if not one.met] == [failing]


@pytest.mark.parametrize(
    ("name", "looser", "tighter"),
    [
        ("rhat_max", 1.5, 1.005),
        ("ess_min", 10, 1000),
        ("max_divergence_share", 0.5, 0.0),
        ("predictive_p_min", 1e-9, 0.05),
    ],
)
def test_a_pass_by_asking_less_counts_as_review(name, looser, tighter):
    assert conditions(thresholds={name: tighter})[0].passed
    decision, by_name = conditions(thresholds={name: looser})
    assert decision.in_a_word == "refused: verdict"
    assert f"thresholds.{name} {looser:g} (" in by_name["verdict"].detail
    assert conditions(thresholds={name: looser}, settings=GateSettings(verdict="review"))[0].passed
    failed, _ = conditions(
        fit("b", verdict="fail"), thresholds={name: looser}, settings=GateSettings(verdict="review")
    )
    assert not failed.passed


def test_every_threshold_says_by_its_name_which_way_is_looser():
    assert all("max" in name or name.endswith("_min") for name in Thresholds.model_fields)


def test_all_that_is_not_met_is_named():
    decision, _ = conditions(fit("b", verdict="fail"), None, against({}))
    assert decision.in_a_word == "refused: verdict, calibration, lost hits"


def test_of_the_champion_nothing_is_asked():
    decision = nothing_to_decide("avana", fit("a", verdict="review"), "3", GateSettings())
    assert decision.already_champion and decision.passed and decision.conditions == ()
    assert decision.in_a_word == "champion already"


def test_a_decision_without_conditions_has_not_passed():
    decision, _ = conditions(found=against(HITS))
    assert not decision.model_copy(update={"conditions": ()}).passed


def test_a_decision_comes_back_from_json():
    decision, _ = conditions(found=against(moved("SOX10 (6663)", 0.0)))
    assert type(decision).model_validate_json(decision.model_dump_json()) == decision


# ---- verdict


@pytest.mark.parametrize(
    ("verdict", "asked", "met"),
    [
        ("pass", "pass", True),
        ("review", "pass", False),
        ("fail", "pass", False),
        ("pass", "review", True),
        ("review", "review", True),
        ("fail", "review", False),
    ],
)
def test_the_verdict_is_at_least_the_one_asked_for(verdict, asked, met):
    settings = GateSettings(verdict=asked)
    _, by_name = conditions(fit("b", verdict=verdict), settings=settings)
    assert by_name["verdict"].met is met
    said = by_name["verdict"].detail
    assert verdict in said
    assert ("--verdict review" in said) == (verdict == "review" and not met)
    assert ("fit again" in said) == (verdict == "fail")


# ---- calibration


def test_without_a_calibration_the_command_for_one_is_named():
    _, by_name = conditions(fit("b", model="m4_nested", engine="nuts"), None)
    assert not by_name["calibration"].met
    assert (
        "`screenbayes calibrate --model m4_nested --engine nuts`" in by_name["calibration"].detail
    )


@pytest.mark.parametrize("verdict", ["review", "fail"])
def test_a_calibration_that_has_not_passed_is_none(verdict):
    _, by_name = conditions(evidence=EVIDENCE.model_copy(update={"verdict": verdict}))
    assert not by_name["calibration"].met
    assert f"verdict {verdict}, expected pass" in by_name["calibration"].detail
    assert "run c1" in by_name["calibration"].detail


# ---- lost hits


def test_a_slope_that_moved_is_an_unexplained_loss_and_named():
    found = against(moved("SOX10 (6663)", -0.05))
    assert losses(found) == {
        "SOX10 (6663)": (False, "beta -1 -> -0.05, local false sign rate 0 -> 0.4")
    }
    decision, by_name = conditions(found=found)
    said = by_name["lost hits"].detail
    assert "1 are lost, 1 of them unexplained: SOX10 (6663). At most 0 may be" in said
    assert "`screenbayes compare a b`" in said and "--unexplained-losses 1" in said
    assert [one.gene for one in decision.lost_hits] == ["SOX10 (6663)"]


def test_so_many_losses_may_be_unexplained_as_are_allowed_for():
    found = against({"TP53 (7157)": HITS["TP53 (7157)"]})
    for most, met in ((2, False), (3, True)):
        settings = GateSettings(max_unexplained_losses=most)
        assert conditions(found=found, settings=settings)[1]["lost hits"].met is met


def test_the_first_ten_are_named():
    genes = {f"G{number} ({number})": (-1.0, 0.1, 0.0) for number in range(12)}
    before, after = (
        compared(fit("a"), genes),
        compared(fit("b"), dict.fromkeys(genes, (0.0, 0.1, 0.5))),
    )
    comparison, table = compare_fits("avana", before, after, GateSettings().comparison)
    found = AgainstChampion("1", before, comparison, table, preparation())
    decision, by_name = conditions(found=found)
    said = by_name["lost hits"].detail
    assert said.count("G") == 10 and ", and 2 more. At most" in said
    assert len(decision.lost_hits) == 12


def test_a_hit_at_the_edge_that_hardly_moved_is_explained():
    near = moved("IRF4 (3662)", -0.47, sd=0.02, lfsr=0.06)
    found = against(near)
    found.genes.loc[found.genes["gene"] == "IRF4 (3662)", "prob_practical"] = 0.49
    explained, why = losses(found)["IRF4 (3662)"]
    assert explained and "less than the practical difference of 0.1" in why
    found.genes.loc[found.genes["gene"] == "IRF4 (3662)", "prob_practical"] = 0.5
    assert not losses(found)["IRF4 (3662)"][0]


def test_the_practical_difference_is_the_one_of_the_settings():
    near = moved("IRF4 (3662)", -0.3)
    assert not losses(against(near))["IRF4 (3662)"][0]
    wide = GateSettings(practical_difference=0.5)
    assert losses(against(near, settings=wide), wide)["IRF4 (3662)"][0]


def test_what_a_hit_is_is_a_setting():
    near = moved("IRF4 (3662)", 0.5, lfsr=0.03)
    strict = GateSettings(lfsr_max=0.005)
    assert set(losses(against(near))) == {"IRF4 (3662)"}
    assert not losses(against(near, settings=strict), strict)


def test_a_hit_just_at_the_limit_can_be_lost():
    settings = GateSettings(lfsr_max=0.02)  # which MYB has
    found = losses(against(moved("MYB (4602)", 0.0), settings=settings), settings)
    assert found["MYB (4602)"][0] is False


def test_a_hit_with_the_other_sign_is_lost():
    found = against(moved("SOX10 (6663)", 1.0, lfsr=0.0))
    assert not found.comparison.hits_lost
    assert losses(found)["SOX10 (6663)"][0] is False


def test_a_slope_without_a_number_is_lost():
    found = against(HITS)
    broken = found.genes["gene"] == "SOX10 (6663)"
    found.genes.loc[broken, ["beta_mean_b", "beta_sd_b", "lfsr_b", "prob_practical"]] = np.nan
    assert losses(found)["SOX10 (6663)"][0] is False


def test_a_gene_that_was_renamed_is_not_lost():
    slopes = {gene.replace("SOX10", "WS4"): one for gene, one in HITS.items()}
    found = against(slopes)
    assert found.comparison.genes_renamed == {"SOX10 (6663)": "WS4 (6663)"}
    assert not losses(found)


def test_a_renamed_gene_whose_slope_moved_is_lost_all_the_same():
    slopes = {gene: one for gene, one in HITS.items() if "SOX10" not in gene}
    found = against({**slopes, "WS4 (6663)": (0.0, 0.05, 0.5)})
    assert losses(found)["SOX10 (6663)"][0] is False


WITHOUT_SOX10 = {gene: one for gene, one in HITS.items() if "SOX10" not in gene}


@pytest.mark.parametrize("name", ["SOX10", "WS4"])  # by its number, whatever its name is now
def test_a_gene_that_the_data_leave_out_is_explained(name):
    found = against(WITHOUT_SOX10, prepared=preparation(**{name: "RNA SD below 0.1"}))
    assert losses(found) == {"SOX10 (6663)": (True, "set aside: RNA SD below 0.1")}
    assert conditions(found=found)[0].passed


def test_a_gene_that_is_gone_was_a_hit_up_to_the_limit():
    settings = GateSettings(lfsr_max=0.02)  # which MYB has
    without = {gene: HITS[gene] for gene in HITS if "MYB" not in gene}
    assert set(losses(against(without, settings=settings), settings)) == {"MYB (4602)"}


def test_a_gene_that_is_nowhere_in_the_release_is_not_explained():
    nowhere = {"SOX10 (6663)": (False, "in no table of the release")}
    assert losses(against(WITHOUT_SOX10)) == nowhere
    guide = Loss(unit="guide", reason="no gene", count=1, examples=("SOX10 (6663)",))
    report = preparation().model_copy(update={"losses": (guide,)})
    assert losses(against(WITHOUT_SOX10, prepared=report)) == nowhere


@pytest.mark.parametrize("setting", ["filters.genes", "preparation.min_rna_sd"])
def test_a_gene_that_the_settings_leave_out_is_not_explained(setting):
    found = against(
        WITHOUT_SOX10,
        prepared=preparation(SOX10="not asked for"),
        parameters=({setting: ""}, {setting: "IRF4"}),
    )
    explained, why = losses(found)["SOX10 (6663)"]
    assert not explained and "not asked for" in why and "other than the champion's" in why


def test_a_gene_that_is_gone_and_was_no_hit_is_no_loss():
    assert not losses(against({gene: HITS[gene] for gene in HITS if "TP53" not in gene}))


NESTED = {"model": "m4_nested", "log_evidence": -50.0}


@pytest.mark.parametrize(
    ("champion", "candidate", "changed", "explained"),
    [
        ({}, NESTED, {}, True),
        ({"log_evidence": -50.5}, NESTED, {}, True),
        ({}, NESTED | {"log_evidence": -150.0}, {}, False),  # the data prefer the champion's
        ({}, NESTED | {"log_evidence": None}, {}, False),
        ({}, {"log_evidence": -50.0}, {}, False),  # the same model
        ({"data_digest": "other"}, NESTED, {}, False),
        ({}, NESTED | {"n_measurements": 999}, {}, False),
        ({}, NESTED, {"filters.cell_lines": "ACH-000001"}, False),
        ({}, NESTED, {"engine": "exact"}, True),
    ],
)
def test_a_model_the_same_data_support_better_explains(champion, candidate, changed, explained):
    found = against(
        moved("SOX10 (6663)", 0.0),
        champion=fit("a", **champion),
        candidate=fit("b", **candidate),
        parameters=({}, changed),
    )
    got, why = losses(found)["SOX10 (6663)"]
    assert got is explained
    assert ("m4_nested has the higher log evidence" in why) is explained


def test_the_unexplained_come_first():
    slopes = moved("SOX10 (6663)", 0.0)
    del slopes["MYB (4602)"]
    report = PreparationReport(
        losses=(Loss(unit="gene", reason="no RNA", count=1, examples=("MYB (4602)",)),),
        n_genes=3, n_cell_lines=40, n_guides=6, n_measurements=900,
    )  # fmt: skip
    decision, _ = conditions(found=against(slopes, prepared=report))
    assert [(one.gene, one.explained) for one in decision.lost_hits] == [
        ("SOX10 (6663)", False),
        ("MYB (4602)", True),
    ]
