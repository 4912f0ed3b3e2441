"""What the Gibbs engine holds: the sums of a screen, and the state of one chain."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from model.likelihood.linear_predictor import gene_columns
from model.likelihood.pair_sums import gene_sums, line_sums, pair_sums
from model.likelihood.priors import rate_and_power
from model.screen.design import ScreenDesign
from schemas.model_spec import ModelSpec
from schemas.parameters import Priors

TYPICAL_SD = 0.2
"""Where the SDs of a chain start, log2."""
LARGEST_DOUBLE = 10_000_000
"""Guide-line pairs up to which means and RNA are kept in double precision. Beyond, memory counts,
and a screen has more noise than single precision by far."""
LOG_SPREAD = 0.5
"""Width of the starting values of log SDs over chains."""


@dataclass(frozen=True, eq=False)
class GibbsData:
    """A screen as the compiled sums take it (`model.likelihood.pair_sums`)."""

    spec: ModelSpec
    priors: Priors
    count: np.ndarray
    """Measurements by guide and line (K, C)."""
    mean: np.ndarray
    """Mean log fold change by guide and line (K, C), 0 without measurements."""
    first: np.ndarray
    """First guide of each gene, and the number of guides (G + 1,)."""
    guide_gene: np.ndarray
    """Index of each guide's gene (K,)."""
    columns: np.ndarray
    """Columns of the design matrix of the q effects of a gene (G, q, C)."""
    within_ss: np.ndarray
    """Sum of squares within guide-line pairs by line (C,)."""
    within_df: np.ndarray
    """Its degrees of freedom (C,)."""

    @classmethod
    def of(cls, spec: ModelSpec, design: ScreenDesign, priors: Priors) -> GibbsData:
        """Return the sums of a design for a model."""
        count = design.count
        n_genes = len(design.genes)
        dtype = np.float64 if count.size <= LARGEST_DOUBLE else np.float32
        columns = np.moveaxis(gene_columns(spec, design, np.arange(n_genes)), 0, 1)
        measured = design.gene_count[:, None] > 0
        mean = np.zeros(count.shape, dtype)
        np.divide(design.total, count, out=mean, where=count > 0, casting="same_kind")
        return cls(
            spec=spec,
            priors=priors,
            count=count,
            mean=mean,
            first=np.append(design.first_guide, len(design.guides)),
            guide_gene=design.guide_gene,
            columns=np.ascontiguousarray(np.where(measured, columns, 0.0), dtype),
            within_ss=design.within_ss_by_line(by_guide=True),
            within_df=count.sum(axis=0) - np.count_nonzero(count, axis=0).astype(np.float64),
        )

    @property
    def shape(self) -> tuple[int, int, int]:
        """Number of genes, of effects of a gene, and of lines."""
        n_genes, n_effects, n_lines = self.columns.shape
        return n_genes, n_effects, n_lines

    @cached_property
    def sd_priors(self) -> dict[str, tuple[float, int]]:
        """Rate and power of the prior of each SD (`model.likelihood.priors.rate_and_power`)."""
        return {name: rate_and_power(getattr(self.priors, name)) for name in self.spec.sds}

    @cached_property
    def most_guides(self) -> int:
        """Largest number of guides of a gene."""
        return int(np.diff(self.first).max())

    @cached_property
    def slot(self) -> np.ndarray:
        """Running number of each guide in its gene (K,)."""
        return np.arange(len(self.guide_gene)) - self.first[self.guide_gene]


LineSums = tuple[np.ndarray, np.ndarray, np.ndarray]
"""Log likelihood, score and information by line, (C,), (C, 4), (C, 4, 4)."""


