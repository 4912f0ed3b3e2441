"""The gate before the alias `champion`: what a fit has to show, and what it does show. Pure.

Each condition is a function from evidence to a typed result. Where the evidence comes from, and
what moves the alias, is `flows.promote_fit`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from model.compare import ComparedFit
from model.data_changes import gene_key
from schemas.comparison import Comparison, FitSummary
from schemas.gate import (
    CalibrationEvidence,
    GateCondition,
    GateDecision,
    GateSettings,
    LostHit,
)
from schemas.parameters import Thresholds
from schemas.reports import PreparationReport

RANKS = {"fail": 0, "review": 1, "pass": 2}
NAMED = 10
"""Unexplained losses that are listed by name."""
SELECTING = ("filters.", "preparation.min_")
"""Settings that begin so decide which measurements enter a fit."""


@dataclass(frozen=True, eq=False)
class AgainstChampion:
    """The champion, and how the candidate differs from it (A: champion, B: candidate)."""

    version: str
    """Its version of the registered model."""
    champion: ComparedFit
    comparison: Comparison
    genes: pd.DataFrame
    """One row a gene of both (`model.compare`)."""
    preparation: PreparationReport
    """Of the candidate."""


def decide(
    dataset: str,
    fit: ComparedFit,
    calibration: CalibrationEvidence | None,
    against: AgainstChampion | None,
    settings: GateSettings,
) -> GateDecision:
    """Return the decision on a candidate. Without `against` there is no champion yet."""
    candidate = fit.summary
    lost = () if against is None else tuple(lost_hits(against, settings))
    return GateDecision(
        dataset=dataset,
        candidate=candidate,
        champion=None if against is None else against.comparison.a,
        champion_version="" if against is None else against.version,
        settings=settings,
        conditions=(
            verdict_condition(candidate, loosened(fit.settings), settings),
            calibration_condition(candidate, calibration),
            losses_condition(candidate, against, lost, settings),
        ),
        lost_hits=tuple(sorted(lost, key=lambda one: one.explained)),
    )


def nothing_to_decide(
    dataset: str, champion: FitSummary, version: str, settings: GateSettings
) -> GateDecision:
    """Return the decision on the fit that is the champion."""
    return GateDecision(
        dataset=dataset,
        candidate=champion,
        champion=champion,
        champion_version=version,
        settings=settings,
        conditions=(),
    )


# ------------------------------------------------------------------------------------- conditions


def verdict_condition(
    candidate: FitSummary, loosened: Sequence[str], settings: GateSettings
) -> GateCondition:
    """The verdict of the fit is at least the one asked for.

    One given with loosened thresholds counts as `review` at most: else a fit could be made champion
    by asking less of it.
    """
    counts_as = min(candidate.verdict, "review" if loosened else "pass", key=RANKS.__getitem__)
    met = RANKS[counts_as] >= RANKS[settings.verdict]
    detail = f"the verdict is {candidate.verdict}"
    if loosened:
        detail += f", with looser thresholds than the usual: {', '.join(loosened)}"
    if not met and candidate.verdict == "pass":
        detail += (
            ". It counts as review: fit again with the usual thresholds or, where these are right "
            "for your screen, allow for it with --verdict review"
        )
    elif not met:
        detail += f", expected {settings.verdict}: its reasons are in the report of the run; "
        detail += (
            "where they do not matter to you, allow for it with --verdict review"
            if candidate.verdict == "review"
            else "mend what they say, and fit again"
        )
    return GateCondition(name="verdict", met=met, detail=detail)


def loosened(settings: Mapping[str, str]) -> tuple[str, ...]:
    """Return the thresholds that ask for less than the usual ones, as `name value (usual)`.

    `settings` are all settings of the fit by name; one it does not name is the usual one.
    """
    usual = {f"thresholds.{name}": limit for name, limit in Thresholds()}
    asked = {name: float(settings.get(name, limit)) for name, limit in usual.items()}
    return tuple(
        f"{name} {asked[name]:g} ({limit:g})"
        for name, limit in usual.items()
        if (asked[name] < limit if name.endswith("_min") else asked[name] > limit)
    )


def calibration_condition(
    candidate: FitSummary, calibration: CalibrationEvidence | None
) -> GateCondition:
    """The latest calibration of this model by this engine, on its own screens, has passed."""
    which = f"{candidate.model} by the engine {candidate.engine}"
    command = f"`screenbayes calibrate --model {candidate.model} --engine {candidate.engine}`"
    met = False
    if calibration is None:
        detail = f"expected a finished calibration of {which}, there is none: run {command}"
    else:
        detail = (
            f"the latest calibration of {which}, run {calibration.run_id}, of "
            f"{calibration.n_simulations:,} simulations, has the verdict {calibration.verdict}"
        )
        met = calibration.verdict == "pass"
        if not met:
            detail += f", expected pass: its page says why; mend that, and run {command} again"
    return GateCondition(name="calibration", met=met, detail=detail)


def losses_condition(
    candidate: FitSummary,
    against: AgainstChampion | None,
    lost: Sequence[LostHit],
    settings: GateSettings,
) -> GateCondition:
    """No more hits of the champion are lost unexplained than are allowed for."""
    if against is None:
        detail = "there is no champion yet whose hits could be lost"
        return GateCondition(name="lost hits", met=True, detail=detail)
    champion = against.comparison.a
    n_hits = int((against.champion.effects["lfsr"] <= settings.lfsr_max).sum())
    unexplained = [one for one in lost if not one.explained]
    met = len(unexplained) <= settings.max_unexplained_losses
    detail = (
        f"of the {n_hits:,} hits of the champion (version {against.version}, {champion.release} "
        f"{champion.model}) {len(lost):,} are lost, {len(unexplained):,} of them unexplained"
    )
    if unexplained:
        more = len(unexplained) - NAMED
        listed = ", ".join(one.gene for one in unexplained[:NAMED])
        detail += f": {listed}{f', and {more:,} more' if more > 0 else ''}"
    if not met:
        detail += (
            f". At most {settings.max_unexplained_losses:,} may be: `screenbayes compare "
            f"{champion.run_id} {candidate.run_id}` shows what changed; mend the release or the "
            "settings and fit again, or, where the loss is right, allow for it with "
            f"--unexplained-losses {len(unexplained)}"
        )
    return GateCondition(name="lost hits", met=met, detail=detail)


# --------------------------------------------------------------------------------------- lost hits


def lost_hits(against: AgainstChampion, settings: GateSettings) -> Iterator[LostHit]:
    """Yield the hits of the champion that the candidate lacks, and those that changed their sign.

    A renamed gene is compared under both its names (the same Entrez number): the name alone loses
    nothing.
    """
    yield from _gone(against, settings)
    genes, limit = against.genes, settings.lfsr_max
    other_sign = genes["beta_mean_a"] * genes["beta_mean_b"] < 0
    # Written as "not a hit", so that NaN, which compares false, is one that is lost.
    lost = (genes["lfsr_a"] <= limit) & (~(genes["lfsr_b"] <= limit) | other_sign)
    for row in genes[lost].to_dict("records"):
        why = _explanation(row, against.comparison, settings)
        yield LostHit(gene=str(row["gene_a"]), explained=bool(why), why=why or _moved(row))


def _gone(against: AgainstChampion, settings: GateSettings) -> Iterator[LostHit]:
    """Hits whose gene is not in the candidate at all: explained where the data leave it out."""
    effects = against.champion.effects
    hits = effects["gene"][effects["lfsr"] <= settings.lfsr_max]
    lost = set(against.comparison.genes_lost)
    reasons = _reasons_by_gene(against.preparation)
    other_selection = _selects_otherwise(against.comparison)
    for gene in (gene for gene in hits if gene in lost):
        why = reasons.get(gene_key(gene))
        if why is None:
            yield LostHit(gene=gene, explained=False, why="in no table of the release")
        elif other_selection:
            why = f"set aside ({why}) with filters or limits other than the champion's"
            yield LostHit(gene=gene, explained=False, why=why)
        else:
            yield LostHit(gene=gene, explained=True, why=f"set aside: {why}")


def _explanation(row: Mapping[Any, Any], comparison: Comparison, settings: GateSettings) -> str:
    """Return what explains that a gene of both fits is no hit any more; nothing if nothing does."""
    if row["prob_practical"] < 0.5:
        return (
            "the slope moved by less than the practical difference of "
            f"{settings.practical_difference:g}"
        )
    evidence = _evidence_for_other_model(comparison)
    if evidence > 0:
        return f"{comparison.b.model} has the higher log evidence on the same measurements"
    return ""


def _evidence_for_other_model(comparison: Comparison) -> float:
    """Return by how much the log evidence favours another model; 0 where it cannot be asked.

    Log evidences are of the same measurements or cannot be compared: fewer have the higher.
    """
    a, b = comparison.a, comparison.b
    difference = comparison.log_evidence_difference
    if difference is None or a.model == b.model or _selects_otherwise(comparison):
        return 0.0
    return difference


def _selects_otherwise(comparison: Comparison) -> bool:
    return any(name.startswith(SELECTING) for name in comparison.changed_parameters)


def _reasons_by_gene(preparation: PreparationReport) -> dict[str, str]:
    return {
        gene_key(gene): loss.reason
        for loss in preparation.losses
        if loss.unit == "gene"
        for gene in loss.examples
    }


def _moved(row: Mapping[Any, Any]) -> str:
    return (
        f"beta {row['beta_mean_a']:.3g} -> {row['beta_mean_b']:.3g}, "
        f"local false sign rate {row['lfsr_a']:.2g} -> {row['lfsr_b']:.2g}"
    )
