"""Attribution of differences between two fits to other lines, new data of the same lines, settings.

The path from fit A to fit B leads through fits of what both have in common,

    A  lost ->  A on the shared part  sequences -> values -> rna ->  B on the shared part
       settings ->  the same, with B's settings  gained ->  B

and each step changes the slopes by a part of the difference; the parts of a gene add up to it.
A step without a change needs no fit. `flows.compare_runs` computes the fits.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pandas as pd

from model.comparison.data import gene_key
from model.comparison.shared_screens import SharedScreens
from model.screen.design import ScreenDesign
from schemas.comparison import STEP_WORDS, DataChanges, Step, StepName
from schemas.parameters import FitParameters

STEPS: tuple[StepName, ...] = tuple(STEP_WORDS)
GENES_NAMED = 5
SMALLEST_MOVE = 5e-4
"""Smallest change of a slope that is shown as other than 0.000."""


@dataclass(frozen=True, eq=False)
class PartFit:
    """An intermediate fit between A and B."""

    name: str
    """Description of the fit."""
    screen: Callable[[], ScreenDesign]
    """Makes its screen; called for one fit at a time, as screens of a release are large."""
    parameters: FitParameters


@dataclass(frozen=True)
class Route:
    """The fits from A to B, one more than there are steps."""

    steps: tuple[StepName, ...]
    """Steps with a change, in order."""
    parts: tuple[PartFit, ...]
    """Intermediate fits, one fewer than steps."""


def plan_refits(
    changes: DataChanges,
    cell_lines: pd.DataFrame,
    designs: tuple[ScreenDesign, ScreenDesign],
    parameters: tuple[FitParameters, FitParameters],
) -> Route:
    """Return the fits from A to B; raise NotShared where they have too little in common.

    `changes` and `cell_lines` are those of `model.comparison.data.data_changes`.
    """
    # Of lines with other replicates everything is renewed, as of all lines of another library.
    guides_changed = bool(changes.guides_lost or changes.guides_gained)
    some_kept = int(cell_lines["sequences_changed"].sum()) < changes.n_cell_lines_joined
    changed: dict[StepName, bool] = {
        "lost": bool(changes.cell_lines_lost or changes.genes_lost),
        "sequences": bool(cell_lines["sequences_changed"].any()),
        "values": bool(changes.values_changed) or (guides_changed and some_kept),
        "rna": bool(
            changes.rna_changed or changes.copy_number_changed or len(changes.copy_number_in) == 1
        ),
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
                # Settings do not change the screen: it is already B's.
                made.get(step, made["rna"]),
                # The posterior does not depend on the engine, and exact is fast.
                own.model_copy(update={"engine": "auto"}),
            )
        )
    return Route(steps, tuple(parts))


def attribute_differences(
    route_taken: Route, slopes: Sequence[pd.DataFrame], genes: pd.DataFrame, practical: float
) -> tuple[tuple[Step, ...], pd.DataFrame]:
    """Return the effect of each step, and `genes` with a column `due_to_<step>` for each of STEPS.

    `slopes` are tables of gene effects (`gene`, `beta_mean`), one per fit of the route including A
    and B. Units of the columns: log fold change per SD of RNA. NaN where a gene cannot be fitted in
    the shared part.
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
        size = np.nan_to_num(np.abs(moved))
        largest = np.argsort(-size, kind="stable")[:GENES_NAMED]
        largest = largest[size[largest] >= SMALLEST_MOVE]
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
    """Return the settings that determine the posterior; engines and draws approximate it."""
    return parameters.model_dump(include={"model", "priors"})
