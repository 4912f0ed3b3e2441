"""Where compiled steps find the parts of a model: positions among its shared parameters, priors."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from model.likelihood.line_sums import GAMMA, NOISE, SCALE
from model.likelihood.priors import rate_and_power
from schemas.model_spec import Effect, Mixture, ModelSpec
from schemas.parameters import Priors

ABSENT = -1
"""Position of what a model lacks."""
OF_LINES, OF_GUIDES = -1, -2
"""In place of the column of an effect of genes."""
COLUMN, MEAN, SD, SLOPE = range(4)
"""Of an effect: its column, positions of its mean and SD, and whether it is a slope."""
COMMON_NOISE, ALONG_GAMMA, ALONG_NOISE, ALONG_SCALE, GUIDE_LINE_SD = range(5)
"""What an SD moves with the standardised lines kept: all noises alike, one of the three parameters
of each line in proportion to its deviation, or itself (that of guide-line pairs)."""


class Layout(NamedTuple):
    """Positions of means and SDs in `State.shared`, ABSENT where the model has none.

    Few arrays: each costs seconds of compiling.
    """

    sparse: int
    """Column of the effect of genes with the mixture prior."""
    normal: np.ndarray
    """Effects of genes with a Normal prior, then that of guides: COLUMN, MEAN, SD, SLOPE by row."""
    effects: np.ndarray
    """The same of all effects with an SD, in the order of the model."""
    line_mean: int
    line_sd: int
    noise_sd: int
    gene_line_sd: int
    guide_line_sd: int
    pair_spread_sd: int
    line_scale_sd: int
    line_noise_sd: int
    zero_sum: int
    """1 where the log scales of lines sum to 0, else 0."""
    of_line: np.ndarray
    """Positions of the d parameters of a line among the derivatives of `pair_sums` (d,)."""
    scale_at: int
    """Position of the scale among these."""
    moving: np.ndarray
    """SDs that are drawn with the standardised lines kept, and what each moves (sds, 2)."""
    priors: np.ndarray
    """Mean and SD of the Normal prior of each mean; rate and power of that of each SD
    (`model.likelihood.priors.rate_and_power`), (shared, 2)."""
    components: np.ndarray
    """Signed scale and prior concentration of the components of the mixture (components, 2)."""
    exchanges: np.ndarray
    """Pairs of components between which weight moves (pairs, 2)."""


def shared_names(spec: ModelSpec) -> list[str]:
    """Return the names of population means and SDs, in the order of `State.shared`."""
    return [*spec.means, *spec.sds]


def layout_of(spec: ModelSpec, priors: Priors) -> Layout:
    """Return the layout of a model with these priors."""
    position = {"": ABSENT} | {name: at for at, name in enumerate(shared_names(spec))}
    guide, line, mixture = spec.guide_effect, spec.line_effect, spec.mixture
    assert guide is not None  # `ModelSpec.not_gibbs`
    column = {effect.name: at for at, effect in enumerate(spec.gene_effects)}
    column |= {line.name: OF_LINES, guide.name: OF_GUIDES}

    def rows(effects: list[Effect]) -> np.ndarray:
        return np.array(
            [
                (column[e.name], position[e.mean], position[e.sd], bool(e.covariate))
                for e in effects
            ],
            np.int64,
        )

    scale_sd, noise_sd, spread_sd = (
        factor.sd if factor else ""
        for factor in (spec.line_scale, spec.line_noise, spec.pair_spread)
    )
    of_line = [GAMMA] + [SCALE] * bool(scale_sd) + [NOISE] * bool(noise_sd)
    moving = {spec.noise_sd: COMMON_NOISE, line.sd: ALONG_GAMMA, noise_sd: ALONG_NOISE}
    moving |= {scale_sd: ALONG_SCALE, spec.guide_line_sd: GUIDE_LINE_SD}
    moving.pop("", None)
    of_means = [getattr(priors, mean).arguments for mean in spec.means]
    of_sds = [rate_and_power(getattr(priors, sd)) for sd in spec.sds]
    components = [(0.0, 1.0)]
    if mixture:
        components = list(zip(mixture.signed_scales, mixture.concentrations, strict=True))
    return Layout(
        sparse=spec.rna_column if mixture else ABSENT,
        normal=rows([*(effect for effect in spec.gene_effects if effect.sd), guide]),
        effects=rows([effect for effect in spec.effects if effect.sd]),
        line_mean=position[line.mean],
        line_sd=position[line.sd],
        noise_sd=position[spec.noise_sd],
        gene_line_sd=position[spec.gene_line_sd],
        guide_line_sd=position[spec.guide_line_sd],
        pair_spread_sd=position[spread_sd],
        line_scale_sd=position[scale_sd],
        line_noise_sd=position[noise_sd],
        zero_sum=int(spec.line_scale is not None and spec.line_scale.zero_sum),
        of_line=np.array(of_line, np.int64),
        scale_at=of_line.index(SCALE) if scale_sd else ABSENT,
        moving=np.array([(position[sd], what) for sd, what in moving.items()], np.int64),
        priors=np.array([*of_means, *of_sds], np.float64),
        components=np.array(components),
        exchanges=_exchanges(mixture),
    )


def _exchanges(mixture: Mixture | None) -> np.ndarray:
    """Return 0 with each component, neighbours, and components of opposite signs."""
    if mixture is None:
        return np.zeros((0, 2), np.int64)
    n_scales = len(mixture.scales)
    nonzero = range(1, 1 + 2 * n_scales)
    pairs = (
        [(0, j) for j in nonzero]
        + [(j, j + 1) for j in nonzero if j % n_scales]
        + [(j, j + n_scales) for j in nonzero[:n_scales]]
    )
    return np.array(pairs, np.int64)
