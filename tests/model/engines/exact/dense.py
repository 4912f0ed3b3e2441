"""The models as one multivariate normal of all effects and measurements: slow, and obvious."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy import special, stats

from model.screen.design import ScreenDesign
from schemas.model_spec import MODEL_SPECS, Mixture
from schemas.parameters import ModelName, Priors
from tests.designs import GROUPS, covariance_of_cells

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
    model: ModelName,
    rows: pd.DataFrame,
    design: ScreenDesign,
    priors: Priors,
    sd: Mapping[str, float],
) -> Dense:
    """Condition one normal of everything on all measurements of a long table."""
    variables = MODEL_SPECS[model].variables
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
    likelihood = stats.multivariate_normal(expected, marginal, allow_singular=True)
    return Dense(
        log_likelihood=float(likelihood.logpdf(logfc)),
        mean={name: mean[where] for name, where in at.items()},
        covariance=prior - gain @ across,
    )


FAMILIES: dict[str, Any] = {
    "Normal": stats.norm,
    "Exponential": lambda rate: stats.expon(scale=1 / rate),
    "HalfNormal": lambda scale: stats.halfnorm(scale=scale),
}


def log_density_of_rows(
    rows: pd.DataFrame, design: ScreenDesign, priors: Priors, point: Mapping[str, Any]
) -> float:
    """The log density of all measurements and parameters, eps and zeta integrated out."""
    mean, log_density = np.zeros(len(rows)), 0.0
    for name in set(GROUPS) & set(point):
        labels = list(getattr(design, f"{COLUMNS[name]}s"))
        effects = point[name][[labels.index(label) for label in rows[COLUMNS[name]]]]
        mean += effects * (rows.rna.to_numpy() if name == "beta_g" else 1)
        mu, sigma = GROUPS[name]
        centre = point.get(mu, np.zeros(()))
        log_density += float(np.sum(stats.norm.logpdf(point[name], centre, point[sigma])))
    for name, value in point.items():
        if name not in GROUPS:
            prior = getattr(priors, name)
            log_density += FAMILIES[prior.family](*prior.arguments).logpdf(value)
        if name.startswith("sigma"):
            log_density += float(np.log(value))  # PyMC samples log sigma
    sd = {"sigma_gene_line": 0.0, "sigma_guide_line": 0.0, **point}
    covariance = covariance_of_cells(rows, sd)
    return log_density + stats.multivariate_normal.logpdf(rows.logfc, mean, covariance)


def slope_components(
    mixture: Mixture, deviation: np.ndarray, x: np.ndarray, covariance: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Log density of a gene's measurements by component of its slope, and the mean slope of each.

    A half-normal is twice a normal cut at 0, and so is what is known of the slope.
    """
    log_density, mean = np.zeros((2, mixture.n_components))
    for at, signed in enumerate(mixture.signed_scales):
        marginal = covariance + signed**2 * np.outer(x, x)
        log_density[at] = stats.multivariate_normal.logpdf(deviation, cov=marginal)
        if signed:
            gain, sign = signed**2 * np.linalg.solve(marginal, x), np.sign(signed)
            towards, sd = sign * gain @ deviation, abs(signed) * np.sqrt(1 - gain @ x)
            log_density[at] += np.log(2) + stats.norm.logcdf(towards / sd)
            mean[at] = sign * stats.truncnorm(-towards / sd, np.inf, towards, sd).mean()
    return log_density, mean


def screen_genes(
    rows: pd.DataFrame, design: ScreenDesign, point: Mapping[str, Any]
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]]:
    """Of each gene in m4_screen: deviations at slope 0, x, covariance given effects and of them."""
    for g, gene in enumerate(design.genes):
        own = rows[rows.gene == gene]
        line = np.array([design.cell_lines.index(name) for name in own.cell_line])
        guide = np.array([design.guides.index(name) for name in own.guide])
        scale, noise = point["s_c"][line], (point["sigma"] * point["f_c"][line]) ** 2
        effects = scale * (point["alpha_g"][g] + point["delta_k"][guide])
        scales, same_guide = np.outer(scale, scale), np.equal.outer(guide, guide)
        pairs = point["omega_g"][g] ** 2 + point["sigma_guide_line"] ** 2 * same_guide
        covariance = np.diag(noise) + np.equal.outer(line, line) * pairs * scales
        of_effects = point["sigma_alpha"] ** 2 + point["sigma_guide"] ** 2 * same_guide
        deviation = own.logfc.to_numpy() - point["gamma_c"][line] - effects
        yield deviation, scale * own.rna.to_numpy(), covariance, of_effects * scales


def log_density_of_screen(
    rows: pd.DataFrame, design: ScreenDesign, priors: Priors, point: Mapping[str, Any]
) -> float:
    """The same of m4_screen, slopes integrated out, too; of effects and factors in SDs."""
    mixture = MODEL_SPECS["m4_screen"].mixture
    assert mixture
    standard = [
        (point["alpha_g"] - point["mu_alpha"]) / point["sigma_alpha"],
        (point["gamma_c"] - point["mu_gamma"]) / point["sigma_gamma"],
        point["delta_k"] / point["sigma_guide"],
        np.log(point["omega_g"] / point["sigma_gene_line"]) / point["sigma_omega"],
        *(np.log(point[f"{of}_c"]) / point[f"sigma_{of}"] for of in "sf"),
    ]
    log_density = stats.norm.logpdf(np.concatenate(standard)).sum()
    log_density += mixture.concentrations @ np.log(point["pi"])
    for name in MODEL_SPECS["m4_screen"].means + MODEL_SPECS["m4_screen"].sds:
        prior, value = getattr(priors, name), point[name]
        log_density += FAMILIES[prior.family](*prior.arguments).logpdf(value)
        log_density += np.log(value) if name.startswith("sigma") else 0.0
    for deviation, x, covariance, _ in screen_genes(rows, design, point):
        components, _ = slope_components(mixture, deviation, x, covariance)
        log_density += special.logsumexp(np.log(point["pi"]) + components)
    return float(log_density)
