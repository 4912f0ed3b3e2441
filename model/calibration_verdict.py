"""From many simulations to a judgement: ECDF bands, coverage of intervals, verdict.

Simulating and fitting is `model.calibration`; pictures are `model.plots.calibration`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd
from arviz_stats.ecdf_utils import ecdf_pit

from model.calibration import SimulationResult
from schemas.calibration import (
    LEVELS,
    CalibratedQuantity,
    CalibrationReport,
    CalibrationSettings,
    Coverage,
)
from schemas.reports import Status, Verdict

BAND_SIMULATIONS = 10_000
"""Uniform samples behind the width of the bands."""
ROUNDING = 1e-12


def pit_table(results: Sequence[SimulationResult]) -> pd.DataFrame:
    """Return one row a simulation that gave a posterior: `simulation`, and a PIT a quantity."""
    return pd.DataFrame([{"simulation": one.index, **one.pit} for one in results if one.pit])


def ecdf_table(pits: pd.DataFrame, settings: CalibrationSettings) -> pd.DataFrame:
    """Return ECDF less diagonal, with its band, of every quantity.

    Columns `quantity`, `pit`, `difference`, `low`, `high`. The band holds the ECDFs of all
    quantities of a sound engine together with the probability `settings.band_probability`
    (simultaneous bands of Säilynoja et al. 2022, Bonferroni over the quantities).
    """
    names = [name for name in pits.columns if name != "simulation"]
    each = 1 - (1 - settings.band_probability) / len(names)
    at, _, low, high = ecdf_pit(
        np.linspace(0, 1, len(pits)),
        each,
        BAND_SIMULATIONS,
        rng=np.random.default_rng(settings.seed),
    )
    parts = []
    for name in names:
        ecdf = np.searchsorted(np.sort(pits[name]), at, side="right") / len(pits)
        ecdf[-1] = 1.0
        parts.append(
            pd.DataFrame(
                {
                    "quantity": name,
                    "pit": at,
                    "difference": ecdf - at,
                    "low": low - at,
                    "high": high - at,
                }
            )
        )
    return pd.concat(parts, ignore_index=True)


def judge(
    settings: CalibrationSettings, results: Sequence[SimulationResult], ecdf: pd.DataFrame
) -> CalibrationReport:
    """Return quantities, coverage and verdict of the simulations behind `ecdf` (`ecdf_table`)."""
    good = [one for one in results if one.pit]
    quantities = tuple(
        _quantity(str(name), part) for name, part in ecdf.groupby("quantity", sort=False)
    )
    coverage = tuple(_coverage(good))
    return CalibrationReport(
        settings=settings,
        engines=dict(Counter(one.engine for one in good)),
        n_simulations=len(good),
        n_failed=len(results) - len(good),
        n_troubled=sum(bool(one.trouble) for one in good),
        quantities=quantities,
        coverage=coverage,
        verdict=_verdict(settings, quantities, coverage, len(results) - len(good)),
    )


def _quantity(name: str, ecdf: pd.DataFrame) -> CalibratedQuantity:
    difference = ecdf["difference"]
    outside = np.maximum(difference - ecdf["high"], ecdf["low"] - difference)
    inside = bool(outside.max() <= ROUNDING)
    worst = ecdf.iloc[(difference.abs() if inside else outside).argmax()]
    return CalibratedQuantity(
        quantity=name,
        inside=inside,
        largest_difference=float(worst["difference"]),
        at=float(worst["pit"]),
    )


def _coverage(results: Sequence[SimulationResult]) -> list[Coverage]:
    found = []
    for variable in results[0].all_pits:
        # |PIT - 1/2| (simulation, element): elements of one simulation are not independent.
        off = np.abs(np.array([one.all_pits[variable] for one in results]) - 0.5)
        for level in LEVELS:
            share = (off <= level / 2).mean(axis=1)
            # Where all or none are inside, no less than if every element were independent.
            least = level * (1 - level) / off.shape[1]
            variance = max(float(share.var(ddof=1)), least) / len(share)
            found.append(
                Coverage(
                    variable=variable,
                    level=level,
                    coverage=float(share.mean()),
                    mcse=float(np.sqrt(variance)),
                )
            )
    return found


def _verdict(
    settings: CalibrationSettings,
    quantities: Sequence[CalibratedQuantity],
    coverage: Sequence[Coverage],
    n_failed: int,
) -> Verdict:
    """A model fitted to its own screens must be calibrated; one fitted to another's is measured."""
    outside = [one for one in quantities if not one.inside]
    # Slopes first: they are what a screen is fitted for.
    missed = {
        variable: wrong
        for variable in sorted({one.variable for one in coverage}, key=lambda it: it != "beta_g")
        if (
            wrong := [
                one for one in coverage if one.variable == variable and _missed(one, settings)
            ]
        )
    }
    own = settings.simulated == settings.model
    what_to_do = (
        "the engine or the code of the model is wrong: do not use it"
        if own
        else f"where screens are as {settings.simulated} has them, fit {settings.simulated}"
    )
    reasons = [
        f"{variable}: intervals of {_listed(one.level for one in wrong)} hold the truth in "
        f"{_listed(one.coverage for one in wrong)} of cases (Monte Carlo error at most "
        f"{max(one.mcse for one in wrong):.1%}); {what_to_do}"
        for variable, wrong in missed.items()
    ]
    reasons += [
        f"{one.quantity}: ranks are not uniform, the ECDF is {one.largest_difference:+.3f} off at "
        f"{one.at:.2f}; {what_to_do}"
        for one in outside
    ]
    status: Status = "pass"
    if reasons:
        status = "fail" if own else "review"
    if n_failed:
        reasons.append(
            f"{n_failed} simulations gave no posterior and are left out; take --engine auto"
        )
        status = "fail" if status == "fail" else "review"
    return Verdict(status=status, reasons=tuple(reasons))


def _missed(one: Coverage, settings: CalibrationSettings) -> bool:
    return abs(one.errors_off) > settings.max_coverage_errors


def _listed(shares: Iterable[float]) -> str:
    return ", ".join(f"{share:.3g}" for share in shares)
