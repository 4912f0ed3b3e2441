"""A simulated release of any size with known truth: labels, RNA, parameters, logFC in blocks.

`tasks.write_simulation` writes it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd

from model.likelihood.linear_predictor import linear_predictor
from model.likelihood.priors import draw_factors
from model.likelihood.spreads import Spreads, spreads
from model.screen.design import Grid
from schemas.model_spec import MODEL_SPECS, Mixture, ModelSpec
from schemas.posterior import parameter_name
from schemas.simulation import Simulation

GUIDE_LENGTH = 20
GUIDES_PER_BLOCK = 256
"""Guides drawn at once. Part of the definition: noise is drawn block by block."""
RNA_DECIMALS = 6
SCALE_SHARES = (0.1, 0.3, 0.4, 0.2, 0.0, 0.0)
"""Probabilities of the scales of slopes that are not 0 in the mixture of `m4_screen`: mostly 0.1 to
0.4 log2 per SD of RNA, as those of known expression addictions."""
LINEAGES = (
    "Lung", "Lymphoid", "Bowel", "CNS/Brain", "Skin", "Breast", "Ovary/Fallopian Tube", "Myeloid",
    "Pancreas", "Kidney",
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class SimulatedRelease:
    """G genes, C cell lines, K guides and S = C x replicates sequences, drawn from a model.

    With z-scored RNA r_gc, guide k of gene g and sequence s of cell line c (docs/models.md)

        logfc_ks = alpha_g + gamma_c + beta_g r_gc + delta_k + epsilon_gc + zeta_kc + noise_ks,

    with delta, epsilon and zeta only in `m4_nested` and `m4_screen`. In the latter all terms but
    gamma and noise are multiplied by the scale of the line, epsilon has an SD by gene and noise one
    by line, and slopes are 0 or half-normal, with components of scale as SCALE_SHARES says.

    r is the z-score, ddof 1, of the RNA as rounded for the tables, over the lines in which the gene
    is measured, as computed by `model.screen.preparation` if no guide or sequence is excluded. Beta
    per SD is then exact up to rounding of float64; if a filter excludes cell lines, the SD differs.
    """

    settings: Simulation
    genes: np.ndarray
    """Gene labels, `SYMBOL (ENTREZ)` (G,)."""
    cell_lines: np.ndarray
    """`ACH-000000` (C,)."""
    lineages: np.ndarray
    """Lineage of each cell line (C,)."""
    sequences: np.ndarray
    """Sequence labels (S,); the replicates of a cell line are adjacent."""
    guides: np.ndarray
    """Guide sequences, sorted (K,); the guides of a gene are not adjacent."""
    guide_gene: np.ndarray
    """Index of each guide's gene (K,)."""
    log2_tpm: np.ndarray
    """RNA, log2(TPM+1), 0 or more (G, C)."""
    parameters: dict[str, np.ndarray]
    """True value by variable of the posterior contract; (), (G,), (C,) or (K,)."""
    cell_mean: np.ndarray
    """gamma_c + s_c (alpha_g + beta_g r_gc + epsilon_gc) (G, C), log2."""

    def truth(self) -> pd.DataFrame:
        """Return `parameter` and `value`, named as in `summary.csv`: `mu_beta`, `beta_g[...]`.

        The probability that a slope is not 0 depends on the data, and has no true value.
        """
        spec = MODEL_SPECS[self.settings.model]
        labels = {"gene": self.genes, "cell_line": self.cell_lines, "guide": self.guides}
        if spec.mixture:
            labels["component"] = np.array(spec.mixture.labels)
        names: list[str] = []
        for variable in self.parameters:
            if dims := spec.variables[variable]:
                names += [parameter_name(variable, label) for label in labels[dims[0]]]
            else:
                names.append(variable)
        return pd.DataFrame(
            {
                "parameter": names,
                "value": np.concatenate([*map(np.ravel, self.parameters.values())]),
            }
        )

    def blocks(self) -> Iterator[tuple[slice, np.ndarray]]:
        """Yield guides and their log fold changes (n_guides, S), NaN where missing."""
        settings, spec = self.settings, MODEL_SPECS[self.settings.model]
        random = _random(settings, "noise")
        scale = self.parameters[spec.line_scale.name] if spec.line_scale else 1.0
        for guides, missing in _missing(settings):
            genes = self.guide_gene[guides]
            sds = _spreads(spec, self.parameters, Grid(genes, settings.cell_lines))
            mean = self.cell_mean[genes]
            if spec.guide_effect:
                mean = mean + scale * self.parameters[spec.guide_effect.name][guides, None]
            if spec.guide_line_sd:
                mean += random.normal(0, sds.guide_line[0], mean.shape)
            values = np.repeat(mean, settings.replicates, axis=1)
            noise = np.broadcast_to(sds.noise[0], mean.shape)
            values += random.normal(0, np.repeat(noise, settings.replicates, axis=1))
            values[missing] = np.nan
            yield guides, values