@dataclass(eq=False)
class State:
    """One chain: the present value of every parameter. The steps change it."""

    effects: np.ndarray
    """Effects of genes (G, q), in the order of the spec."""
    delta: np.ndarray
    """Effects of guides (K,)."""
    gamma: np.ndarray
    """Effects of lines (C,)."""
    log_scale: np.ndarray
    """log s_c (C,); 0 in a model without scales of lines."""
    log_noise: np.ndarray
    """log of sigma f_c, the SD of one measurement, by line (C,)."""
    log_omega: np.ndarray
    """log of the SD of the pairs of a gene (G,)."""
    component: np.ndarray
    """Component of each slope in the mixture prior (G,); 0 is the point mass at 0."""
    prob_nonzero: np.ndarray
    """P(slope is not 0 | all else but effects of genes) (G,)."""
    weights: np.ndarray
    """Weights of the mixture prior (components,)."""
    shared: dict[str, float]
    """Population means and SDs by name."""
    of_pairs: tuple[np.ndarray, np.ndarray]
    """Room for sums of gene-line pairs (G, C)."""

    @property
    def guide_line(self) -> float:
        """Variance of guide-line pairs."""
        return self.shared["sigma_guide_line"] ** 2

    @property
    def scale(self) -> np.ndarray:
        """s_c (C,)."""
        return np.exp(self.log_scale)

    @property
    def noise(self) -> np.ndarray:
        """Variance of one measurement by line (C,)."""
        return np.exp(2 * self.log_noise)

    @property
    def gene_line(self) -> np.ndarray:
        """omega_g^2 (G,)."""
        return np.exp(2 * self.log_omega)

    def line_sums(self, data: GibbsData) -> LineSums:
        """Return log likelihood, score and information by line (`pair_sums.line_sums`)."""
        return line_sums(
            *(data.count, data.mean, data.first, data.columns, self.effects, self.delta),
            *self._of_lines,
            *(self.gene_line, data.within_ss, data.within_df),
        )

    def pair_sums(self, data: GibbsData) -> tuple[np.ndarray, np.ndarray]:
        """Return weights and weighted residuals of gene-line pairs (`pair_sums.pair_sums`).

        They are valid until the next call.
        """
        pair_sums(
            *(data.count, data.mean, data.first, data.columns, self.effects, self.delta),
            *self._of_lines,
            *self.of_pairs,
        )
        return self.of_pairs

    def gene_sums(self, data: GibbsData) -> tuple[np.ndarray, np.ndarray]:
        """Return information and score of the effects of each gene (`pair_sums.gene_sums`)."""
        return gene_sums(
            *(data.count, data.mean, data.first, data.columns),
            *self._of_lines,
            *(self.gene_line, data.most_guides),
        )

    @property
    def _of_lines(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, float]:
        """What the weights of measurements depend on, in the order of the compiled sums."""
        return self.gamma, self.scale, self.noise, self.guide_line


def start(data: GibbsData, random: np.random.Generator) -> State:
    """Return a starting state: no effects, SDs around typical values, noise as within pairs."""
    spec, (_, _, n_lines) = data.spec, data.shape
    pooled = np.sqrt((data.within_ss.sum() + TYPICAL_SD**2) / (data.within_df.sum() + 1))
    by_line = np.sqrt((data.within_ss + pooled**2) / (data.within_df + 1))
    log_noise = np.log(by_line if spec.line_noise else np.full(n_lines, pooled))
    sds = np.log(TYPICAL_SD) + LOG_SPREAD * random.uniform(-1, 1, len(spec.sds))
    shared = dict(zip(spec.sds, np.exp(sds), strict=True)) | dict.fromkeys(spec.means, 0.0)
    shared[spec.noise_sd] = float(np.exp(log_noise.mean()))
    n_components = spec.mixture.n_components if spec.mixture else 1
    return State(
        gamma=np.zeros(n_lines),
        log_scale=np.zeros(n_lines),
        log_noise=log_noise,
        weights=np.full(n_components, 1 / n_components),
        shared=shared,
        **_start_of_genes(data, shared),
    )


def start_from(data: GibbsData, state: State) -> State:
    """Return a starting state with what genes share from that of another screen of the lines."""
    shared = dict(state.shared)
    return replace(state, shared=shared, **_start_of_genes(data, shared))


def _start_of_genes(data: GibbsData, shared: dict[str, float]) -> dict[str, Any]:
    """Return what a starting state has by gene, guide and pair."""
    n_genes, q, n_lines = data.shape
    by_pair = (n_genes, n_lines), data.mean.dtype
    return {
        "effects": np.zeros((n_genes, q)),
        "delta": np.zeros(len(data.guide_gene)),
        "log_omega": np.full(n_genes, np.log(shared[data.spec.gene_line_sd])),
        "component": np.zeros(n_genes, np.int64),
        "prob_nonzero": np.ones(n_genes),
        "of_pairs": (np.zeros(*by_pair), np.zeros(*by_pair)),
    }
