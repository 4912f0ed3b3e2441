"""What the Gibbs engine holds: the sums of a screen, and the state of one chain."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np

from model.engines.gibbs.compiled import inlined, part
from model.engines.gibbs.layout import Layout, layout_of
from model.likelihood.line_sums import LineSums, line_sums
from model.likelihood.linear_predictor import gene_columns
from model.likelihood.pair_sums import Screen, gene_sums, pair_sums, screen_of
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
    """A screen as the compiled sums take it (`model.likelihood.pair_sums`), and its model."""

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
    def layout(self) -> Layout:
        """The parts of the model."""
        return layout_of(self.spec, self.priors)

    @cached_property
    def screen(self) -> Screen:
        """The sums, as the compiled steps take them."""
        return screen_of(
            self.count, self.mean, self.first, self.columns, self.within_ss, self.within_df
        )


STEPS = ("spread", "lines", "line_sds")
"""Steps that propose and accept."""


class State(NamedTuple):
    """One chain: the present value of every parameter. The steps change the arrays in place."""

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
    shared: np.ndarray
    """Population means and SDs (`layout.shared_names`)."""
    accepted: np.ndarray
    """Share of proposals accepted by each of STEPS when it was last taken."""


class Room(NamedTuple):
    """Room for sums of gene-line pairs, (G, C) each (`pair_sums.pair_sums`)."""

    weight: np.ndarray
    total: np.ndarray


@part
def line_sums_of(screen: Screen, layout: Layout, state: State) -> LineSums:
    """Return log likelihood, score and information by line (`model.likelihood.line_sums`)."""
    return line_sums(
        screen,
        state.effects,
        state.delta,
        state.gamma,
        np.exp(state.log_scale),
        np.exp(2 * state.log_noise),
        state.shared[layout.guide_line_sd] ** 2,
        np.exp(2 * state.log_omega),
    )


@inlined
def set_pair_sums(screen: Screen, layout: Layout, state: State, room: Room) -> None:
    """Set weights and weighted residuals of gene-line pairs (`pair_sums.pair_sums`)."""
    pair_sums(
        screen,
        state.effects,
        state.delta,
        state.gamma,
        np.exp(state.log_scale),
        np.exp(2 * state.log_noise),
        state.shared[layout.guide_line_sd] ** 2,
        room.weight,
        room.total,
    )


@inlined
def gene_sums_of(screen: Screen, layout: Layout, state: State) -> tuple[np.ndarray, np.ndarray]:
    """Return information and score of the effects of each gene (`pair_sums.gene_sums`)."""
    return gene_sums(
        screen,
        state.gamma,
        np.exp(state.log_scale),
        np.exp(2 * state.log_noise),
        state.shared[layout.guide_line_sd] ** 2,
        np.exp(2 * state.log_omega),
    )


def start(data: GibbsData, random: np.random.Generator) -> State:
    """Return a starting state: no effects, SDs around typical values, noise as within pairs."""
    spec, layout, (_, _, n_lines) = data.spec, data.layout, data.shape
    pooled = np.sqrt((data.within_ss.sum() + TYPICAL_SD**2) / (data.within_df.sum() + 1))
    by_line = np.sqrt((data.within_ss + pooled**2) / (data.within_df + 1))
    log_noise = np.log(by_line if spec.line_noise else np.full(n_lines, pooled))
    sds = np.log(TYPICAL_SD) + LOG_SPREAD * random.uniform(-1, 1, len(spec.sds))
    shared = np.concatenate([np.zeros(len(spec.means)), np.exp(sds)])
    shared[layout.noise_sd] = np.exp(log_noise.mean())
    n_components = len(layout.components)
    return State(
        gamma=np.zeros(n_lines),
        log_scale=np.zeros(n_lines),
        log_noise=log_noise,
        weights=np.full(n_components, 1 / n_components),
        shared=shared,
        accepted=np.zeros(len(STEPS)),
        **_start_of_genes(data, shared),
    )


def start_from(data: GibbsData, state: State) -> State:
    """Return a starting state with what genes share from that of another screen of the lines.

    It continues the arrays of that state.
    """
    return state._replace(**_start_of_genes(data, state.shared))


def _start_of_genes(data: GibbsData, shared: np.ndarray) -> dict[str, np.ndarray]:
    """Return what a starting state has by gene and guide."""
    n_genes, q, _ = data.shape
    return {
        "effects": np.zeros((n_genes, q)),
        "delta": np.zeros(len(data.guide_gene)),
        "log_omega": np.full(n_genes, np.log(shared[data.layout.gene_line_sd])),
        "component": np.zeros(n_genes, np.int64),
        "prob_nonzero": np.ones(n_genes),
    }


def room_for(data: GibbsData) -> Room:
    """Return the room that the sweeps of a chain need."""
    by_pair = data.shape[0], data.shape[2]
    return Room(np.zeros(by_pair, data.mean.dtype), np.zeros(by_pair, data.mean.dtype))
