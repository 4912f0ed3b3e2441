"""Each predictive check reports the kind of misfit it is for, and none where the model is right."""

from functools import cache

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from model.prediction.checks import QUANTITIES, predictive_checks, replicated_quantities
from tests.designs import design_from_rows

N_GENES, N_LINES, N_GUIDES, N_REPLICATES = 12, 15, 4, 3
GENES, LINES = ([f"{letter}{n:02d}" for n in range(15)] for letter in "gc")


def screen(random: np.random.Generator, **wrong: float) -> pd.DataFrame:
    """Rows of a screen with true alpha = gamma = beta = 0 and sigma = 1, and one thing wrong."""
    sd = dict.fromkeys(("guide", "gene_line", "cell", "line_noise", "gene_noise", "tail"), 0.0)
    sd |= {"shift": 0.0, "agreement": 0.0} | wrong
    shape = (N_GENES, N_LINES, N_GUIDES, N_REPLICATES)
    noise = np.exp(
        sd["line_noise"] * random.normal(size=(N_LINES, 1, 1))
        + sd["gene_noise"] * random.normal(size=(N_GENES, 1, 1, 1))
    )
    logfc = sd["shift"] + noise * random.normal(size=shape)
    logfc += random.normal(0, sd["guide"], (N_GENES, 1, N_GUIDES, 1))
    logfc += random.normal(0, sd["gene_line"], (N_GENES, N_LINES, 1, 1))
    logfc += random.normal(0, sd["cell"], (*shape[:3], 1))
    logfc += sd["tail"] * (random.uniform(size=(*shape[:3], 1)) < 0.1)
    # Of agreement 0.5, half the variance is that of the guide in its line, not of a replicate.
    shared = np.sqrt(sd["agreement"]) * random.normal(size=(*shape[:3], 1))
    logfc = np.sqrt(1 - sd["agreement"]) * logfc + shared
    rna = np.broadcast_to(random.normal(size=(N_GENES, N_LINES, 1, 1)), shape)
    gene, line, guide, _ = np.indices(shape).reshape(4, -1)
    return pd.DataFrame(
        {
            "gene": [GENES[code] for code in gene],
            "cell_line": [LINES[code] for code in line],
            "guide": [f"{GENES[of]}/{code}" for of, code in zip(gene, guide, strict=True)],
            "rna": rna.ravel(),
            "logfc": logfc.ravel(),
        }
    )


def near_truth(n_draws: int = 300) -> xr.Dataset:
    """Draws around the true values, as narrow as a posterior would be."""
    random = np.random.default_rng(8)
    dims = {"alpha_g": "gene", "gamma_c": "cell_line", "beta_g": "gene"}
    labels = {"gene": GENES[:N_GENES], "cell_line": LINES}
    effects = {
        name: (("chain", "draw", dim), random.normal(0, 0.03, (1, n_draws, len(labels[dim]))))
        for name, dim in dims.items()
    }
    sigma = (("chain", "draw"), random.normal(1, 0.01, (1, n_draws)))
    return xr.Dataset(effects | {"sigma": sigma}, coords=labels)


@cache
def p_values_of(**wrong: float) -> dict[str, float]:
    design = design_from_rows(screen(np.random.default_rng(7), **wrong))
    table = replicated_quantities(near_truth(), design, "posterior", seed=1)
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
