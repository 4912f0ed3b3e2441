"""The models as one multivariate normal of all effects and measurements: slow, and obvious."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.stats import multivariate_normal

from model.design import ScreenDesign
from schemas.parameters import Priors
from schemas.posterior import CONTRACTS, GROUPS
from tests.designs import covariance_of_cells

COLUMNS = {"alpha_g": "gene", "gamma_c": "cell_line", "beta_g": "gene", "delta_k": "guide"}
"""What each effect is one of."""


@dataclass(frozen=True, eq=False)
class Dense:
    """What is known given the standard deviations."""

    log_likelihood: float
    mean: dict[str, np.ndarray]
    """Posterior mean of each variable."""
    covariance: np.ndarray
    """Posterior covariance of all variables, in the order of `mean`."""

    def sd(self, variable: str) -> np.ndarray:
        """Return the posterior SD of each element of a variable."""
        names = [name for name, values in self.mean.items() for _ in values]
        return np.sqrt(np.diag(self.covariance)[[name == variable for name in names]])


def dense(
    model: str, rows: pd.DataFrame, design: ScreenDesign, priors: Priors, sd: Mapping[str, float]
) -> Dense:
    """Condition one normal of everything on all measurements of a long table."""
    variables = CONTRACTS[model].variables
    means = [name for name in variables if name.startswith("mu_")]
    groups = [name for name in COLUMNS if name in variables]
    labels = {group: list(getattr(design, f"{COLUMNS[group]}s")) for group in groups}
    sizes = dict.fromkeys(means, 1) | {group: len(labels[group]) for group in groups}
    ends = np.cumsum(list(sizes.values()))
    at = {name: slice(end - n, end) for (name, n), end in zip(sizes.items(), ends, strict=True)}

    prior_mean = np.zeros(ends[-1])
    root = np.zeros((ends[-1], ends[-1]))  # effects = prior mean + root @ independent normals
    design_matrix = np.zeros((len(rows), ends[-1]))
    for name in means:
        prior_mean[at[name]], root[at[name], at[name]] = getattr(priors, name).arguments
    for group in groups:
        mu, sigma = GROUPS[group]
        np.fill_diagonal(root[at[group], at[group]], sd[sigma])
        if mu in at:
            prior_mean[at[group]] = prior_mean[at[mu]]
            root[at[group], at[mu]] = root[at[mu], at[mu]]
        code = [labels[group].index(label) for label in rows[COLUMNS[group]]]
        factor = rows.rna.to_numpy() if group == "beta_g" else 1.0
        design_matrix[np.arange(len(rows)), at[group].start + np.array(code)] = factor

    prior = root @ root.T
    across = design_matrix @ prior
    noise = {"sigma_gene_line": 0.0, "sigma_guide_line": 0.0, **sd}
    marginal = across @ design_matrix.T + covariance_of_cells(rows, noise)
    expected = design_matrix @ prior_mean
    logfc = rows.logfc.to_numpy()
    gain = np.linalg.solve(marginal, across).T
    mean = prior_mean + gain @ (logfc - expected)
    likelihood = multivariate_normal(expected, marginal, allow_singular=True)
    return Dense(
        log_likelihood=float(likelihood.logpdf(logfc)),
        mean={name: mean[where] for name, where in at.items()},
        covariance=prior - gain @ across,
    )