def simulate_release(settings: Simulation) -> SimulatedRelease:
    """Return a release without measurements; memory: a few arrays of genes x cell lines."""
    labels = _random(settings, "labels")
    guides = _guide_sequences(labels, settings.genes * settings.guides)
    guide_gene = labels.permutation(np.repeat(np.arange(settings.genes), settings.guides))
    cell_lines = np.array([f"ACH-{1 + line:06}" for line in range(settings.cell_lines)])
    letters = [chr(ord("A") + replicate) for replicate in range(settings.replicates)]
    log2_tpm = _rna(settings)
    r = _z_score(log2_tpm, _measured(settings, guide_gene))
    spec = MODEL_SPECS[settings.model]
    at = Grid(np.arange(settings.genes), settings.cell_lines, rna=r)
    random = _random(settings, "parameters")
    parameters = _draw_parameters(settings, random)
    of_pairs = {name: values for name, values in parameters.items() if name != _guides(spec)}
    cell_mean = linear_predictor(spec, of_pairs, at)
    if spec.gene_line_sd:
        cell_mean += random.normal(0, _spreads(spec, parameters, at).gene_line[0], r.shape)
    return SimulatedRelease(
        settings=settings,
        genes=np.array([f"SIM{1 + gene} ({900_001 + gene})" for gene in range(settings.genes)]),
        cell_lines=cell_lines,
        lineages=labels.choice(LINEAGES, settings.cell_lines),
        sequences=np.array(
            [f"{line}_Rep{letter}_p4_Avana-1" for line in cell_lines for letter in letters]
        ),
        guides=guides,
        guide_gene=guide_gene,
        log2_tpm=log2_tpm,
        parameters=parameters,
        cell_mean=cell_mean,
    )


_STREAMS = ("labels", "rna", "parameters", "missing", "noise")


def _random(settings: Simulation, stream: str) -> np.random.Generator:
    """Return the generator of one kind of draws, independent of the other kinds."""
    return np.random.default_rng([settings.seed, _STREAMS.index(stream)])


def _guide_sequences(random: np.random.Generator, n_guides: int) -> np.ndarray:
    """Return distinct random sequences of A, C, G and T, sorted."""
    # One number per sequence, two bits per base; duplicates among 4^20 are rare.
    codes = np.empty(0, dtype=np.int64)
    while codes.size < n_guides:
        drawn = random.integers(4**GUIDE_LENGTH, size=n_guides - codes.size)
        codes = np.unique(np.concatenate([codes, drawn]))
    bases = codes[:, None] >> np.arange(2 * GUIDE_LENGTH - 2, -1, -2) & 3
    letters = np.frombuffer(b"ACGT", dtype="S1")[bases]
    return letters.view(f"S{GUIDE_LENGTH}").ravel().astype(str)


def _rna(settings: Simulation) -> np.ndarray:
    """Return log2(TPM+1): normal by gene, with its minimum in 0 to 5 and its SD in 0.3 to 1.8.

    Shifted, not truncated at 0: truncation would give genes with constant RNA, which are excluded.
    """
    random = _random(settings, "rna")
    rna = random.normal(size=(settings.genes, settings.cell_lines))
    rna /= rna.std(axis=1, ddof=1, keepdims=True)
    rna *= random.uniform(0.3, 1.8, (settings.genes, 1))
    rna -= rna.min(axis=1, keepdims=True)
    rna += random.uniform(0, 5, (settings.genes, 1))
    return np.round(rna, RNA_DECIMALS, out=rna)


