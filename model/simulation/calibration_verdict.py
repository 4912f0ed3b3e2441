"""Report of a calibration from its simulations: ECDF bands, coverage of intervals, verdict."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd
from arviz_stats.ecdf_utils import get_pointwise_confidence_band
from scipy.special import bdtr, bdtrc

from model.simulation.calibration import SimulationResult
from schemas.calibration import (
    ENOUGH_SIMULATIONS,
    LEVELS,
    CalibratedQuantity,
    CalibrationReport,
    CalibrationSettings,
    Coverage,
)
from schemas.reports import Status, Verdict

BAND_SIMULATIONS = 10_000
"""Number of uniform samples that determine the width of the bands."""
CELLS = 100
"""Largest number of equal cells at whose ends an ECDF is compared with its band."""
TAIL = 0.05
"""Points nearer 0 or 1 have too few PITs for a variance."""
ROUNDING = 1e-12


def pit_table(results: Sequence[SimulationResult]) -> pd.DataFrame:
    """Return one row per simulation with a posterior: `simulation`, and one PIT per quantity."""
    return pd.DataFrame([{"simulation": one.index, **one.pit} for one in results if one.pit])


def ecdf_table(results: Sequence[SimulationResult], settings: CalibrationSettings) -> pd.DataFrame:
    """Return ECDF minus diagonal, with its band, of every quantity.

    Columns `quantity`, `pit`, `difference`, `low`, `high`. The PITs of all elements of a vector
    are pooled. The band contains the ECDFs of all quantities of a calibrated engine with joint
    probability of at least `settings.band_probability` (simultaneous bands of Säilynoja et al.
    2022, Bonferroni over the quantities).
    """
    good = [one for one in results if one.pit]
    at = np.linspace(0, 1, min(len(good), CELLS) + 1)
    each = 1 - (1 - settings.band_probability) / len(good[0].pit)
    bands: dict[int, tuple[np.ndarray, np.ndarray]] = {}
    parts = []
    for name in good[0].pit:
        pits = np.array([one.all_pits.get(name, [one.pit[name]]) for one in good])
        shares = _shares_up_to(pits, at)
        n = _independent_values(shares, at, pits.shape[1])
        if n not in bands:
            bands[n] = _band(n, at, each, np.random.default_rng(settings.seed))
        low, high = bands[n]
        parts.append(
            pd.DataFrame(
                {
                    "quantity": name,
                    "pit": at,
                    "difference": shares.mean(axis=0) - at,
                    "low": low - at,
                    "high": high - at,
                }
            )
        )
    return pd.concat(parts, ignore_index=True)


def _shares_up_to(pits: np.ndarray, at: np.ndarray) -> np.ndarray:
    """Return the share of the elements of each simulation with a PIT up to each point, (S, P).

    `pits` are (S, elements); all are up to the last point, 1, whatever rounding makes of them.
    """
    n, n_elements = pits.shape
    last = len(at) - 1
    cell = np.minimum(np.searchsorted(at, pits), last) + len(at) * np.arange(n)[:, None]
    counts = np.bincount(cell.ravel(), minlength=n * len(at)).reshape(n, len(at))
    shares: np.ndarray = counts.cumsum(axis=1) / n_elements
    return shares


def _independent_values(shares: np.ndarray, at: np.ndarray, n_elements: int) -> int:
    """Return how many independent uniform values give an ECDF as precise as the pooled one.

    Elements of one simulation are correlated, simulations are independent. The variance between
    simulations exceeds that of independent elements by the design effect

        d(x) = m var_s[F_s(x)] / (x (1 - x)),     F_s(x): share of the m elements of simulation s

    which is between 1 and m where correlations are positive (Kish 1965, Survey Sampling). The
    largest over the inner points holds for all: S m / d values are then no more precise anywhere.
    """
    n = len(shares)
    inner = (at >= TAIL - ROUNDING) & (at <= 1 - TAIL + ROUNDING)
    if n_elements == 1 or n == 1:
        return n
    independent = at[inner] * (1 - at[inner]) / n_elements
    effect = float((shares[:, inner].var(axis=0, ddof=1) / independent).max())
    return int(n * n_elements / np.clip(effect, 1, n_elements))


def _band(
    n: int, at: np.ndarray, probability: float, random: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Return the band around the ECDF of n independent uniform values at equidistant points.

    Every point has the same binomial probability to be inside, such that all are inside with
    `probability` (Säilynoja, Bürkner and Vehtari 2022, algorithm 1).
    """
    inner = at[1:-1]
    cells = np.full(len(at) - 1, 1 / (len(at) - 1))
    counts = random.multinomial(n, cells, BAND_SIMULATIONS)[:, :-1].cumsum(axis=1)
    tail = np.minimum(bdtr(counts, n, inner), bdtrc(counts - 1, n, inner)).min(axis=1)
    low, high = get_pointwise_confidence_band(np.quantile(1 - 2 * tail, probability), n, inner)
    return np.r_[0, low, 1], np.r_[0, high, 1]


def judge_calibration(
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
        verdict=_verdict(settings, quantities, coverage, (len(good), len(results) - len(good))),
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
            # At least the variance of independent elements, even if all or none are inside.
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
    n_good_and_failed: tuple[int, int],
) -> Verdict:
    """Return `fail` for a miscalibrated model on its own screens, `review` on those of another."""
    n_good, n_failed = n_good_and_failed
    outside = [one for one in quantities if not one.inside]
    # Slopes, the main result, come first.
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
    remedy = (
        "the engine or the code of the model is wrong: do not use it"
        if own
        else f"fit {settings.simulated} where screens follow {settings.simulated}"
    )
    reasons = [
        f"{variable}: intervals of {_listed(one.level for one in wrong)} contain the truth in "
        f"{_listed(one.coverage for one in wrong)} of cases (Monte Carlo error at most "
        f"{max(one.mcse for one in wrong):.1%}); {remedy}"
        for variable, wrong in missed.items()
    ]
    reasons += [
        f"{one.quantity}: ranks are not uniform, the ECDF is {one.largest_difference:+.3f} off at "
        f"{one.at:.2f}; {remedy}"
        for one in outside
    ]
    status: Status = "pass"
    if reasons:
        status = "fail" if own else "review"
    if n_failed:
        reasons.append(
            f"{n_failed} simulations gave no posterior and are left out; use --engine auto"
        )
        status = "fail" if status == "fail" else "review"
    notes: tuple[str, ...] = ()
    if n_good < ENOUGH_SIMULATIONS:
        notes = (
            f"{n_good:,} simulations can show gross errors only: a `pass` counts for promotion "
            f"from {ENOUGH_SIMULATIONS:,} simulations on",
        )
    return Verdict(status=status, reasons=tuple(reasons), notes=notes)


def _missed(one: Coverage, settings: CalibrationSettings) -> bool:
    return abs(one.errors_off) > settings.max_coverage_errors


def _listed(shares: Iterable[float]) -> str:
    return ", ".join(f"{share:.3g}" for share in shares)
