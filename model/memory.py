"""How much memory a fit will need at its most, from its sizes alone. Pure arithmetic.

What the machine has is asked in `tasks.memory`. Counted are the arrays that are there at the same
time; measured peaks lie within a third of the sum.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Self

import numpy as np

from model.design import ScreenDesign
from model.exact.blocks import BLOCK_SIZE
from model.exact.work import n_final_points, n_ratios
from model.exact.workers import n_threads
from schemas.parameters import FitParameters
from schemas.posterior import CONTRACTS

NUMBER = 8
"""Bytes of a float64."""
COUNT = 2
"""Bytes of a count of measurements, uint16."""
COMPILED = 300_000_000
"""Bytes of a compiled PyMC model and the library that samples it."""
NODES_PASSED_OVER = {2: 25, 5: 126}
"""Nodes whose sums are kept, as many as have been seen, by the number of variance ratios."""
NUTS_COPIES = 3
"""Times a sampler holds its draws: its own, their conversion, and what we keep."""
EFFECT_COPIES = 3
"""Arrays of draws by genes of a block while the effects are drawn."""

PASS_COPIES = 4
"""Arrays of the size of a block while it is passed over at many points."""


@dataclass(frozen=True)
class Sizes:
    """What the memory of a fit depends on."""

    genes: int
    cell_lines: int
    guides: int

    @classmethod
    def of(cls, design: ScreenDesign) -> Self:
        """Return the sizes of a design."""
        return cls(len(design.genes), len(design.cell_lines), len(design.guides))


def reading_bytes(sizes: Sizes) -> int:
    """Return what the sums of a screen take while they are read and made a design, bytes.

    By guide and line a count and a sum, by gene and line a sum of squares: once as they are read
    and once more as what is left of them; RNA as it came and in SDs.
    """
    by_guide = sizes.guides * sizes.cell_lines * (COUNT + NUMBER)
    by_gene = sizes.genes * sizes.cell_lines * NUMBER
    return 2 * (by_guide + by_gene) + 2 * by_gene


def n_parameters(sizes: Sizes, parameters: FitParameters) -> int:
    """Return the number of parameters of the model on a screen of these sizes."""
    of_dim = {"gene": sizes.genes, "cell_line": sizes.cell_lines, "guide": sizes.guides}
    variables = CONTRACTS[parameters.model].variables.values()
    return sum(math.prod(of_dim[dim] for dim in dims) for dims in variables)


def posterior_bytes(sizes: Sizes, parameters: FitParameters) -> int:
    """Return what the draws take, bytes."""
    return NUMBER * _n_draws(parameters) * n_parameters(sizes, parameters)


def fit_bytes(sizes: Sizes, parameters: FitParameters, *, exact: bool) -> int:
    """Return what a fit takes at its most beside the design it starts from, bytes.

    Draws, and the larger of what computes them and of what the checks hold beside them.
    """
    posterior = posterior_bytes(sizes, parameters)
    engine = _exact_bytes(sizes, parameters) if exact else (NUTS_COPIES - 1) * posterior
    held = posterior if exact else posterior + COMPILED
    return held + max(engine, _check_bytes(sizes, parameters))


def _n_draws(parameters: FitParameters) -> int:
    return parameters.sampling.chains * parameters.sampling.draws


def _exact_bytes(sizes: Sizes, parameters: FitParameters) -> int:
    """Return what the exact engine holds beside its draws: blocks, nodes, points, effects."""
    nested = parameters.model == "m4_nested"
    units = sizes.guides if nested else sizes.genes
    by_gene = sizes.genes * sizes.cell_lines
    # Count, mean and the mean before it was centred by unit; RNA by gene; gene sums of the design.
    blocks = NUMBER * (3 * units * sizes.cell_lines + by_gene + 2 * by_gene)
    width = sizes.cell_lines + 3
    nodes = NUMBER * width**2 * NODES_PASSED_OVER[n_ratios(parameters)]
    points = NUMBER * n_final_points(parameters) * width
    units_a_gene = units / max(1, sizes.genes)
    a_block = BLOCK_SIZE / ((units_a_gene + 2) * sizes.cell_lines)
    at_once = min(sizes.genes, a_block * n_threads())
    share = (2 + units_a_gene) / 2 if nested else 1
    effects = NUMBER * EFFECT_COPIES * _n_draws(parameters) * at_once * share
    a_pass = NUMBER * PASS_COPIES * BLOCK_SIZE * n_threads() if nested else 0
    return int(blocks + nodes + points + effects + a_pass)


def _check_bytes(sizes: Sizes, parameters: FitParameters) -> int:
    """Return what is held beside the draws once they are there: predictive draws, tables."""
    sampling = parameters.sampling
    guides_a_gene = max(1, sizes.guides / max(1, sizes.genes))
    cells = min(sizes.genes * sizes.cell_lines, sampling.predictive_cells / guides_a_gene)
    groups = 3 if sampling.log_likelihood else 2
    predictive = NUMBER * groups * sampling.predictive_draws * cells
    effects = 2 * NUMBER * _n_draws(parameters) * sizes.genes
    return int(predictive + effects)


def in_words(n_bytes: float) -> str:
    """Return an amount of memory as people say it: 340 MB, 3.4 GB."""
    if n_bytes < 1e9:
        return f"{int(np.ceil(n_bytes / 1e7)) * 10} MB"
    return f"{n_bytes / 1e9:.1f} GB"