def _missing(settings: Simulation) -> Iterator[tuple[slice, np.ndarray]]:
    """Yield guides and which of their values are missing (n_guides, S), the same at each call.

    Each guide and each sequence keeps at least one measurement, as the validation requires.
    """
    n_guides = settings.genes * settings.guides
    n_sequences = settings.cell_lines * settings.replicates
    random = _random(settings, "missing")
    kept_sequence = random.integers(n_sequences, size=n_guides)
    kept_guide = random.integers(n_guides, size=n_sequences)
    for start in range(0, n_guides, GUIDES_PER_BLOCK):
        guides = slice(start, min(start + GUIDES_PER_BLOCK, n_guides))
        shape = (guides.stop - start, n_sequences)
        if not settings.missing:
            yield guides, np.zeros(shape, dtype=bool)
            continue
        missing = random.random(shape, dtype=np.float32) < settings.missing
        missing[np.arange(shape[0]), kept_sequence[guides]] = False
        here = np.flatnonzero((kept_guide >= guides.start) & (kept_guide < guides.stop))
        missing[kept_guide[here] - start, here] = False
        yield guides, missing


def _measured(settings: Simulation, guide_gene: np.ndarray) -> np.ndarray:
    """Return whether a gene is measured in a cell line (G, C)."""
    shape = (settings.genes, settings.cell_lines)
    if not settings.missing:
        return np.ones(shape, dtype=bool)
    measured = np.zeros(shape, dtype=bool)
    for guides, missing in _missing(settings):
        given = ~missing.reshape(len(missing), settings.cell_lines, settings.replicates)
        np.logical_or.at(measured, guide_gene[guides], given.any(axis=2))
    return measured


def _z_score(log2_tpm: np.ndarray, measured: np.ndarray) -> np.ndarray:
    """Return RNA in SDs (ddof 1) by gene over its measured lines; 0 with fewer than two lines."""
    n_lines = measured.sum(axis=1, keepdims=True)
    mean = log2_tpm.sum(axis=1, keepdims=True, where=measured) / np.maximum(n_lines, 1)
    r = log2_tpm - mean
    squares = np.einsum("gc,gc,gc->g", r, r, measured)[:, None]
    sd = np.sqrt(squares / np.maximum(n_lines - 1, 1))
    r /= np.where(sd > 0, sd, np.inf)
    return r


def _draw_parameters(settings: Simulation, random: np.random.Generator) -> dict[str, np.ndarray]:
    """Return draws of the variables of the posterior contract, in order."""
    spec = MODEL_SPECS[settings.model]
    n_items = {
        "gene": settings.genes,
        "cell_line": settings.cell_lines,
        "guide": settings.genes * settings.guides,
    }
    values = {
        name: np.array(getattr(settings.population, name)) for name in (*spec.means, *spec.sds)
    }
    for effect in spec.effects:
        if spec.mixture and not effect.sd:
            values |= _sparse_slopes(settings, spec.mixture, effect.name, random)
            continue
        centre = values[effect.mean] if effect.mean else 0.0
        values[effect.name] = random.normal(centre, values[effect.sd], n_items[effect.dim])
    one = {name: value[None] for name, value in values.items() if not value.ndim}
    for factor in spec.factors:
        values[factor.name] = draw_factors(factor, one, n_items[factor.dim], random)[0]
    return {name: values[name] for name in spec.variables if name in values}


def _sparse_slopes(
    settings: Simulation, mixture: Mixture, name: str, random: np.random.Generator
) -> dict[str, np.ndarray]:
    """Return the slopes `name` (G,), and the weights of the mixture they are drawn from."""
    population, of_scales = settings.population, np.array(SCALE_SHARES)
    negative = population.share_nonzero * population.share_negative * of_scales
    positive = population.share_nonzero * (1 - population.share_negative) * of_scales
    weights = np.concatenate([[1 - population.share_nonzero], negative, positive])
    component = random.choice(len(weights), settings.genes, p=weights / weights.sum())
    scale = np.array(mixture.signed_scales)[component]
    return {
        name: scale * np.abs(random.standard_normal(settings.genes)),
        mixture.weights: weights,
    }


def _spreads(spec: ModelSpec, parameters: dict[str, np.ndarray], at: Grid) -> Spreads:
    return spreads(spec, {name: value[None] for name, value in parameters.items()}, at)


def _guides(spec: ModelSpec) -> str:
    """Return the name of the effects of guides, if the model has them."""
    return spec.guide_effect.name if spec.guide_effect else ""
