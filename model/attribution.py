"""What a difference between two fits is due to: other lines, new data of the same lines, settings.

The way from fit A to fit B goes through fits of what both have in common,

    A  lost ->  A on the shared part  sequences -> values -> rna ->  B on the shared part
       settings ->  the same, with B's settings  gained ->  B

and each step of it moves the slopes by a part of the difference; the parts of a gene add up to it.
A step at which nothing changes costs no fit. Here is which fits that takes and what follows from
their slopes; computing them is the business of `flows.compare_runs`, making their screens of
`model.shared_screens`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pandas as pd

from model.data_changes import gene_key
from model.design import ScreenDesign
from model.shared_screens import SharedScreens
from schemas.comparison import STEP_WORDS, DataChanges, Step, StepName
from schemas.parameters import FitParameters

STEPS: tuple[StepName, ...] = tuple(STEP_WORDS)
GENES_NAMED = 5


@dataclass(frozen=True, eq=False)
class PartFit:
    """A fit that is needed on the way and is neither A nor B."""

    name: str
    """What it is, in words."""
    screen: Callable[[], ScreenDesign]
    """Makes its screen: one at a time, as those of a release are large."""
    parameters: FitParameters


@dataclass(frozen=True)
class Route:
    """The fits from A to B, one more than there are steps."""

    steps: tuple[StepName, ...]
    """Those at which something changes, in order."""
    parts: tuple[PartFit, ...]
    """The fits between; one less than there are steps."""


def route(
    changes: DataChanges,
    cell_lines: pd.DataFrame,
    designs: tuple[ScreenDesign, ScreenDesign],
    parameters: tuple[FitParameters, FitParameters],
) -> Route:
    """Return the fits on the way from A to B; raise NotShared where there is none.

    `changes` and `cell_lines` are what `model.data_changes` says of the two.
    """
    changed: dict[StepName, bool] = {
        "lost": bool(changes.cell_lines_lost or changes.genes_lost),
        "sequences": bool(cell_lines["sequences_changed"].any()),
        "values": bool(changes.values_changed or changes.guides_lost or changes.guides_gained),
        "rna": bool(changes.rna_changed),
        "settings": _settings(parameters[0]) != _settings(parameters[1]),
        "gained": bool(changes.cell_lines_gained or changes.genes_gained),
    }
    steps = tuple(step for step in STEPS if changed[step])
    if len(steps) < 2:
        return Route(steps, ())
    screens = SharedScreens(*designs)
    renewed = set(cell_lines.loc[cell_lines["sequences_changed"], "cell_line"])
    made: dict[StepName, Callable[[], ScreenDesign]] = {
        "lost": lambda: screens.mixed((), rna_of_b=False),
        "sequences": lambda: screens.mixed(renewed, rna_of_b=False),
        "values": lambda: screens.mixed(screens.cell_lines, rna_of_b=False),
        "rna": lambda: screens.mixed(screens.cell_lines, rna_of_b=True),
    }
    parts = []
    for step in steps[:-1]:
        own = parameters[STEPS.index(step) >= STEPS.index("settings")]
        parts.append(
            PartFit(
                f"what both have in common, after {STEP_WORDS[step]}",
                # Settings change no screen: that after them is B's already.
                made.get(step, made["rna"]),
                # Whatever engine fitted A and B: the posterior is the same, and exact is fast.
                own.model_copy(update={"engine": "auto"}),
            )
        )
    return Route(steps, tuple(parts))


def attributed(
    route_taken: Route, slopes: Sequence[pd.DataFrame], genes: pd.DataFrame, practical: float
) -> tuple[tuple[Step, ...], pd.DataFrame]:
    """Return what each step does, and `genes` with a column `due_to_<step>` for each of STEPS.

    `slopes` are tables of gene effects (`gene`, `beta_mean`), one a fit of the route, A and B
    included. Units of the columns: log fold change per SD of RNA. NaN where a gene cannot be fitted
    in the shared part.
    """
    by_gene = [
        pd.Series(
            table["beta_mean"].to_numpy(), [gene_key(gene) for gene in table["gene"]], dtype=float
        )
        for table in slopes
    ]
    keys = [gene_key(gene) for gene in genes["gene"]]
    columns = {f"due_to_{step}": np.zeros(len(genes)) for step in STEPS}
    found = []
    for step, (before, after) in zip(route_taken.steps, pairwise(by_gene), strict=True):
        moved = after.reindex(keys).to_numpy() - before.reindex(keys).to_numpy()
        columns[f"due_to_{step}"] = moved
        largest = np.argsort(-np.nan_to_num(np.abs(moved)), kind="stable")[:GENES_NAMED]
        found.append(
            Step(
                name=step,
                mean_abs_difference=float(np.nanmean(np.abs(moved))) if len(moved) else 0.0,
                n_genes_moved=int((np.abs(moved) > practical).sum()),
                largest=tuple(genes["gene"].iloc[index] for index in largest),
            )
        )
    return tuple(found), genes.assign(**columns)


def _settings(parameters: FitParameters) -> dict[str, object]:
    """Return what moves a posterior, given the data: engines and draws only approach it."""
    return parameters.model_dump(include={"model", "priors"})
