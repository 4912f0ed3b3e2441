"""Slopes without groups of cell lines where they have a mixture prior, from draws of a sampler.

Given what genes share, such as the effects, scales and noise of the lines, genes are independent.
Given that and the spread of a gene, its slope without some lines follows exactly
(`model.likelihood.slope_information`, `model.engines.gibbs.mixture`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import xarray as xr
from scipy.special import log_ndtr

from model.effects.gene_effects import local_false_sign_rate
from model.effects.leave_groups_out import GroupsOut, Slopes
from model.effects.within_lineage import WithinLineages, rna_within, strata
from model.engines.gibbs.mixture import (
    SMALLEST_PRECISION,
    component_log_likelihoods,
    component_probabilities,
)
from model.engines.gibbs.state import GibbsData
from model.likelihood.slope_information import slope_information
from model.likelihood.spreads import noise_by_line
from model.prediction.predictive import of_design, of_part, thin
from model.runtime.executors import n_threads, threaded_map
from model.runtime.progress import ProgressCallback, no_progress
from model.screen.design import ScreenDesign
from schemas.model_spec import Mixture, model_spec
from schemas.parameters import ModelName, Priors

N_DRAWS = 64
"""Draws used: means and probabilities of slopes vary little between them."""
MOST_SLOPES = 100_000_000
"""Largest number of slopes, one per draw, group and gene: about a minute on two cores."""
SECONDS_PER_SLOPE = 1e-6
"""Measured on one core."""
AT_ONCE = 50_000
"""Slopes computed together: a few arrays of 5 MB."""


@dataclass(frozen=True, eq=False)
class SampledScreen:
    """A screen, and draws from its posterior."""

    data: GibbsData
    draws: dict[str, np.ndarray]
    """Draws of every variable, (S,) or (S, items)."""

    @classmethod
    def of(
        cls,
        name: ModelName,
        design: ScreenDesign,
        priors: Priors,
        posterior: xr.Dataset,
        n_draws: int = N_DRAWS,
    ) -> SampledScreen:
        """Return a design with at least so many draws; `posterior` may be of more genes."""
        data = GibbsData.of(model_spec(name, design.covariates), design, priors)
        draws = of_design(thin(of_part(posterior, design), n_draws), design)
        # Compiled code is compiled again for arrays of another layout.
        return cls(data, {name: np.ascontiguousarray(values) for name, values in draws.items()})

    @property
    def shape(self) -> tuple[int, int]:
        """Number of genes and of draws."""
        return len(self.data.columns), len(self.draws[self.data.spec.noise_sd])

    @property
    def of_lines(self) -> tuple[np.ndarray, np.ndarray]:
        """Scale s_c, and variance of one measurement, (S, C) each."""
        spec, n_lines = self.data.spec, self.data.columns.shape[2]
        noise = noise_by_line(spec, self.draws, n_lines) ** 2
        scale = self.draws[spec.line_scale.name] if spec.line_scale else np.ones(noise.shape)
        return scale, noise

    @property
    def gene_line(self) -> np.ndarray:
        """omega_g^2 (S, G)."""
        spec, (n_genes, n_draws) = self.data.spec, self.shape
        sd = self.draws[spec.pair_spread.name if spec.pair_spread else spec.gene_line_sd]
        return np.broadcast_to(sd.reshape(n_draws, -1), (n_draws, n_genes)) ** 2

    @property
    def mixture(self) -> Mixture:
        """The prior of the slopes."""
        mixture = self.data.spec.mixture
        assert mixture is not None
        return mixture


def choose_genes(
    design: ScreenDesign, posterior: xr.Dataset, n_groups: int, error_max: float
) -> ScreenDesign:
    """Return the design, or as many of its genes as need at most MOST_SLOPES slopes.

    Genes whose sign is sure come first, then others, evenly spaced: only a sure sign can rest on
    some group of lines.
    """
    n_genes, most = len(design.genes), _n_genes(len(design.genes), n_groups)
    if n_genes <= most:
        return design
    beta = posterior["beta_g"].sel(gene=list(design.genes)).to_numpy()
    lfsr = local_false_sign_rate(beta.reshape(-1, n_genes).T)
    sure = np.flatnonzero(lfsr <= error_max)
    surest = sure[np.argsort(lfsr[sure], kind="stable")][:most]
    others = np.flatnonzero(~(lfsr <= error_max))
    n_others = min(most - len(surest), len(others))
    spaced = others[np.linspace(0, len(others) - 1, n_others).round().astype(int)]
    return design.of_genes(np.concatenate([surest, spaced]))


def _n_genes(n_genes: int, n_groups: int) -> int:
    """Return the number of genes that are evaluated."""
    return min(n_genes, max(1, MOST_SLOPES // (N_DRAWS * (n_groups + 1))))


def seconds_by_draws(design: ScreenDesign, n_groups: int) -> float:
    """Return the approximate seconds to leave out so many groups, within a factor of about two."""
    n_slopes = _n_genes(len(design.genes), n_groups) * N_DRAWS * (n_groups + 1)
    return n_slopes * SECONDS_PER_SLOPE / n_threads()


def leave_out_by_draws(
    screen: SampledScreen, groups: np.ndarray, progress: ProgressCallback = no_progress
) -> GroupsOut:
    """Return the slopes without each group of lines, `groups` (O, C) bool.

    Given a draw, the slope of a gene without a group has its exact posterior. The draws are
    weighted by gene and group by the inverse of

        p(measurements of the gene in the group | its others, draw)

    (Gelfand, Dey and Chang 1992; weights truncated as by Ionides 2008, Truncated importance
    sampling, J. Comput. Graph. Stat. 17), so that the spread of the gene is that without the group
    as well. What genes share is not fitted again: it keeps the information of other genes in the
    lines of the group. docs/results.md gives the size of that error. The density of the
    measurements of a group is not known, so that `elpd` and `pareto_k` are None.
    """
    everything = np.concatenate([np.zeros((1, groups.shape[1]), bool), groups])
    n_genes, n_draws = screen.shape
    size = max(1, AT_ONCE // (n_draws * len(everything)))
    firsts = range(0, n_genes, size)

    def of_some(first: int) -> Slopes:
        information, score, log_likelihood = _information(
            screen, everything, slice(first, first + size)
        )
        weights = screen.draws[screen.mixture.weights][:, None, None]
        moments = _moments(screen.mixture, information, score, weights)
        return moments.averaged(_truncated_weights(log_likelihood + moments.log_likelihood))

    parts = []
    for done, part in enumerate(threaded_map(of_some, firsts), start=1):
        parts.append(part)
        progress(done, len(firsts))
    mean, sd, lfsr = (
        np.concatenate([getattr(part, name) for part in parts], axis=1)
        for name in ("mean", "sd", "lfsr")
    )
    slopes = Slopes(mean, sd, lfsr)
    return GroupsOut(slopes.part(0), slopes.part(slice(1, None)), elpd=None, pareto_k=None)


def log_evidence(screen: SampledScreen, groups: np.ndarray, genes: slice) -> np.ndarray:
    """Return the log density of the measurements of genes without groups (O, C), (S, O, g).

    Given each draw of what genes share and of their spreads, up to a factor by draw and gene that
    does not depend on the group.
    """
    information, score, log_likelihood = _information(screen, groups, genes)
    spec, draws = screen.data.spec, screen.draws
    if spec.mixture:
        weights = draws[spec.mixture.weights][:, None, None]
        return log_likelihood + _components(spec.mixture, information, score, weights)[2]
    slope = spec.gene_effects[spec.rna_column]
    mean, precision = draws[slope.mean][:, None, None], draws[slope.sd][:, None, None] ** -2.0
    total = precision + information
    squares = (score + precision * mean) ** 2 / total - precision * mean**2
    result: np.ndarray = log_likelihood + 0.5 * (np.log(precision / total) + squares)
    return result


def within_lineages_by_draws(
    screen: SampledScreen, lineage: Sequence[str], whole: Slopes, share: float
) -> WithinLineages:
    """Return the slopes on RNA minus its mean by gene and lineage.

    As `model.effects.within_lineage.within_lineages`, with weights at the posterior means of log
    SDs and factors. The slope within lineages has the prior of the component of the whole slope,
    with either sign: under the prior of all slopes, most of them 0, it would vanish wherever the
    lines of a lineage say little. `share` is that of the whole slope for `prob_left`.
    """
    mixture, n_scales = screen.mixture, len(screen.mixture.scales)
    member, column = strata(lineage), screen.data.spec.rna_column
    columns = screen.data.columns.copy()
    columns[:, column], left = rna_within(columns[:, column], _pair_weights(screen), member)
    inside = replace(screen, data=replace(screen.data, columns=columns))

    none_out = np.zeros((1, len(lineage)), bool)
    information, score, _ = _information(screen, none_out, slice(None))
    weights = screen.draws[mixture.weights][:, None, None]
    of_whole = _components(mixture, information, score, weights)[0]
    either = (of_whole[..., 1 : 1 + n_scales] + of_whole[..., 1 + n_scales :]) / 2
    prior = np.concatenate([of_whole[..., :1], either, either], axis=-1)

    information, score, _ = _information(inside, none_out, slice(None))
    moments = _moments(mixture, information, score, prior)
    slopes = moments.averaged(np.full(information.shape, 1 / len(information))).part(0)
    along = np.sign(whole.mean) * score
    beyond = _prob_beyond(mixture, information, along, prior, share * np.abs(whole.mean))
    return WithinLineages(slopes.mean, slopes.sd, left, beyond.mean(axis=(0, 1)))


@dataclass(frozen=True, eq=False)
class _Moments:
    """Moments of slopes in their posterior given each draw, (S, O, G)."""

    mean: np.ndarray
    square: np.ndarray
    negative: np.ndarray
    """P(slope < 0)."""
    positive: np.ndarray
    log_likelihood: np.ndarray
    """With the slope integrated out, relative to a slope of 0."""

    def averaged(self, weights: np.ndarray) -> Slopes:
        """Return the slopes (O, G) over draws of these weights (S, O, G)."""
        mean, square, negative, positive = (
            (weights * values).sum(axis=0)
            for values in (self.mean, self.square, self.negative, self.positive)
        )
        # Rounding may leave a sum of probabilities a few ulp above 1.
        lfsr = np.maximum(0, 1 - np.maximum(negative, positive))
        return Slopes(mean, np.sqrt(np.maximum(square - mean**2, 0)), lfsr)


def _moments(
    mixture: Mixture, information: np.ndarray, score: np.ndarray, weights: np.ndarray
) -> _Moments:
    """Return the moments of slopes with these components' prior weights (..., components).

    In the half-normal of scale tau on the side of sign d, with t = information + 1 / tau^2 and
    z = d score / sqrt(t), the size of the slope is Normal(z, 1) / sqrt(t) above 0, so that with
    lambda = phi(z) / Phi(z)

        E(size) = (z + lambda) / sqrt(t)        E(size^2) = (1 + z (z + lambda)) / t
    """
    probability, relative, log_likelihood = _components(mixture, information, score, weights)
    of_slopes, n_scales = probability[..., 1:], len(mixture.scales)
    sign, z, root = _standardised(mixture, information, score)
    # phi / Phi from the log likelihoods, which have Phi(z) exp(z^2 / 2) in them.
    spread = np.sqrt(1 + np.square(mixture.signed_scales[1:]) * information[..., None])
    beyond = z + np.sqrt(2 / np.pi) * np.exp(-relative[..., 1:]) / spread
    return _Moments(
        mean=(of_slopes * sign * beyond / root).sum(axis=-1),
        square=(of_slopes * (1 + z * beyond) / root**2).sum(axis=-1),
        negative=of_slopes[..., :n_scales].sum(axis=-1),
        positive=of_slopes[..., n_scales:].sum(axis=-1),
        log_likelihood=log_likelihood,
    )


def _components(
    mixture: Mixture, information: np.ndarray, score: np.ndarray, weights: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return probabilities and log likelihoods of components, and the log likelihood of both.

    (..., components) twice, and (...,), relative to a slope of 0.
    """
    shape = (*information.shape, mixture.n_components)
    relative = component_log_likelihoods(mixture, information.ravel(), score.ravel())
    flat = np.broadcast_to(weights, shape).reshape(relative.shape)
    probability = component_probabilities(relative, flat)
    # Bayes: likelihood = prior x relative likelihood / posterior, of the likeliest component.
    likeliest = np.argmax(probability, axis=1)[:, None]
    prior, log_relative, posterior = (
        np.take_along_axis(values, likeliest, axis=1) for values in (flat, relative, probability)
    )
    log_likelihood = np.log(prior) + log_relative - np.log(posterior)
    return (
        probability.reshape(shape),
        relative.reshape(shape),
        log_likelihood.reshape(information.shape),
    )


