"""The models as one multivariate normal of all effects and measurements: slow, and obvious."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.stats import multivariate_normal

from model.design import ScreenDesign
from schemas.parameters import Priors
from schemas.posterior import CONTRACTS
from tests.designs import covariance_of_cells

EFFECTS = ("alpha_g", "gamma_c", "beta_g", "delta_k")
SDS = {"alpha": "sigma_alpha", "gamma": "sigma_gamma", "beta": "sigma_beta", "delta": "sigma_guide"}


@dataclass(frozen=True, eq=False)
class Dense:
    """What is to be known given the standard deviations."""

    log_likelihood: float
    mean: dict[str, np.ndarray]
    """Posterior mean of each variable."""
    covariance: np.ndarray
    """Posterior covariance of all variables, in the order of `names`."""
    names: list[str]

    def at(self, variable: str) -> list[int]:
        """Return where a variable stands in `names`."""
        return [index for index, name in enumerate(self.names) if name == variable]

    def sd(self, variable: str) -> np.ndarray:
        """Return the posterior SD of each element of a variable."""
        return np.sqrt(np.diag(self.covariance)[self.at(variable)])


def dense(
    model: str, rows: pd.DataFrame, design: ScreenDesign, priors: Priors, sd: Mapping[str, float]
) -> Dense:
    """Condition one normal of everything on all measurements of a long table."""
    variables = CONTRACTS[model].variables
    means = [name for name in variables if name.startswith("mu_")]
    groups = [name for name in EFFECTS if name in variables]
    labels = {
        "alpha_g": list(design.genes),
        "beta_g": list(design.genes),
        "gamma_c": list(design.cell_lines),
        "delta_k": list(design.guides),
    }
    names = means + [group for group in groups for _ in labels[group]]
    first = {name: names.index(name) for name in dict.fromkeys(names)}

    prior_mean = np.zeros(len(names))
    root = np.zeros((len(names), len(names)))  # effects = prior mean + root @ independent normals
    for name in means:
        centre, spread = getattr(priors, name).arguments
        prior_mean[first[name]] = centre
        root[first[name], first[name]] = spread
    for group in groups:
        which = group.partition("_")[0]
        of_group = slice(first[group], first[group] + len(labels[group]))
        np.fill_diagonal(root[of_group, of_group], sd[SDS[which]])
        if (mu := f"mu_{which}") in first:
            prior_mean[of_group] = prior_mean[first[mu]]
            root[of_group, first[mu]] = root[first[mu], first[mu]]

    design_matrix = np.zeros((len(rows), len(names)))
    each = np.arange(len(rows))
    for group, column, value in (
        ("alpha_g", "gene", 1.0),
        ("beta_g", "gene", rows.rna.to_numpy()),
        ("gamma_c", "cell_line", 1.0),
        ("delta_k", "guide", 1.0),
    ):
        if group in groups:
            at = [first[group] + labels[group].index(label) for label in rows[column]]
            design_matrix[each, at] = value

    noise = {"sigma_gene_line": 0.0, "sigma_guide_line": 0.0, **sd}
    prior = root @ root.T
    across = design_matrix @ prior
    marginal = across @ design_matrix.T + covariance_of_cells(rows, noise)
    expected = design_matrix @ prior_mean
    logfc = rows.logfc.to_numpy()
    gain = np.linalg.solve(marginal, across).T
    mean = prior_mean + gain @ (logfc - expected)
    return Dense(
        log_likelihood=float(
            multivariate_normal(expected, marginal, allow_singular=True).logpdf(logfc)
        ),
        mean={name: mean[[i for i, one in enumerate(names) if one == name]] for name in first},
        covariance=prior - gain @ across,
        names=names,
    )
