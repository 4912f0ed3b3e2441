"""Draws of slopes with a mixture prior, given draws of everything else, in NumPy."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import xarray as xr
from scipy import sparse, stats

from model.engines.gibbs.mixture import component_log_likelihoods, component_probabilities
from model.likelihood.cell_covariance import pair_precision
from model.likelihood.linear_predictor import linear_predictor
from model.likelihood.spreads import spreads
from model.prediction.predictive import of_design
from model.screen.design import GuideLines, ScreenDesign, guide_lines
from schemas.model_spec import Effect, Mixture, ModelSpec

NUMBERS_AT_ONCE = 2_000_000
"""Of draws by guide-line pairs in one array."""


def sampled_variables(spec: ModelSpec) -> dict[str, tuple[str, ...]]:
    """Return the variables of the contract that the PyMC model has, with their dims."""
    if not spec.mixture:
        return spec.variables
    integrated = (spec.gene_effects[spec.rna_column].name, spec.mixture.included)
    return {name: dims for name, dims in spec.variables.items() if name not in integrated}


def add_slopes(tree: xr.DataTree, spec: ModelSpec, design: ScreenDesign, seed: int) -> xr.DataTree:
    """Return the tree of a sampler with the slopes and `included_g` in its posterior.

    The component of each slope, then the slope, are drawn given all other parameters of the draw.
    `included_g` is given those that genes share, the other effects of genes integrated out, as in
    the Gibbs engine.
    """
    assert spec.mixture
    posterior = tree["posterior"].dataset
    draws, units = of_design(posterior, design), guide_lines(design)
    random = np.random.default_rng(seed)
    n_draws = posterior.sizes["chain"] * posterior.sizes["draw"]
    n_blocks = -(-n_draws * units.count.size // NUMBERS_AT_ONCE)
    found = [
        _draw(spec, units, {name: values[at] for name, values in draws.items()}, random)
        for at in np.array_split(np.arange(n_draws), n_blocks)
    ]
    names = (spec.gene_effects[spec.rna_column].name, spec.mixture.included)
    dims = ("chain", "draw", "gene")
    sizes = [posterior.sizes[dim] for dim in dims]
    added = posterior.assign(
        {
            name: (dims, np.concatenate(values).reshape(sizes))
            for name, values in zip(names, zip(*found, strict=True), strict=True)
        }
    )
    groups = {"posterior": added[list(spec.variables)], "sample_stats": tree["sample_stats"]}
    return xr.DataTree.from_dict(groups)


def _draw(
    spec: ModelSpec, units: GuideLines, draws: dict[str, np.ndarray], random: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Return slopes and probabilities of inclusion (S, G).

    With X the columns of the effects of a gene, the slope first, A = X'VX and h = X'Vy, the slope
    has information A_00 and score h_0 - A_01 e given the other effects e, and, with these
    integrated out, D their prior precision and m their prior mean,

        A_00 - A_01 (A_11 + D)^-1 A_10    h_0 - A_01 (A_11 + D)^-1 (h_1 + D m)
    """
    mixture = spec.mixture
    assert mixture
    gram, score = _gene_sums(spec, units, draws)
    effects, mean, precision = _other_effects(spec, units, draws)
    coupled = gram[..., 0, 1:]
    given_all = score[..., 0] - (coupled * effects).sum(axis=-1)
    slopes = _draw_slopes(mixture, gram[..., 0, 0], given_all, draws[mixture.weights], random)

    total = gram[..., 1:, 1:] + precision[..., None] * np.eye(precision.shape[-1])
    right = np.stack([coupled, score[..., 1:] + precision * mean], axis=-1)
    solved = np.linalg.solve(total, right)
    taken = np.einsum("sgp,sgpi->isg", coupled, solved)
    integrated = gram[..., 0, 0] - taken[0], score[..., 0] - taken[1]
    included = 1 - _probabilities(mixture, *integrated, draws[mixture.weights])[..., 0]
    return slopes, included


