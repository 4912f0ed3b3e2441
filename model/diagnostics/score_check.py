"""Check that draws are from the posterior of a model, its priors and a design: the score is zero.

It detects imported draws with other labels, data, units or priors.

For every parameter theta, the derivative of the log of the joint density has posterior mean zero,

    E[ d/dtheta log p(y, theta) | y ] = 0,

because the density vanishes at both ends (standard deviations are taken as logs). That fails for
other data, labels or priors, and holds even if chains move slowly along a ridge.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd
import xarray as xr
from arviz_stats.base.array import array_stats

from model.likelihood.cell_covariance import pair_precision
from model.likelihood.linear_predictor import predictor_gradient
from model.likelihood.priors import score as prior_score
from model.prediction.predictive import Draw, draws
from model.screen.design import GuideLines, ScreenDesign, guide_lines
from schemas.model_spec import spec_of
from schemas.parameters import Priors
from schemas.posterior import parameter_names


def scores(posterior: xr.Dataset, design: ScreenDesign, priors: Priors) -> pd.DataFrame:
    """Return the distance of each parameter's score from zero.

    `posterior` holds the variables of a model (`schemas.posterior`), labels in the order of
    `design`. Columns: `parameter`; `shift`, mean over SD of the score, about the number of
    conditional posterior SDs by which the draws are off; `z`, the mean in Monte Carlo standard
    errors. Both are NaN where the score is constant.
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
    """Return the score of every draw by variable, (chain, draw, ...) like the variable."""
    score = _hyper_scores(posterior, priors)
    for name, of_data in _data_scores(posterior, design).items():
        score[name] = score[name] + of_data
    return score


def _hyper_scores(posterior: xr.Dataset, priors: Priors) -> dict[str, np.ndarray]:
    """Return the derivatives of the log prior by variable, (chain, draw, ...)."""
    spec = spec_of(posterior.data_vars)
    values = {str(name): posterior[name].to_numpy() for name in posterior.data_vars}
    score = {
        name: prior_score(getattr(priors, name), values[name]) for name in (*spec.means, *spec.sds)
    }
    for effect in spec.effects:
        centre = values[effect.mean][..., None] if effect.mean else 0.0
        scale = values[effect.sd][..., None]
        standard = (values[effect.name] - centre) / scale
        score[effect.name] = -standard / scale
        score[effect.sd] = score[effect.sd] + (standard**2 - 1).sum(axis=-1)
        if effect.mean:
            score[effect.mean] = score[effect.mean] + (standard / scale).sum(axis=-1)
    return score


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

    With e = mean - expected, P = V / sigma^2 the precision of the means of a gene-line pair
    (`model.likelihood.cell_covariance`) and u = P e, the derivatives by the expected value, by the
    variance of guide k, and by the variance of the pair are

        u,   (u_k^2 - P_kk) / 2,   ((sum u)^2 - sum P) / 2,   sum P = W s / sigma^2.

    Without effects of pairs, as in m4, both of their SDs are 0.
    """

    def over(units: np.ndarray) -> np.ndarray:
        return np.bincount(cells.cell, units)

    def back(pairs: np.ndarray) -> np.ndarray:
        return pairs[cells.cell]

    sds = draw.spreads(cells)
    sigma2, guide_line, gene_line = (
        one.item() ** 2 for one in (sds.noise, sds.guide_line, sds.gene_line)
    )
    ratios = (guide_line / sigma2, gene_line / sigma2)
    pairs = pair_precision(cells.count, *ratios, over)
    u = pairs.solve(cells.mean - draw.expected(cells), over, back) / sigma2
    twice_by_variance = u**2 - pairs.diagonal(back) / sigma2
    of_pair = over(u) ** 2 - pairs.weight * pairs.s / sigma2

    yield from predictor_gradient(draw.spec, draw.values, cells, u).items()
    within = cells.within_ss / sigma2 - cells.within_df
    yield draw.spec.noise_sd, (twice_by_variance * sigma2 / cells.count).sum() + within
    yield draw.spec.guide_line_sd, twice_by_variance.sum() * guide_line
    yield draw.spec.gene_line_sd, of_pair.sum() * gene_line
