"""Predictive checks out of the air: data of 1 beside replicates of 1.9 to 2.1, of 500 draws."""

from __future__ import annotations

from typing import Any

from schemas.reports import PredictiveCheck, Stage


def check_of(
    name: str = "sd", p_value: float = 0.5, stage: Stage = "posterior", **more: Any
) -> PredictiveCheck:
    """A check with this p-value; `more` are other fields, in place of those that are usual."""
    usual = {
        "description": f"What {name} shows.",
        "observed": 1,
        "replicated_mean": 2,
        "replicated_low": 1.9,
        "replicated_high": 2.1,
        "n_draws": 500,
    }
    return PredictiveCheck.model_validate(
        {"name": name, "p_value": p_value, "stage": stage} | usual | more
    )