def _gene_sums(
    spec: ModelSpec, units: GuideLines, draws: Mapping[str, np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
    """Return X'VX (S, G, p, p) and X'Vy (S, G, p): the slope, the other effects, the guides."""
    n_units = units.count.size
    of_pair, of_gene = (
        sparse.csr_array((np.ones(n_units), (index, np.arange(n_units))))
        for index in (units.cell, units.gene)
    )

    def over(values: np.ndarray) -> np.ndarray:
        return (of_pair @ np.broadcast_to(values, (values.shape[0], n_units)).T).T

    def by_gene(values: np.ndarray) -> np.ndarray:
        return (of_gene @ values.T).T

    def back(values: np.ndarray) -> np.ndarray:
        return values[:, units.cell]

    sds = spreads(spec, draws, units)
    first = np.unique(units.cell, return_index=True)[1]
    every = np.ones((1, n_units))
    ratio = (every * sds.gene_line / sds.noise)[:, first]
    pairs = pair_precision(units.count, every * (sds.guide_line / sds.noise) ** 2, ratio**2, over)
    line = spec.line_effect.name
    level = units.mean - linear_predictor(spec, {line: draws[line]}, units)
    columns = _columns(spec, units, draws)
    weighted = [pairs.solve(column, over, back) / sds.noise**2 for column in columns]
    gram = [[by_gene(one * other) for other in weighted] for one in columns]
    score = [by_gene(level * one) for one in weighted]
    return np.moveaxis(np.array(gram), (0, 1), (2, 3)), np.moveaxis(np.array(score), 0, 2)


def _columns(
    spec: ModelSpec, units: GuideLines, draws: Mapping[str, np.ndarray]
) -> list[np.ndarray]:
    """Return the derivatives of the expected value by slope, other effects, and guides (S, N)."""
    n_draws, n_genes = draws[spec.gene_effects[0].name].shape
    guide = spec.guide_effect
    assert guide
    names = [spec.gene_effects[spec.rna_column].name, *(e.name for e in _others(spec))]
    units_of = [{name: np.ones((n_draws, n_genes))} for name in names]
    slot = _slots(units)
    units_of += [{guide.name: np.tile(slot == at, (n_draws, 1))} for at in range(slot.max() + 1)]
    scales = {spec.line_scale.name: draws[spec.line_scale.name]} if spec.line_scale else {}
    return [linear_predictor(spec, one | scales, units) for one in units_of]


def _other_effects(
    spec: ModelSpec, units: GuideLines, draws: Mapping[str, np.ndarray]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return other effects and guides of each gene (S, G, p), prior means and precisions."""
    guide, others, slot = spec.guide_effect, _others(spec), _slots(units)
    assert guide
    n_draws, n_genes = draws[spec.gene_effects[0].name].shape
    of_guides = np.zeros((n_draws, n_genes, slot.max() + 1))
    of_guides[:, units.guide_gene, slot] = draws[guide.name]
    values = np.concatenate([*(draws[e.name][..., None] for e in others), of_guides], axis=-1)
    every = [*others, *(guide,) * of_guides.shape[-1]]
    mean = [draws[e.mean] if e.mean else np.zeros(n_draws) for e in every]
    precision = [draws[e.sd] ** -2.0 for e in every]
    return values, np.stack(mean, axis=-1)[:, None], np.stack(precision, axis=-1)[:, None]


def _others(spec: ModelSpec) -> list[Effect]:
    """Return the effects of genes but the slope with a mixture prior."""
    slope = spec.gene_effects[spec.rna_column]
    return [effect for effect in spec.gene_effects if effect != slope]


def _slots(units: GuideLines) -> np.ndarray:
    """Return the running number of each guide in its gene (K,)."""
    first = np.searchsorted(units.guide_gene, units.guide_gene)
    slots: np.ndarray = np.arange(units.guide_gene.size) - first
    return slots


def _probabilities(
    mixture: Mixture, information: np.ndarray, score: np.ndarray, weights: np.ndarray
) -> np.ndarray:
    """Return the probability of each component of each slope (S, G, components)."""
    likelihoods = component_log_likelihoods(mixture, information.ravel(), score.ravel())
    each = np.repeat(weights, information.shape[1], axis=0)
    return component_probabilities(likelihoods, each).reshape(*information.shape, -1)


def _draw_slopes(
    mixture: Mixture,
    information: np.ndarray,
    score: np.ndarray,
    weights: np.ndarray,
    random: np.random.Generator,
) -> np.ndarray:
    """Return slopes (S, G): 0, or Normal(score / t, 1 / sqrt(t)) on the side of the component.

    t is the information plus the prior precision.
    """
    below = _probabilities(mixture, information, score, weights).cumsum(axis=-1)[..., :-1]
    component = (random.uniform(size=(*score.shape, 1)) > below).sum(axis=-1)
    signed = np.array(mixture.signed_scales)[np.maximum(component, 1)]
    precision = information + signed**-2
    towards = np.sign(signed) * score / np.sqrt(precision)
    size = stats.truncnorm.rvs(-towards, np.inf, loc=towards, random_state=random)
    return np.where(component > 0, np.sign(signed) * size / np.sqrt(precision), 0.0)
