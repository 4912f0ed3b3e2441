"""Evaluation of a fit for promotion to `champion`.

Each condition is a function from evidence to a typed result. `flows.promote_fit` collects the
evidence and moves the alias.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from model.comparison.data import gene_key
from model.comparison.fits import ComparedFit, signs_differ
from model.simulation.packaged_calibration import priors_among
from schemas.comparison import OPPOSITE_SIGN, Comparison, FitSummary
from schemas.formatting import list_first
from schemas.parameters import Thresholds
from schemas.promotion import (
    CalibrationEvidence,
    GateCondition,
    GateDecision,
    GateSettings,
    LostHit,
)
from schemas.reports import PreparationReport

RANKS = {"fail": 0, "review": 1, "pass": 2}
NAMED = 10
"""Largest number of lost hits of one kind listed by name."""
SELECTING = ("filters.", "preparation.min_")
"""Prefixes of settings that decide which measurements are fitted."""


@dataclass(frozen=True, eq=False)
class AgainstChampion:
    """The champion, and its comparison with the candidate (A: champion, B: candidate)."""

    version: str
    """Its version of the registered model."""
    champion: ComparedFit
    comparison: Comparison
    genes: pd.DataFrame
    """One row per gene of both (`model.comparison.fits`)."""
    preparation: PreparationReport
    """Of the candidate."""


def evaluate_promotion(
    dataset: str,
    fit: ComparedFit,
    tracked: CalibrationEvidence | None,
    packaged: CalibrationEvidence | str,
    against: AgainstChampion | None,
    settings: GateSettings,
) -> GateDecision:
    """Return the decision on a candidate.

    `tracked` is the calibration found in MLflow, `packaged` the one that comes with ScreenBayes or
    why there is none that counts; `against` is None without a champion.
    """
    candidate = fit.summary
    lost = () if against is None else tuple(lost_hits(against, settings))
    lost = tuple(sorted(lost, key=lambda one: (one.explained, not one.opposite_sign)))
    return GateDecision(
        dataset=dataset,
        candidate=candidate,
        champion=None if against is None else against.comparison.a,
        champion_version="" if against is None else against.version,
        settings=settings,
        conditions=(
            verdict_condition(candidate, loosened(fit.settings), settings),
            calibration_condition(fit, tracked, packaged, settings),
            losses_condition(candidate, against, lost, settings),
        ),
        lost_hits=lost,
    )


def nothing_to_decide(
    dataset: str, champion: FitSummary, version: str, settings: GateSettings
) -> GateDecision:
    """Return the decision where the candidate is already the champion."""
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
    """Check that the verdict of the fit is at least the required one.

    A verdict under relaxed thresholds counts as `review` at most: otherwise a fit could become
    champion by relaxing them.
    """
    counts_as = min(candidate.verdict, "review" if loosened else "pass", key=RANKS.__getitem__)
    met = RANKS[counts_as] >= RANKS[settings.verdict]
    detail = f"the verdict is {candidate.verdict}"
    if loosened:
        detail += f", with thresholds looser than the defaults: {', '.join(loosened)}"
    if not met and candidate.verdict == "pass":
        detail += (
            ". It counts as review: fit again with the default thresholds or, if these are right "
            "for your screen, accept it with --verdict review"
        )
    elif not met:
        detail += f", expected {settings.verdict}: its reasons are in the report of the run; "
        detail += (
            "if they do not matter to you, accept it with --verdict review"
            if candidate.verdict == "review"
            else "correct what they report, and fit again"
        )
    return GateCondition(name="verdict", met=met, detail=detail)


def loosened(settings: Mapping[str, str]) -> tuple[str, ...]:
    """Return the thresholds that are looser than the defaults, as `name value (default)`.

    `settings` are all settings of the fit by name; a missing one has its default.
    """
    defaults = {f"thresholds.{name}": limit for name, limit in Thresholds()}
    used = {name: float(settings.get(name, limit)) for name, limit in defaults.items()}
    return tuple(
        f"{name} {used[name]:g} ({limit:g})"
        for name, limit in defaults.items()
        if (used[name] < limit if name.endswith("_min") else used[name] > limit)
    )


def calibration_condition(
    fit: ComparedFit,
    tracked: CalibrationEvidence | None,
    packaged: CalibrationEvidence | str,
    settings: GateSettings,
) -> GateCondition:
    """Check that the calibration of this model and engine, on its own screens, passed.

    It needs enough simulations: one of few passes even if intervals are clearly too narrow. The
    packaged one counts where none in MLflow does.
    """
    candidate, needed = fit.summary, settings.min_calibration_simulations
    which = f"{candidate.model} by the engine {candidate.engine}"
    command = _calibrate_command(fit, needed)
    found = [one for one in (tracked, packaged) if isinstance(one, CalibrationEvidence)]
    not_packaged = f", and {packaged}" if isinstance(packaged, str) else ""
    if not found:
        detail = f"expected a finished calibration of {which}, found none{not_packaged}"
        return GateCondition(name="calibration", met=False, detail=f"{detail}: run {command}")
    used = next((one for one in found if one.is_conclusive(needed)), found[0])
    detail = (
        f"the calibration of {which} packaged with {used.packaged_with}"
        if used.packaged_with
        else f"the latest calibration of {which}, run {used.run_id}"
    )
    detail += f", of {used.n_simulations:,} simulations, has the verdict {used.verdict}"
    met = used.verdict == "pass" and used.is_conclusive(needed)
    if not used.is_conclusive(needed):
        detail += (
            f", but at least {needed:,} are needed: fewer show gross errors only{not_packaged}; "
            f"run {command}"
        )
    elif not met:
        detail += f", expected pass: its page has the reasons; fix them and run {command} again"
    return GateCondition(name="calibration", met=met, detail=detail)


def _calibrate_command(fit: ComparedFit, simulations: int) -> str:
    """Return the command that calibrates model and engine of a fit, with its priors."""
    defaults = priors_among({})
    priors = [
        shlex.quote(f"{name}={prior}")
        for name, prior in priors_among(fit.settings).items()
        if prior != defaults[name]
    ]
    command = (
        f"screenbayes calibrate --model {fit.summary.model} --engine {fit.summary.engine} "
        f"--simulations {simulations}"
    )
    return f"`{' '.join((command, '--priors', *priors) if priors else (command,))}`"


def losses_condition(
    candidate: FitSummary,
    against: AgainstChampion | None,
    lost: Sequence[LostHit],
    settings: GateSettings,
) -> GateCondition:
    """Check that no more hits of the champion are lost without an explanation than allowed."""
    if against is None:
        detail = "there is no champion yet, so that no hits can be lost"
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
        detail += f": {_named(unexplained)}"
    if opposite := [one for one in lost if one.opposite_sign]:
        detail += f". Hits of both with opposite signs, which count as lost: {_named(opposite)}"
    if not met:
        detail += (
            f". At most {settings.max_unexplained_losses:,} are allowed: `screenbayes compare "
            f"{champion.run_id} {candidate.run_id}` shows what changed; correct the release or the "
            "settings and fit again, or, if the loss is right, accept it with "
            f"--unexplained-losses {len(unexplained)}"
        )
    return GateCondition(name="lost hits", met=met, detail=detail)


def _named(lost: Sequence[LostHit]) -> str:
    return list_first([one.gene for one in lost], NAMED)


# --------------------------------------------------------------------------------------- lost hits


def lost_hits(against: AgainstChampion, settings: GateSettings) -> Iterator[LostHit]:
    """Yield the hits of the champion that the candidate lacks or has with the opposite sign.

    A hit with the opposite sign counts like one that is no longer a hit. A renamed gene is matched
    by its Entrez number and is not lost.
    """
    yield from _missing_genes(against, settings)
    genes, limit = against.genes, settings.lfsr_max
    hit_b = genes["lfsr_b"] <= limit
    opposite = hit_b & signs_differ(genes)
    # Written as `not (hit)`, so that NaN, which compares false, counts as lost.
    lost = (genes["lfsr_a"] <= limit) & (~hit_b | opposite)
    for row in genes.assign(opposite=opposite)[lost].to_dict("records"):
        explanation = _explanation(row, against.comparison, settings)
        why = explanation or _moved(row)
        yield LostHit(
            gene=str(row["gene_a"]),
            explained=bool(explanation),
            why=f"{OPPOSITE_SIGN}: {why}" if row["opposite"] else why,
            opposite_sign=row["opposite"],
        )


def _missing_genes(against: AgainstChampion, settings: GateSettings) -> Iterator[LostHit]:
    """Yield hits whose gene is not in the candidate: explained where the data exclude it."""
    effects = against.champion.effects
    hits = effects["gene"][effects["lfsr"] <= settings.lfsr_max]
    lost = set(against.comparison.genes_lost)
    reasons = _reasons_by_gene(against.preparation)
    other_selection = _selection_changed(against.comparison)
    for gene in (gene for gene in hits if gene in lost):
        why = reasons.get(gene_key(gene))
        if why is None:
            yield LostHit(gene=gene, explained=False, why="in no table of the release")
        elif other_selection:
            why = f"excluded ({why}) with filters or limits other than the champion's"
            yield LostHit(gene=gene, explained=False, why=why)
        else:
            yield LostHit(gene=gene, explained=True, why=f"excluded: {why}")


def _explanation(row: Mapping[Any, Any], comparison: Comparison, settings: GateSettings) -> str:
    """Return why a gene of both fits is no longer a hit; empty without an explanation."""
    if row["prob_practical"] < 0.5:
        return (
            "the slope changed by less than the practical difference of "
            f"{settings.practical_difference:g}"
        )
    evidence = _evidence_for_other_model(comparison)
    if evidence > 0:
        return f"{comparison.b.model} has the higher log evidence on the same measurements"
    return ""


def _evidence_for_other_model(comparison: Comparison) -> float:
    """Return by how much the log evidence favours another model; 0 where it is not comparable.

    Log evidences are comparable only for the same measurements: fewer have the higher.
    """
    a, b = comparison.a, comparison.b
    difference = comparison.log_evidence_difference
    if difference is None or a.model == b.model or _selection_changed(comparison):
        return 0.0
    return difference


def _selection_changed(comparison: Comparison) -> bool:
    return any(name.startswith(SELECTING) for name in comparison.changed_parameters)


def _reasons_by_gene(preparation: PreparationReport) -> dict[str, str]:
    return {
        gene_key(gene): exclusion.reason
        for exclusion in preparation.losses
        if exclusion.unit == "gene"
        for gene in exclusion.examples
    }


def _moved(row: Mapping[Any, Any]) -> str:
    return (
        f"beta {row['beta_mean_a']:.3g} -> {row['beta_mean_b']:.3g}, "
        f"local false sign rate {row['lfsr_a']:.2g} -> {row['lfsr_b']:.2g}"
    )
