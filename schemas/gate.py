"""What the gate before the alias `champion` asks, and what it decides. Deciding is `model.gate`.

A registered model has one champion: the fit that others are held against, and that programs load.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from schemas.comparison import ComparisonSettings, FitSummary
from schemas.frozen import Frozen
from schemas.parameters import Settings
from schemas.reports import Status

ConditionName = Literal["verdict", "calibration", "lost hits"]


class GateSettings(Settings):
    """What a fit has to show before it becomes the champion of its dataset."""

    verdict: Literal["pass", "review"] = "pass"
    """Verdict the fit must have at least; one with `fail` never becomes champion."""
    max_unexplained_losses: int = Field(0, ge=0)
    """So many hits of the champion may be lost with nothing that explains them."""
    practical_difference: float = Field(ComparisonSettings().practical_difference, gt=0)
    """A slope that moves by less than this, log fold change per SD of RNA, has not changed."""
    lfsr_max: float = Field(ComparisonSettings().lfsr_max, gt=0, lt=1)
    """Genes with a local false sign rate of at most this are hits."""

    @property
    def comparison(self) -> ComparisonSettings:
        """How candidate and champion are compared: without fitting anything."""
        return ComparisonSettings(
            practical_difference=self.practical_difference,
            lfsr_max=self.lfsr_max,
            attribute=False,
        )


class CalibrationEvidence(Frozen):
    """The latest calibration of a model and an engine on the model's own screens."""

    run_id: str
    """Run in MLflow."""
    verdict: Status
    n_simulations: int
    """Simulations that gave a posterior."""


class LostHit(Frozen):
    """A hit of the champion that the candidate does not have, or has with the other sign."""

    gene: str
    """Label in the champion."""
    explained: bool
    """Whether the loss says nothing against the candidate."""
    why: str
    """What explains it; where nothing does, what was seen."""


class GateCondition(Frozen):
    """One thing the gate asks for."""

    name: ConditionName
    met: bool
    detail: str
    """What was found and, where it is not enough, what to do."""


class GateDecision(Frozen):
    """Whether a fit becomes the champion of its dataset, and why."""

    dataset: str
    """Name of the dataset and of its registered model."""
    candidate: FitSummary
    champion: FitSummary | None
    """The champion before; None where there was none."""
    champion_version: str
    """Its version of the registered model, the one to go back to; empty where there was none."""
    settings: GateSettings
    conditions: tuple[GateCondition, ...]
    """Empty where the candidate was the champion already: nothing was asked."""
    lost_hits: tuple[LostHit, ...] = ()
    """All of them, the unexplained first."""

    @property
    def already_champion(self) -> bool:
        """Whether there was nothing to decide."""
        return self.champion is not None and self.champion.run_id == self.candidate.run_id

    @property
    def passed(self) -> bool:
        """Whether the candidate is to be the champion."""
        return self.already_champion or (
            bool(self.conditions) and all(condition.met for condition in self.conditions)
        )

    @property
    def in_a_word(self) -> str:
        """`passed`, or `refused:` and the conditions that are not met; `champion already`."""
        if self.already_champion:
            return "champion already"
        if self.passed:
            return "passed"
        return "refused: " + ", ".join(one.name for one in self.conditions if not one.met)
