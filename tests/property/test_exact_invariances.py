"""Labels, order, units and levels change nothing in the exact engine, or a known thing."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.exact.marginal import hyperparameters
from schemas.parameters import ModelName, Priors
from schemas.posterior import CONTRACTS
from tests.model.exact.dense import COLUMNS
from tests.model.exact.pieces import MODELS, Pieces, random_rows
from tests.property.releases import examples

SEEDS = st.integers(0, 2**32 - 1)
SIZES = st.tuples(st.integers(1, 5), st.integers(2, 5), st.integers(1, 3), st.integers(1, 3))
screens = st.builds(lambda seed, sizes: random_rows(seed, *sizes), SEEDS, SIZES)
"""Unbalanced screens of all sizes, as long tables."""


def priors(alpha: float = 0.7, beta: float = -0.4, unit: float = 1.0, rna: float = 1.0) -> Priors:
    """Priors whose centres and units can be moved."""
    return Priors.model_validate(
        {
            "mu_alpha": f"Normal({alpha * unit!r}, {abs(2 * unit)!r})",
            "mu_gamma": f"Normal(0, {abs(2 * unit)!r})",
            "mu_beta": f"Normal({beta * unit / rna!r}, {abs(0.5 * unit / rna)!r})",
        }
    )


CENTRED = priors()


def log_sds(model: ModelName, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 0.7, len(hyperparameters(model)))


def solved(
    model: ModelName, rows: pd.DataFrame, theta: np.ndarray, prior: Priors = CENTRED
) -> dict[Any, float]:
    """Return the log likelihood and the conditional mean of every variable, by name and label."""
    pieces = Pieces(model, rows, theta, seed=len(rows), priors=prior)
    found: dict[Any, float] = {"log_likelihood": float(pieces.factored.log_likelihood[0])}
    for name, values in pieces.means().items():
        if name in CONTRACTS[model].variables:
            labels = getattr(pieces.design, f"{COLUMNS[name]}s") if name in COLUMNS else [""]
            found |= {(name, label): value for label, value in zip(labels, values, strict=True)}
    return found


@examples(20)
@given(model=st.sampled_from(MODELS), rows=screens, seed=SEEDS)
def test_labels_and_order_change_nothing(model: ModelName, rows: pd.DataFrame, seed: int):
    random, theta = np.random.default_rng(seed), log_sds(model, seed)
    new: dict[str, dict[str, str]] = {}
    for column in ("gene", "cell_line", "guide"):
        labels = rows[column].unique()
        names = [f"{column} {number:02}" for number in random.permutation(len(labels))]
        new[column] = dict(zip(labels, names, strict=True))
    other = rows.assign(**{column: rows[column].map(names) for column, names in new.items()})
    if model != "m4_nested":  # without terms of guides it does not matter which guide measured
        other["guide"] = other["gene"] + random.integers(3, size=len(rows)).astype(str)
    expected = {
        (key[0], new[COLUMNS[key[0]]][key[1]]) if key[0] in COLUMNS else key: value
        for key, value in solved(model, rows, theta).items()
    }
    found = solved(model, other.iloc[random.permutation(len(other))], theta)
    assert found == pytest.approx(expected, rel=1e-8, abs=1e-8)


@examples(20)
@given(
    model=st.sampled_from(MODELS),
    rows=screens,
    seed=SEEDS,
    level_and_slope=st.tuples(st.floats(-20, 20), st.floats(-20, 20)),
    units=st.sampled_from([(-8.0, 0.125), (-1.0, 1.0), (0.01, -2.0), (3.0, -1.0)]),
)
def test_levels_slopes_units_and_signs_move_and_scale_the_effects(
    model: ModelName, rows: pd.DataFrame, seed: int, level_and_slope, units
):
    (level, slope), (unit, rna) = level_and_slope, units
    theta = log_sds(model, seed)
    scaled = theta + np.log(abs(unit))
    scaled[hyperparameters(model).index("sigma_beta")] -= np.log(abs(rna))
    moved = rows["logfc"] + level + slope * rows["rna"]
    other = rows.assign(logfc=moved * unit, rna=rows["rna"] * rna)
    expected = solved(model, rows, theta)
    added = {"alpha_g": level, "mu_alpha": level, "beta_g": slope, "mu_beta": slope}
    for key in expected:
        per_rna = rna if key[0] in ("beta_g", "mu_beta") else 1
        expected[key] = (expected[key] + added.get(key[0], 0)) * unit / per_rna
    expected["log_likelihood"] /= unit
    expected["log_likelihood"] -= len(rows) * np.log(abs(unit))
    found = solved(model, other, scaled, priors(0.7 + level, -0.4 + slope, unit, rna))
    size = max(1.0, abs(unit / rna), abs(unit))
    assert found == pytest.approx(expected, rel=1e-8, abs=1e-8 * size)
