"""The fitted line of log fold change over RNA of each gene, and data to show beside it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from types import SimpleNamespace

import numpy as np
import xarray as xr

from model.likelihood.linear_predictor import linear_predictor
from model.prediction.predictive import of_design, shortest_intervals, thin
from model.screen.design import ScreenDesign
from schemas.model_spec import ModelSpec, spec_of

N_DRAWS_OF_A_LINE = 500
GENES_AT_ONCE = 200  # with 500 draws and 30 points 24 MB


@dataclass(frozen=True, eq=False)
class FittedLines:
    """Lines of G genes at P values of RNA each, all (G, P)."""

    rna: np.ndarray
    """Evenly spaced over the range of the gene, SD."""
    fitted: np.ndarray
    """Posterior mean of the log fold change, log2."""
    low: np.ndarray
    """Lower end of its 89 % interval."""
    high: np.ndarray
    """Upper end of its 89 % interval."""


def fitted_lines(
    posterior: xr.Dataset, design: ScreenDesign, genes: Sequence[int], n_points: int
) -> FittedLines:
    """Return the lines of some genes (by index) in a cell line of average gamma, with 89 % bands.

    The linear predictor over RNA, with other covariates and guide effects at their means over the
    gene's measurements. The data identify only the sum of alpha, mean gamma and mean delta
    (`model.engines.nuts.plain.m4`).
    """
    spec = spec_of(posterior.data_vars)
    draws = thin(posterior[[effect.name for effect in spec.effects]], N_DRAWS_OF_A_LINE)
    design = replace(design, measurements=None)  # not needed, and costly to select
    parts = []
    for start in range(0, len(genes), GENES_AT_ONCE):
        wanted = np.asarray(genes[start : start + GENES_AT_ONCE])
        sorted_genes, place = np.unique(wanted, return_inverse=True)
        part = design.of_genes(sorted_genes)
        ends = np.nanmin(part.rna, axis=1), np.nanmax(part.rna, axis=1)
        rna = np.linspace(*ends, n_points, axis=1)
        line = _lines(draws, part, spec, rna)
        band = shortest_intervals(line.reshape(len(line), -1).T)
        ends_of_band = (end.reshape(rna.shape) for end in band)
        parts.append([value[place] for value in (rna, line.mean(axis=0), *ends_of_band)])
    return FittedLines(*(np.concatenate(one) for one in zip(*parts, strict=True)))


def _lines(draws: xr.Dataset, part: ScreenDesign, spec: ModelSpec, rna: np.ndarray) -> np.ndarray:
    """Return the line of every gene of `part` in every draw, (S, G, P)."""
    effects = of_design(draws, part)
    of_gene = np.arange(len(part.genes))[:, None]
    for effect in spec.effects:
        if effect.dim == "cell_line":
            effects[effect.name] = effects[effect.name].mean(axis=1, keepdims=True)
        elif effect.dim == "guide":
            weights = part.count.sum(axis=1, dtype=float)
            weighted = np.add.reduceat(effects[effect.name] * weights, part.first_guide, axis=1)
            effects[effect.name] = weighted / np.add.reduceat(weights, part.first_guide)
    if spec.line_scale:
        effects[spec.line_scale.name] = np.ones((len(effects["alpha_g"]), 1))
    others = {effect.covariate: 0.0 for effect in spec.slopes}
    at = SimpleNamespace(
        gene=of_gene, guide=of_gene, cell_line=0 * of_gene, covariates=others | {"rna": rna}
    )
    lines: np.ndarray = linear_predictor(spec, effects, at)
    return lines


@dataclass(frozen=True, eq=False)
class LineEffects:
    """Posterior means of what a cell line does to all log fold changes, (C,) each."""

    gamma: np.ndarray
    """Level of the line, log2."""
    scale: np.ndarray
    """s_c; 1 in a model without."""

    def subtract(self, logfc: np.ndarray, cell_line: np.ndarray) -> np.ndarray:
        """Return means of gene-line pairs, shifted to a line of average gamma.

        (logfc - gamma_c) / s_c + mean over c of gamma_c
        """
        return (logfc - self.gamma[cell_line]) / self.scale[cell_line] + self.gamma.mean()


def line_effects(posterior: xr.Dataset, cell_lines: Sequence[str]) -> LineEffects:
    """Return the effects of some cell lines."""
    of_lines = posterior[["gamma_c", *({"s_c"} & set(posterior))]]
    means = of_lines.mean(("chain", "draw")).sel(cell_line=list(cell_lines))
    gamma = means["gamma_c"].to_numpy()
    return LineEffects(gamma, means["s_c"].to_numpy() if "s_c" in means else np.ones(gamma.size))
