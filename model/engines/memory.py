"""Expected peak memory of a fit, from its sizes.

The sum of the arrays that exist at the same time; measured peaks are within a third of it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Self

import numpy as np

from model.engines.exact.blocks import BLOCK_SIZE
from model.engines.exact.workload import n_final_points
from model.runtime.executors import n_threads
from model.screen.design import ScreenDesign
from schemas.model_spec import model_spec
from schemas.parameters import EngineName, FitParameters

NUMBER = 8
"""Bytes of a float64."""
COUNT = 2
"""Bytes of a count of measurements, uint16."""
COMPILED = 300_000_000
"""Bytes of a compiled PyMC model and its sampling library."""
NODES_PASSED_OVER = {False: 25, True: 126}
"""Usual number of nodes whose sums are kept, without and with guide effects."""
NUTS_COPIES = 3
"""Copies of the draws of a sampler: its own, their conversion, and the result."""
GIBBS_ARRAYS = 3
"""Arrays by guide and line of the Gibbs engine: counts, means, and sums by gene of its chains."""
EFFECT_COPIES = 3
"""Arrays of draws by genes of a block while the effects are drawn."""

PASS_COPIES = 4
"""Arrays of the size of a block during a pass at many points."""


MOST_DRAWS: dict[EngineName, int] = {"gibbs": 1000, "exact": 2000, "nuts": 2000}
"""Draws per chain if none are asked for, by engine."""
LONGEST_CHAIN = 4000
"""The Gibbs engine doubles its draws, up to so many per chain, until they have converged."""
FEWEST_DRAWS, LARGEST_POSTERIOR = 500, 1_500_000_000
"""They are halved, but not below, until the draws take at most so many bytes."""
LARGEST_START: dict[EngineName, int] = dict.fromkeys(MOST_DRAWS, LARGEST_POSTERIOR) | {
    "gibbs": 400_000_000
}
"""The same of the draws to begin with: those of the Gibbs engine continue where they have to."""


@dataclass(frozen=True)
class Sizes:
    """Sizes that determine the memory of a fit."""

    genes: int
    cell_lines: int
    guides: int
    covariates: tuple[str, ...] = ()
    """Covariates besides RNA."""

    @classmethod
    def of(cls, design: ScreenDesign) -> Self:
        """Return the sizes of a design."""
        sizes = (len(design.genes), len(design.cell_lines), len(design.guides))
        return cls(*sizes, tuple(design.covariates))


def choose_draws(parameters: FitParameters, sizes: Sizes, engine: EngineName) -> FitParameters:
    """Return the parameters with a number of draws per chain, chosen if they have none."""
    draws = MOST_DRAWS[engine]
    while parameters.sampling.draws is None:
        chosen = _with_draws(parameters, draws)
        if draws <= FEWEST_DRAWS or posterior_bytes(sizes, chosen) <= LARGEST_START[engine]:
            parameters = chosen
        draws //= 2
    return parameters


def can_double(parameters: FitParameters, sizes: Sizes, draws: int) -> bool:
    """Return whether chains of so many draws may become twice as long."""
    longer = _with_draws(parameters, 2 * draws)
    return 2 * draws <= LONGEST_CHAIN and posterior_bytes(sizes, longer) <= LARGEST_POSTERIOR


def _with_draws(parameters: FitParameters, draws: int) -> FitParameters:
    sampling = parameters.sampling.model_copy(update={"draws": draws})
    return parameters.model_copy(update={"sampling": sampling})


def reading_bytes(sizes: Sizes) -> int:
    """Return the bytes of the sums of a screen while it is read and becomes a design.

    By guide and line a count and a sum, by gene and line a sum of squares: once as read and once
    after exclusions; RNA as given and in SDs, and any other covariate as given and centred.
    """
    by_guide = sizes.guides * sizes.cell_lines * (COUNT + NUMBER)
    by_gene = sizes.genes * sizes.cell_lines * NUMBER
    return 2 * (by_guide + by_gene) + 2 * by_gene * (1 + len(sizes.covariates))


def n_parameters(sizes: Sizes, parameters: FitParameters) -> int:
    """Return the number of parameters of the model on a screen of these sizes."""
    spec = model_spec(parameters.model, sizes.covariates)
    of_dim = {"gene": sizes.genes, "cell_line": sizes.cell_lines, "guide": sizes.guides}
    of_dim["component"] = spec.mixture.n_components if spec.mixture else 0
    return sum(math.prod(of_dim[dim] for dim in dims) for dims in spec.variables.values())


def posterior_bytes(sizes: Sizes, parameters: FitParameters) -> int:
    """Return the bytes of the draws."""
    return NUMBER * _n_draws(parameters) * n_parameters(sizes, parameters)


def fit_bytes(sizes: Sizes, parameters: FitParameters, engine: EngineName) -> int:
    """Return the peak bytes of a fit in addition to its design.

    The draws, and the larger of the engine's arrays and those of the checks.
    """
    posterior = posterior_bytes(sizes, parameters)
    by_pair = NUMBER * sizes.guides * sizes.cell_lines
    n_slopes = len(model_spec(parameters.model, sizes.covariates).slopes)
    columns = NUMBER * (1 + n_slopes) * sizes.genes * sizes.cell_lines
    arrays = {
        "exact": _exact_bytes(sizes, parameters),
        "gibbs": GIBBS_ARRAYS * by_pair + columns,
        "nuts": (NUTS_COPIES - 1) * posterior,
    }[engine]
    held = posterior + COMPILED if engine == "nuts" else posterior
    return held + max(int(arrays), _check_bytes(sizes, parameters))


def _n_draws(parameters: FitParameters) -> int:
    return parameters.sampling.chains * parameters.sampling.n_draws


def _exact_bytes(sizes: Sizes, parameters: FitParameters) -> int:
    """Return the bytes of the exact engine without draws: blocks, nodes, points, effects."""
    spec = model_spec(parameters.model, sizes.covariates)
    own, by_guide = len(spec.gene_effects), spec.by_guide
    units = sizes.guides if by_guide else sizes.genes
    by_gene = sizes.genes * sizes.cell_lines
    # By unit: count, mean and uncentred mean; RNA by gene; gene sums of the design.
    blocks = NUMBER * (3 * units * sizes.cell_lines + by_gene + 2 * by_gene)
    width = sizes.cell_lines + own + 1
    nodes = NUMBER * width**2 * NODES_PASSED_OVER[by_guide]
    points = NUMBER * n_final_points(parameters) * width
    units_per_gene = units / max(1, sizes.genes)
    genes_per_block = BLOCK_SIZE / ((units_per_gene + 2) * sizes.cell_lines)
    at_once = min(sizes.genes, genes_per_block * n_threads())
    share = (own + units_per_gene) / own if by_guide else 1
    effects = NUMBER * EFFECT_COPIES * _n_draws(parameters) * at_once * share
    passes = NUMBER * PASS_COPIES * BLOCK_SIZE * n_threads() if by_guide else 0
    return int(blocks + nodes + points + effects + passes)


def _check_bytes(sizes: Sizes, parameters: FitParameters) -> int:
    """Return the bytes of the checks in addition to the draws: predictive draws, tables."""
    sampling = parameters.sampling
    guides_per_gene = max(1, sizes.guides / max(1, sizes.genes))
    cells = min(sizes.genes * sizes.cell_lines, sampling.predictive_cells / guides_per_gene)
    groups = 3 if sampling.log_likelihood else 2
    predictive = NUMBER * groups * sampling.predictive_draws * cells
    effects = 2 * NUMBER * _n_draws(parameters) * sizes.genes
    return int(predictive + effects)


def format_bytes(n_bytes: float) -> str:
    """Return an amount of memory as text: 340 MB, 3.4 GB."""
    if n_bytes < 1e9:
        return f"{int(np.ceil(n_bytes / 1e7)) * 10} MB"
    return f"{n_bytes / 1e9:.1f} GB"
