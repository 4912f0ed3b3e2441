"""The simulated screen of the original, with known true values."""

from __future__ import annotations

from dataclasses import dataclass
from string import ascii_uppercase
from types import SimpleNamespace

import numpy as np
import pandas as pd

from model.likelihood.linear_predictor import linear_predictor
from schemas.model_spec import MODEL_SPECS
from schemas.posterior import parameter_name

N_GENES, N_CELL_LINES, N_GUIDES = 5, 20, 3
NOISE_SD = 0.3
SEED = 103


@dataclass(frozen=True, eq=False)
class SimulatedScreen:
    """A screen and its true values."""

    measurements: pd.DataFrame
    """One row per measurement: gene, cell_line, rna (SD), sgrna_idx, logfc (log2)."""
    truth: dict[str, float]
    """True value of each parameter, named as in `summary.csv`: `mu_beta`, `beta_g[geneA]`, ..."""


def original_screen() -> SimulatedScreen:
    """Return the original's simulated screen: 5 genes x 20 cell lines x 3 guides.

    The order of the draws from numpy's legacy generator is part of the definition: alpha_g,
    gamma_c, beta_g, RNA gene by gene, then logFC row by row for each guide.
    """
    random = np.random.RandomState(SEED)
    alpha = random.normal(-1, 1, N_GENES)
    gamma = random.normal(0, 3, N_CELL_LINES)
    beta = random.normal(-1, 2, N_GENES)
    rna = random.normal(0, 1, N_GENES * N_CELL_LINES)

    gene = np.repeat(np.arange(N_GENES), N_CELL_LINES)
    line = np.tile(np.arange(N_CELL_LINES), N_GENES)
    effects = {"alpha_g": alpha, "gamma_c": gamma, "beta_g": beta}
    at = SimpleNamespace(gene=gene, cell_line=line, covariates={"rna": rna})
    mean = linear_predictor(MODEL_SPECS["m4"], effects, at)

    genes = [f"gene{letter}" for letter in ascii_uppercase[:N_GENES]]
    cell_lines = [f"cell{letter}" for letter in ascii_uppercase[:N_CELL_LINES]]
    measurements = pd.DataFrame(
        {
            "gene": np.tile(np.array(genes)[gene], N_GUIDES),
            "cell_line": np.tile(np.array(cell_lines)[line], N_GUIDES),
            "rna": np.tile(rna, N_GUIDES),
            "sgrna_idx": np.repeat(np.arange(N_GUIDES), gene.size),
            "logfc": random.normal(np.tile(mean, N_GUIDES), NOISE_SD),
        }
    )
    truth = {
        "mu_alpha": -1.0,
        "mu_gamma": 0.0,
        "mu_beta": -1.0,
        "sigma_alpha": 1.0,
        "sigma_gamma": 3.0,
        "sigma_beta": 2.0,
        "sigma": NOISE_SD,
        **_named("alpha_g", genes, alpha),
        **_named("beta_g", genes, beta),
        **_named("gamma_c", cell_lines, gamma),
    }
    return SimulatedScreen(measurements, truth)


def _named(variable: str, labels: list[str], values: np.ndarray) -> dict[str, float]:
    return {
        parameter_name(variable, label): float(value)
        for label, value in zip(labels, values, strict=True)
    }
