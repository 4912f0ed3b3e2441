"""Fits to draw pictures of: one small by a sampler, one large and replicated in part."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from model.checks import replicated_quantities
from model.design import ScreenDesign
from model.effects import gene_effects
from model.engines import complete, run_engine
from model.predictive import looked_at, thin
from schemas.parameters import FitParameters
from tests.designs import design_from_rows, nested_rows, original_rows


@dataclass(frozen=True, eq=False)
class Fit:
    """What every picture is drawn from."""

    tree: xr.DataTree
    design: ScreenDesign
    part: ScreenDesign
    effects: pd.DataFrame
    quantities: pd.DataFrame


def fit_of(rows: pd.DataFrame, model: str) -> Fit:
    """A fit by the exact engine, with an energy as a sampler has one."""
    sampling = {"draws": 250, "predictive_draws": 200, "predictive_cells": 1000}
    parameters = FitParameters.model_validate(
        {"model": model, "engine": "exact", "sampling": sampling}
    )
    design = design_from_rows(rows)
    tree = complete(run_engine(design, parameters), design, parameters)
    energy = np.random.default_rng(11).normal(500, 10, (4, 250))
    statistics = tree["sample_stats"].to_dataset()
    tree["sample_stats"] = xr.DataTree(statistics.assign(energy=(("chain", "draw"), energy)))
    few, part = thin(tree["posterior"].dataset, 200), looked_at(design, 1000)
    quantities = replicated_quantities(few, part, "posterior", seed=3)
    return Fit(tree, design, part, gene_effects(tree, design), quantities)


@pytest.fixture(scope="session")
def small() -> Fit:
    """The original's simulated screen by m4: 5 genes x 20 cell lines."""
    return fit_of(original_rows(), "m4")


@pytest.fixture(scope="session")
def large() -> Fit:
    """66 genes x 8 cell lines by m4_nested, 41 genes replicated, with columns of influence."""
    rows, _ = nested_rows(66, 8, 3, 2, seed=7)
    names = {gene: f"GENE{gene[1:]} (1{gene[1:]})" for gene in rows.gene.unique()}
    fit = fit_of(rows.assign(gene=rows.gene.map(names)), "m4_nested")
    number = np.arange(66)
    known = fit.effects.assign(
        most_influential_line="c003",
        influence=np.where(number, 0.1 * number - 3, np.nan),  # nothing is known of the first
        carried_by_one_line=number == 4,
        beta_within_lineage_mean=fit.effects["beta_mean"] * np.where(number == 5, 0, 0.9),
        beta_within_lineage_sd=0.1,
        marks_lineage=number == 5,
    )
    return replace(fit, effects=known)
