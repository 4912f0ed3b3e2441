"""What intervals of beta are worth where noise is not as a model has it.

`python -m benchmarks.unequal_noise --help`; what the columns mean: benchmarks/README.md. Genes and
lines may be unequally noisy, tails heavy, measurements dependent: `model.prediction.checks` sees
it, and here is what it costs.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
from cyclopts import App

from benchmarks.screens import TRUTHS, Truth
from benchmarks.tables import show
from deployments.server.environment import prepare_environment
from model.engines.run import run_engine
from model.screen.design import ScreenDesign
from schemas.parameters import FitParameters, ModelName, Sampling

LEVEL = 0.89
GENES, LINES, GUIDES, REPLICATES = 105, 41, 4, 2
"""Of a screen: those of the real sample."""

CAPTION = """\
{screens} screens of each kind, 105 genes x 41 lines with the SDs of the real sample; the SDs of \
gene-line, guide-line and replicates are multiplied by factors of the gene and of the line. \
coverage: share of true betas inside their 89 % intervals; error: its standard error; beta error: \
root mean square of posterior mean - truth."""


@dataclass(frozen=True)
class Noise:
    """How unequal the noise is."""

    name: str
    genes: float = 0.0
    """SD over genes of the log of the factor on the noise SD."""
    lines: float = 0.0
    """SD over cell lines."""
    freedom: float = np.inf
    """Degrees of freedom of the t distribution the noise has, scaled to the same variance."""
    scale: float = 0.0
    """SD over cell lines of the log of the scale of all effects and their noise."""


# About what the checks find on the real sample.
NOISES = (
    Noise("as the model has it"),
    Noise("unequal lines", lines=0.4),
    Noise("unequal genes", genes=0.27),
    Noise("both", genes=0.27, lines=0.4),
    Noise("both, t tails", genes=0.27, lines=0.4, freedom=4),
    Noise("both, lines scaled", genes=0.27, lines=0.4, scale=0.47),
)
MODELS: tuple[ModelName, ...] = ("m4_nested", "m4_screen")
NOISIEST = 5

PARTS = ("guide", "gene_line", "guide_line")
"""What m4_nested has and m4_zero_mean has not: each alone shows what it does to intervals."""

app = App(result_action="return_value")


@app.default
def unequal_noise(*, screens: int = 12, out: Path | None = None) -> None:
    """Fit screens with unequal noise and count how often intervals of beta hold the truth."""
    prepare_environment()
    whole, as_it_is = TRUTHS["m4_nested"], NOISES[0]
    kinds: list[tuple[str, ModelName, Noise, Truth]] = [
        (noise.name, model, noise, whole) for noise in NOISES for model in MODELS
    ]
    kinds.append((as_it_is.name, "m4_zero_mean", as_it_is, whole))
    for part in PARTS:
        others = dict.fromkeys(set(PARTS) - {part}, 0.0)
        kinds.append((f"{part} alone", "m4_zero_mean", as_it_is, replace(whole, **others)))
    rows = [
        {"noise": name, "model": model, **coverage(noise, model, screens, truth)}
        for name, model, noise, truth in kinds
    ]
    show(pd.DataFrame(rows), "Unequal noise", CAPTION.format(screens=screens), out)


def coverage(noise: Noise, model: ModelName, screens: int, truth: Truth) -> dict[str, float]:
    """Return the share of true betas inside, over all genes and over quarters by their noise."""
    inside, sizes, errors = [], [], []
    for seed in range(screens):
        design, beta, size = unequal_screen(noise, truth, seed)
        parameters = FitParameters(model=model, seed=seed, sampling=Sampling(draws=500, chains=2))
        slopes = run_engine(design, parameters)["posterior"]["beta_g"].to_numpy()
        low, high = np.quantile(
            slopes.reshape(-1, GENES), [(1 - LEVEL) / 2, (1 + LEVEL) / 2], axis=0
        )
        inside.append((low < beta) & (beta < high))
        sizes.append(size)
        errors.append(slopes.reshape(-1, GENES).mean(axis=0) - beta)
    held, by_size = np.array(inside), np.array(sizes)
    found = {
        "coverage": float(held.mean()),
        "error": float(held.mean(axis=1).std(ddof=1) / np.sqrt(screens)) if screens > 1 else np.nan,
        "beta error": float(np.sqrt(np.mean(np.square(errors)))),
    }
    if noise.genes:
        lower, upper = np.quantile(by_size, [0.25, 0.75])
        found |= {
            "noisiest quarter of genes": float(held[by_size > upper].mean()),
            "quietest quarter": float(held[by_size <= lower].mean()),
            "five noisiest": float(
                np.take_along_axis(held, np.argsort(-by_size)[:, :NOISIEST], axis=1).mean()
            ),
        }
    return found


def unequal_screen(
    noise: Noise, truth: Truth, seed: int
) -> tuple[ScreenDesign, np.ndarray, np.ndarray]:
    """Return a screen drawn from m4_nested with unequal noise, its beta (G,), and the genes' noise.

    The last is the factor on the noise variance of each gene, meaned over lines (G,).
    """
    random = np.random.default_rng(seed)
    rna = random.standard_normal((GENES, LINES))
    rna = (rna - rna.mean(axis=1, keepdims=True)) / rna.std(axis=1, ddof=1, keepdims=True)
    factor = np.exp(noise.genes * random.standard_normal(GENES))[:, None]
    factor = factor * np.exp(noise.lines * random.standard_normal(LINES))
    factor /= np.sqrt((factor**2).mean())  # the variance stays that of `truth`

    def scatter(sd: float, of: np.ndarray) -> np.ndarray:
        if np.isinf(noise.freedom):
            return sd * of * random.standard_normal(of.shape)
        scale = np.sqrt((noise.freedom - 2) / noise.freedom)
        return sd * of * scale * random.standard_t(noise.freedom, of.shape)

    beta = random.normal(0, truth.beta, GENES)
    alpha, gamma = random.normal(0, truth.alpha, (GENES, 1)), random.normal(0, truth.gamma, LINES)
    cell = alpha + beta[:, None] * rna + scatter(truth.gene_line, factor)
    by_guide = factor.repeat(GUIDES, axis=0)
    mean = cell.repeat(GUIDES, axis=0) + random.normal(0, truth.guide, (GENES * GUIDES, 1))
    mean += scatter(truth.guide_line, by_guide)
    logfc = mean[..., None] + scatter(truth.noise, by_guide[..., None].repeat(REPLICATES, axis=-1))
    z = random.standard_normal(LINES)
    logfc = gamma[:, None] + np.exp(noise.scale * (z - z.mean()))[:, None] * logfc
    design = ScreenDesign(
        genes=tuple(f"G{gene:03}" for gene in range(GENES)),
        cell_lines=tuple(f"L{line:03}" for line in range(LINES)),
        guides=tuple(f"G{k // GUIDES:03}/{k % GUIDES}" for k in range(GENES * GUIDES)),
        guide_gene=np.arange(GENES).repeat(GUIDES),
        rna=rna,
        rna_mean=np.zeros(GENES),
        rna_sd=np.ones(GENES),
        rna_is_log2=False,
        count=np.full(mean.shape, REPLICATES, np.uint16),
        total=logfc.sum(axis=-1),
        sum_of_squares=np.add.reduceat(
            (logfc**2).sum(axis=-1), np.arange(0, GENES * GUIDES, GUIDES), axis=0
        ),
    )
    return design, beta, (factor**2).mean(axis=1)


if __name__ == "__main__":
    app()