def _standardised(
    mixture: Mixture, information: np.ndarray, score: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return sign, z and sqrt(t) of the half-normals, (components,) and (..., components)."""
    scales = np.array(mixture.signed_scales[1:])
    root = np.sqrt(information[..., None] + scales**-2)
    return np.sign(scales), np.sign(scales) * score[..., None] / root, root


def _prob_beyond(
    mixture: Mixture,
    information: np.ndarray,
    score: np.ndarray,
    weights: np.ndarray,
    least: np.ndarray,
) -> np.ndarray:
    """Return P(slope > least) given each draw, `least` (G,) at least 0."""
    probability = _components(mixture, information, score, weights)[0]
    sign, z, root = _standardised(mixture, information, score)
    tail = np.exp(log_ndtr(z - least[:, None] * root) - log_ndtr(z))
    result: np.ndarray = (probability[..., 1:] * (sign > 0) * tail).sum(axis=-1)
    return result


def _truncated_weights(log_likelihood: np.ndarray) -> np.ndarray:
    """Return weights of draws (S, O, G) without each group; the first group is empty."""
    relative = log_likelihood - log_likelihood[:, :1]
    weights = np.exp(relative - relative.max(axis=0))
    weights = np.minimum(weights, weights.mean(axis=0) * np.sqrt(len(weights)))
    result: np.ndarray = weights / weights.sum(axis=0)
    return result


def _information(
    screen: SampledScreen, groups: np.ndarray, genes: slice
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return information, score and log likelihood of the slopes of some genes, (S, O, g)."""
    data, draws, spec = screen.data, screen.draws, screen.data.spec
    of_genes = range(len(data.columns))[genes]
    first = data.first[of_genes.start : of_genes.stop + 1]
    guides = slice(first[0], first[-1])
    n_draws = len(draws[spec.noise_sd])
    precision = np.zeros((n_draws, len(spec.gene_effects) + 1))
    centre = np.zeros((n_draws, len(spec.gene_effects)))
    for at, effect in enumerate(spec.gene_effects):
        if effect.sd:
            precision[:, at], centre[:, at] = draws[effect.sd] ** -2.0, draws[effect.mean]
    if spec.guide_effect:
        precision[:, -1] = draws[spec.guide_effect.sd] ** -2.0
    information, score, log_likelihood = slope_information(
        data.count[guides],
        data.mean[guides],
        first - first[0],
        data.columns[genes],
        spec.rna_column,
        draws[spec.line_effect.name],
        *screen.of_lines,
        draws[spec.guide_line_sd] ** 2,
        np.ascontiguousarray(screen.gene_line[:, genes]),
        precision,
        centre,
        np.append(0, np.cumsum(groups.sum(axis=1))),
        np.ascontiguousarray(np.nonzero(groups)[1]),
    )
    return np.maximum(information, SMALLEST_PRECISION), score, log_likelihood


def _pair_weights(screen: SampledScreen) -> np.ndarray:
    """Return the precision of the mean of each gene-line pair (G, C), effects of guides known.

    1'V1 = W r (`model.likelihood.pair_sums`) at the posterior means of log SDs and factors.
    """
    data, draws = screen.data, screen.draws

    def typical(values: np.ndarray) -> np.ndarray:
        mean: np.ndarray = np.exp(np.log(values).mean(axis=0))
        return mean

    scale, noise = (typical(values) for values in screen.of_lines)
    guide_line = typical(draws[data.spec.guide_line_sd]) ** 2
    weight = data.count / (guide_line * data.count + noise / scale**2)
    total = np.add.reduceat(weight, data.first[:-1], axis=0)
    result: np.ndarray = total / (1 + typical(screen.gene_line)[:, None] * total)
    return result
