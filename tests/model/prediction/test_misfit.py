"""Each predictive check reports the kind of misfit it is for, and none where the model is right."""

from functools import cache

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from model.prediction.checks import QUANTITIES, predictive_checks
from model.prediction.replicates import replicate_screens
from tests.designs import design_from_rows, nested_rows

N_GENES, N_LINES = 12, 15
GENES, LINES = ([f"{of}{n:03d}" for n in range(size)] for of, size in (("g", 12), ("c", 15)))


def screen(random: np.random.Generator, **wrong: float) -> pd.DataFrame:
    """Rows of a screen with true alpha = gamma = beta = 0 and sigma = 1, and one thing wrong."""
    sd = dict.fromkeys(("guide", "gene_line", "cell", "line_noise", "gene_noise", "tail"), 0.0)
    sd |= {"shift": 0.0, "agreement": 0.0} | wrong
    rows, _ = nested_rows(N_GENES, N_LINES, n_guides=4, n_replicates=3)

    def by(*columns: str) -> np.ndarray:
        """A standard normal number for each group of rows."""
        group = rows.groupby([*columns]).ngroup().to_numpy()
        return random.normal(size=(group.max() + 1,))[group]

    cell = ("guide", "cell_line")
    noise = np.exp(sd["line_noise"] * by("cell_line") + sd["gene_noise"] * by("gene"))
    logfc = sd["shift"] + noise * random.normal(size=len(rows)) + sd["guide"] * by("guide")
    logfc += sd["gene_line"] * by("gene", "cell_line") + sd["cell"] * by(*cell)
    logfc += sd["tail"] * (by(*cell) < -1.28)
    # Of agreement 0.5, half the variance is that of the guide in its line, not of a replicate.
    logfc = np.sqrt(1 - sd["agreement"]) * logfc + np.sqrt(sd["agreement"]) * by(*cell)
    return rows.assign(logfc=logfc)


def near_truth(n_draws: int = 300) -> xr.Dataset:
    """Draws around the true values, as narrow as a posterior would be."""
    random = np.random.default_rng(8)
    dims = {"alpha_g": "gene", "gamma_c": "cell_line", "beta_g": "gene"}
    labels = {"gene": GENES, "cell_line": LINES}
    effects = {
        name: (("chain", "draw", dim), random.normal(0, 0.03, (1, n_draws, len(labels[dim]))))
        for name, dim in dims.items()
    }
    sigma = (("chain", "draw"), random.normal(1, 0.01, (1, n_draws)))
    return xr.Dataset(effects | {"sigma": sigma}, coords=labels)


@cache
def p_values_of(**wrong: float) -> dict[str, float]:
    design = design_from_rows(screen(np.random.default_rng(7), **wrong))
    table = replicate_screens(near_truth(), design, "posterior", seed=1).quantities
    return {check.name: check.p_value for check in predictive_checks(table)}


def test_no_check_fires_on_data_of_the_model():
    values = p_values_of()
    assert set(values) == set(QUANTITIES)
    assert all(0.005 < p < 0.995 for p in values.values()), values


@pytest.mark.parametrize(
    ("wrong", "quantity", "low"),
    [
        ({"shift": 0.3}, "mean", True),
        ({"cell": 0.6}, "sd", True),
        ({"tail": -4.0}, "quantile_05", False),
        ({"tail": 4.0}, "quantile_95", True),
        ({"gene_noise": 0.5}, "gene_residual_spread", True),
        ({"line_noise": 0.5}, "line_residual_spread", True),
        ({"line_noise": 0.2}, "line_noise_spread", True),
        ({"tail": -4.0}, "tail_weight", True),
        ({"guide": 0.5}, "guide_variance", True),
        ({"gene_line": 0.3}, "within_cell_correlation", True),
        ({"agreement": 0.5}, "within_guide_variance", False),
    ],
)
def test_each_check_fires_on_its_kind_of_misfit(wrong, quantity, low):
    p = p_values_of(**wrong)[quantity]
    assert p < 0.005 if low else p > 0.995
