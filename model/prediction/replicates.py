"""Replicates of a screen: gene-line pairs for the predictive groups, quantities for the checks.

Both are of the same replicates, one per draw.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd
import xarray as xr

from model.prediction.checks import QUANTITIES, GuideCells
from model.prediction.predictive import Draw, draws
from model.runtime.executors import threaded_map
from model.screen.design import ScreenDesign, guide_lines
from schemas.reports import Stage


class Replicates(NamedTuple):
    """One replicate per draw of the parameters."""

    cells: xr.Dataset
    """`cell_mean` (chain, draw, cell), log2, and `within_cell_ss` (chain, draw): those of
    `ScreenDesign.cells` in another screen of the same genes, lines and guides."""
    quantities: pd.DataFrame
    """Columns quantity, stage, observed, replicated; one row per quantity and draw."""


def replicate_screens(
    parameters: xr.Dataset, design: ScreenDesign, stage: Stage, seed: int
) -> Replicates:
    """Return a replicate of a design for every draw of `parameters`, with every quantity in it.

    Data and replicate are compared under the same draw. Replicates have the same guides; effects of
    gene-line and guide-line pairs are drawn anew. Quantities of QUANTITIES that do not apply to the
    design (for example without replicates) are omitted. `parameters` may be of a larger design with
    the same cell lines (`prediction_subset`).
    """
    cells, count = guide_lines(design), design.cells.count
    shown = {name: quantity for name, quantity in QUANTITIES.items() if quantity.can_show(cells)}
    alone = GuideCells(cells.mean, cells.line_within_ss, np.zeros_like(cells.mean), cells)
    of_data = {name: one.compute(alone) for name, one in shown.items() if not one.of_fit}

    def of_draw(numbered: tuple[Draw, np.random.SeedSequence]) -> tuple[np.ndarray, ...]:
        draw, own_seed = numbered
        fitted = draw.expected(cells)
        data = GuideCells(cells.mean, cells.line_within_ss, fitted, cells)
        mean, within = draw.replicate(fitted, cells, np.random.default_rng(own_seed))
        replicate = GuideCells(mean, within, fitted, cells)
        cell_mean = np.bincount(cells.cell, cells.count * mean) / count
        between = cells.count * (mean - cell_mean[cells.cell]) ** 2
        observed = [
            of_data[name] if name in of_data else one.compute(data) for name, one in shown.items()
        ]
        replicated = [one.compute(replicate) for one in shown.values()]
        return cell_mean, within.sum() + between.sum(), np.array(observed), np.array(replicated)

    shape = (parameters.sizes["chain"], parameters.sizes["draw"])
    # A seed for each draw, so that draws can be replicated side by side.
    seeds = np.random.SeedSequence(seed).spawn(shape[0] * shape[1])
    of_draws = threaded_map(of_draw, zip(draws(parameters, design), seeds, strict=True))
    cell_mean, within, observed, replicated = (
        np.array(part) for part in zip(*of_draws, strict=True)
    )
    return Replicates(
        xr.Dataset(
            {
                "cell_mean": (("chain", "draw", "cell"), cell_mean.reshape(*shape, -1)),
                "within_cell_ss": (("chain", "draw"), within.reshape(shape)),
            },
            coords={name: parameters[name] for name in ("chain", "draw")},
        ),
        pd.DataFrame(
            {
                "quantity": np.repeat(list(shown), len(seeds)),
                "stage": stage,
                "observed": observed.T.ravel(),
                "replicated": replicated.T.ravel(),
            }
        ),
    )
