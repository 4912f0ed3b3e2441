"""Criteria of promotion to `champion`, and the decision.

A registered model has one champion: the fit that others are compared with and that programs load.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from schemas.base import Frozen, Settings
from schemas.calibration import ENOUGH_SIMULATIONS
from schemas.comparison import ComparisonSettings, FitSummary
from schemas.reports import Status

ConditionName = Literal["verdict", "calibration", "lost hits"]


class GateSettings(Settings):
    """Criteria a fit must meet to become the champion of its dataset."""

    verdict: Literal["pass", "review"] = "pass"
    """Worst acceptable verdict; a fit with `fail` never becomes champion."""
    max_unexplained_losses: int = Field(0, ge=0)
    """Number of hits of the champion that may be lost without an explanation. To roll back to an
    earlier champion, give the number that the gate prints."""
    min_calibration_simulations: int = Field(ENOUGH_SIMULATIONS, ge=1)
    """Simulations of the calibration: with fewer it shows gross errors only, and its `pass` is no
    evidence."""
    practical_difference: float = Field(ComparisonSettings().practical_difference, gt=0)
    """A slope that moves by less than this, log fold change per SD of RNA, has not changed."""
    lfsr_max: float = Field(ComparisonSettings().lfsr_max, gt=0, lt=1)
    """Genes with a local false sign rate of at most this are hits."""

    @property
    def comparison(self) -> ComparisonSettings:
        """Settings for comparing candidate and champion, without further fits."""
        return ComparisonSettings(
            practical_difference=self.practical_difference,
            lfsr_max=self.lfsr_max,
            attribute=False,
        )


class CalibrationEvidence(Frozen):
    """A calibration of a model and an engine on the model's own screens."""

    run_id: str = ""
    """Run in MLflow; empty for a packaged calibration."""
    packaged_with: str = ""
    """ScreenBayes and its version, where the calibration comes with it; else empty."""
    verdict: Status
    n_simulations: int
    """Simulations that gave a posterior."""

    def is_conclusive(self, min_simulations: int) -> bool:
        """Return whether it decides: any that did not pass, and one that did on enough screens."""
        return self.verdict != "pass" or self.n_simulations >= min_simulations


class LostHit(Frozen):
    """A hit of the champion that the candidate does not have, or has with the opposite sign."""

    gene: str
    """Label in the champion."""
    explained: bool
    """Whether the loss has a cause other than the candidate fit."""
    why: str
    """The explanation or, without one, what was found."""
    opposite_sign: bool = False
    """Whether the gene is a hit of the candidate too, with the opposite sign."""


class GateCondition(Frozen):
    """One criterion of promotion."""

    name: ConditionName
    met: bool
    detail: str
    """What was found and, where the criterion is not met, what to do."""


class GateDecision(Frozen):
    """Whether a fit becomes the champion of its dataset, and why."""

    dataset: str
    """Name of the dataset and of its registered model."""
    candidate: FitSummary
    champion: FitSummary | None
    """The previous champion, or None."""
    champion_version: str
    """Its version of the registered model, for rollback; empty without a previous champion."""
    settings: GateSettings
    conditions: tuple[GateCondition, ...]
    """Empty where the candidate was already the champion: nothing was evaluated."""
    lost_hits: tuple[LostHit, ...] = ()
    """Unexplained ones first, and among those the ones with the opposite sign."""

    @property
    def already_champion(self) -> bool:
        """Whether the candidate was already the champion."""
        return self.champion is not None and self.champion.run_id == self.candidate.run_id

    @property
    def passed(self) -> bool:
        """Whether the candidate becomes or stays the champion."""
        return self.already_champion or (
            bool(self.conditions) and all(condition.met for condition in self.conditions)
        )

    @property
    def outcome(self) -> str:
        """`passed`, or `refused:` and the conditions that are not met; `champion already`."""
        if self.already_champion:
            return "champion already"
        if self.passed:
            return "passed"
        return "refused: " + ", ".join(one.name for one in self.conditions if not one.met)
