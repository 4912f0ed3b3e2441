"""Predictive checks made up: data of 1 beside 500 replicates from 1.9 to 2.1."""

from __future__ import annotations

from typing import Any

from schemas.reports import PredictiveCheck, Stage


def check_of(
    name: str = "sd", p_value: float = 0.5, stage: Stage = "posterior", **more: Any
) -> PredictiveCheck:
    """Return a check with this p-value; `more` are other fields."""
    fields = {"name": name, "p_value": p_value, "stage": stage}
    fields |= {"description": f"What {name} shows.", "observed": 1, "n_draws": 500}
    fields |= {"replicated_mean": 2, "replicated_low": 1.9, "replicated_high": 2.1}
    return PredictiveCheck.model_validate(fields | more)
