"""Whether draws are of the posterior of a model, its priors and a design: the score is zero.

Where draws come from elsewhere, labels, data, units or priors may be other than one thinks. What is
done with draws that fail is for the caller.

For every parameter theta, the derivative of the log of the joint density has posterior mean zero,

    E[ d/dtheta log p(y, theta) | y ] = 0,

because the density vanishes at both ends (standard deviations are taken as logs). That holds for no
other data, labels or priors, whether or not chains move slowly along a ridge.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd
import xarray as xr
from arviz_stats.base.array import array_stats

from model.design import ScreenDesign
from model.guide_lines import GuideLines, guide_lines
from model.labels import parameter_names
from model.predictive import Draw, draws
from schemas.parameters import Distribution, Priors
from schemas.posterior import GROUPS


def scores(posterior: xr.Dataset, design: ScreenDesign, priors: Priors) -> pd.DataFrame:
    """Return for each parameter how far its score is from zero.

    `posterior` holds the variables of a model (`schemas.posterior`), labels in the order of
    `design`. Columns: `parameter`; `shift`, mean over SD of the score, about the number of
    conditional posterior SDs by which the draws are off; `z`, the mean in Monte Carlo standard
    errors. Both are NaN where the score never moves.
    """
    by_variable = score_draws(posterior, design, priors)
    score = np.concatenate(
        [
            values.reshape(*values.shape[:2], -1).transpose(2, 0, 1)
            for values in (by_variable[str(name)] for name in posterior.data_vars)
        ]
    )
    mean, sd = score.mean(axis=(1, 2)), score.std(axis=(1, 2), ddof=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        shift = mean / sd
        effective = np.asarray(array_stats.ess(score, method="mean"))
    return pd.DataFrame(
        {
            "parameter": parameter_names(posterior),
            "shift": shift,
            "z": shift * np.sqrt(effective),
        }
    )


def score_draws(
    posterior: xr.Dataset, design: ScreenDesign, priors: Priors
) -> dict[str, np.ndarray]:
    """Return the score of every draw by variable, (chain, draw, ...) as the variable itself."""
    score = _hyper_scores(posterior, priors)
    for name, of_data in _data_scores(posterior, design).items():
        score[name] = score[name] + of_data
    return score


def _hyper_scores(posterior: xr.Dataset, priors: Priors) -> dict[str, np.ndarray]:
    """Return the derivatives of the log prior by variable, (chain, draw, ...)."""
    draw = {str(name): posterior[name].to_numpy() for name in posterior.data_vars}
    score = {
        name: _prior_score(getattr(priors, name), values)
        for name, values in draw.items()
        if name not in GROUPS
    }
    for name, (mean, sd) in GROUPS.items():
        if name not in draw:
            continue
        centre = draw[mean][..., None] if mean in draw else 0.0
        scale = draw[sd][..., None]
        standard = (draw[name] - centre) / scale
        score[name] = -standard / scale
        score[sd] = score[sd] + (standard**2 - 1).sum(axis=-1)
        if mean in draw:
            score[mean] = score[mean] + (standard / scale).sum(axis=-1)
    return score


def _prior_score(prior: Distribution, values: np.ndarray) -> np.ndarray:
    """Return the derivative of a log prior; of a standard deviation's log, with its Jacobian."""
    match prior.family:
        case "Normal":
            mean, sd = prior.arguments
            return (mean - values) / sd**2
        case "Exponential":
            return 1 - prior.arguments[0] * values
        case "HalfNormal":
            return 1 - (values / prior.arguments[0]) ** 2


def _data_scores(posterior: xr.Dataset, design: ScreenDesign) -> dict[str, np.ndarray]:
    """Return the derivatives of the log likelihood by variable, (chain, draw, ...)."""
    cells = guide_lines(design)
    by_draw = [dict(_draw_scores(draw, cells)) for draw in draws(posterior, design)]
    shape = (posterior.sizes["chain"], posterior.sizes["draw"])
    return {
        name: np.array([score[name] for score in by_draw]).reshape(
            *shape, *posterior[name].shape[2:]
        )
        for name in by_draw[0]
        if name in posterior
    }


def _draw_scores(draw: Draw, cells: GuideLines) -> Iterator[tuple[str, np.ndarray | float]]:
    """Yield the derivatives of the log likelihood at one draw.

    The means of a gene-line cell have covariance V = diag(v) + sigma_gene_line^2 1 1', with
    v = sigma_guide_line^2 + sigma^2 / n; w = 1 / v, W = sum w over the guides of the cell. With
    e = mean - expected and u = V^-1 e (Sherman and Morrison 1950)

        u = w (e - sigma_gene_line^2 (sum w e) / (1 + sigma_gene_line^2 W))
        d log p / d expected = u
        d log p / d v        = (u^2 - diag(V^-1)) / 2
        d log p / d sigma_gene_line^2 = ((sum u)^2 - W / (1 + sigma_gene_line^2 W)) / 2.

    Without effects of cells, as in m4, both of their SDs are 0.
    """
    shared = draw.sigma_gene_line**2
    noise = draw.sigma**2 / cells.count
    weight = 1 / (draw.sigma_guide_line**2 + noise)
    of_cell = np.bincount(cells.cell, weight)
    inflation = 1 + shared * of_cell
    weighted = weight * (cells.mean - draw.expected(cells))
    sum_of_cell = np.bincount(cells.cell, weighted) / inflation
    slope = weighted - weight * shared * sum_of_cell[cells.cell]
    diagonal = weight - shared * (weight**2) / inflation[cells.cell]
    twice_by_variance = slope**2 - diagonal

    yield "alpha_g", np.bincount(cells.gene, slope, draw.alpha.size)
    yield "beta_g", np.bincount(cells.gene, slope * cells.rna, draw.beta.size)
    yield "gamma_c", np.bincount(cells.cell_line, slope, draw.gamma.size)
    yield "delta_k", np.bincount(cells.guide, slope, draw.delta.size)
    within = cells.within_ss / draw.sigma**2 - cells.within_df
    yield "sigma", (twice_by_variance * noise).sum() + within
    yield "sigma_guide_line", twice_by_variance.sum() * draw.sigma_guide_line**2
    yield "sigma_gene_line", (sum_of_cell**2 - of_cell / inflation).sum() * shared
