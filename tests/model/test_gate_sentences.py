"""What the gate says of each condition, to the letter; when one is met is in `test_gate`."""

from __future__ import annotations

import pytest

from model.compare import compare_fits
from model.gate import AgainstChampion
from schemas.gate import GateSettings
from tests.model.test_gate import EVIDENCE, HITS, against, compared, conditions, fit, preparation

LOOSER = {"rhat_max": 1.5, "ess_min": 10}
LOOSENED = (
    "the verdict is pass, with looser thresholds than the usual: "
    "thresholds.rhat_max 1.5 (1.01), thresholds.ess_min 10 (400)"
)


@pytest.mark.parametrize(
    ("verdict", "asked", "thresholds", "said"),
    [
        ("pass", "pass", {}, "the verdict is pass"),
        ("review", "review", {}, "the verdict is review"),
        ("pass", "review", LOOSER, LOOSENED),
        (
            "pass",
            "pass",
            LOOSER,
            f"{LOOSENED}. It counts as review: fit again with the usual thresholds or, where these "
            "are right for your screen, allow for it with --verdict review",
        ),
        (
            "review",
            "pass",
            {},
            "the verdict is review, expected pass: its reasons are in the report of the run; "
            "where they do not matter to you, allow for it with --verdict review",
        ),
        (
            "fail",
            "review",
            {},
            "the verdict is fail, expected review: its reasons are in the report of the run; "
            "mend what they say, and fit again",
        ),
    ],
)
def test_of_the_verdict(verdict, asked, thresholds, said):
    settings = GateSettings(verdict=asked)
    _, by_name = conditions(fit("b", verdict=verdict), settings=settings, thresholds=thresholds)
    assert by_name["verdict"].detail == said


OF_1200 = (
    "the latest calibration of m4 by the engine exact, run c1, of 1,200 simulations, "
    "has the verdict "
)


@pytest.mark.parametrize(
    ("verdict", "said"),
    [
        (
            None,
            "expected a finished calibration of m4 by the engine exact, there is none: run "
            "`screenbayes calibrate --model m4 --engine exact`",
        ),
        ("pass", f"{OF_1200}pass"),
        (
            "review",
            f"{OF_1200}review, expected pass: its page says why; mend that, and run "
            "`screenbayes calibrate --model m4 --engine exact` again",
        ),
    ],
)
def test_of_the_calibration(verdict, said):
    evidence = EVIDENCE.model_copy(update={"verdict": verdict, "n_simulations": 1200})
    _, by_name = conditions(evidence=verdict and evidence)
    assert by_name["calibration"].detail == said


def all_lost(n_hits: int) -> AgainstChampion:
    """A champion whose every hit the candidate has as no hit."""
    genes = {f"G{number} ({number})": (-1.0, 0.1, 0.0) for number in range(n_hits)}
    before = compared(fit("a"), genes)
    after = compared(fit("b"), dict.fromkeys(genes, (0.0, 0.1, 0.5)))
    comparison, table = compare_fits("avana", before, after, GateSettings().comparison)
    return AgainstChampion("3", before, comparison, table, preparation())


CHAMPION = "hits of the champion (version 3, 24Q4 m4)"
TEN = ", ".join(f"G{number} ({number})" for number in range(10))
MEND = (
    ". At most 0 may be: `screenbayes compare a b` shows what changed; mend the release or the "
    "settings and fit again, or, where the loss is right, allow for it with --unexplained-losses "
)


@pytest.mark.parametrize(
    ("found", "settings", "said"),
    [
        (None, {}, "there is no champion yet whose hits could be lost"),
        (against(HITS), {}, f"of the 3 {CHAMPION} 0 are lost, 0 of them unexplained"),
        (
            against(HITS, settings=GateSettings(lfsr_max=0.02)),
            {"lfsr_max": 0.02},  # which one hit has
            f"of the 3 {CHAMPION} 0 are lost, 0 of them unexplained",
        ),
        (
            all_lost(2),
            {"max_unexplained_losses": 2},
            f"of the 2 {CHAMPION} 2 are lost, 2 of them unexplained: G0 (0), G1 (1)",
        ),
        (
            all_lost(10),
            {},
            f"of the 10 {CHAMPION} 10 are lost, 10 of them unexplained: {TEN}{MEND}10",
        ),
        (
            all_lost(11),
            {},
            f"of the 11 {CHAMPION} 11 are lost, 11 of them unexplained: {TEN}, and 1 more{MEND}11",
        ),
        (
            all_lost(12),
            {},
            f"of the 12 {CHAMPION} 12 are lost, 12 of them unexplained: {TEN}, and 2 more{MEND}12",
        ),
    ],
)
def test_of_lost_hits(found, settings, said):
    _, by_name = conditions(found=found, settings=GateSettings(**settings))
    assert by_name["lost hits"].detail == said
