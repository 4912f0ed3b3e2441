"""Effects of genes beside those of a fit without copy number: calls that amplified DNA explains."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pandas as pd
import xarray as xr

from model.diagnostics.convergence import assess_convergence
from model.diagnostics.summary import summary_of
from model.effects.gene_effects import CALLED, GENES_AT_ONCE, gene_effects
from model.prediction.predictive import shortest_intervals
from model.screen.covariates import COPY_NUMBER
from model.screen.design import ScreenDesign
from schemas.column_catalog import COPY_NUMBER_OF_GENES
from schemas.model_spec import Effect, model_spec
from schemas.parameters import FitParameters

FLAG = "carried_by_copy_number"


@dataclass(frozen=True, eq=False)
class WithoutCopyNumber:
    """Results of the fit of a screen without its copy number."""

    effects: pd.DataFrame
    """One row per gene (`model.effects.gene_effects`)."""
    rhat_max: float
    """Largest R-hat of its slopes on RNA and of what all genes share."""


def copy_number_slope(design: ScreenDesign, parameters: FitParameters) -> Effect | None:
    """Return the effect of copy number in the model of a fit; None where it has none."""
    slopes = model_spec(parameters.model, design.covariates).slopes
    return next((effect for effect in slopes if effect.covariate == COPY_NUMBER), None)


def without_copy_number(design: ScreenDesign) -> ScreenDesign:
    """Return the design without its copy number."""
    others = {name: values for name, values in design.covariates.items() if name != COPY_NUMBER}
    return replace(design, covariates=others)


def summarise_without(
    tree: xr.DataTree, design: ScreenDesign, parameters: FitParameters
) -> WithoutCopyNumber:
    """Return what is kept of the draws of an engine for `without_copy_number(design)`."""
    posterior = tree["posterior"].dataset
    spec = model_spec(parameters.model, without_copy_number(design).covariates)
    slope = spec.gene_effects[spec.rna_column].name
    judged = [*(name for name, dims in spec.variables.items() if "gene" not in dims), slope]
    part = xr.DataTree.from_dict(
        {"posterior": posterior[judged], "sample_stats": tree["sample_stats"].dataset}
    )
    return WithoutCopyNumber(
        gene_effects(tree, design, parameters.calls),
        assess_convergence(part, summary_of(tree, judged)).rhat_max,
    )


def with_copy_number(
    effects: pd.DataFrame, posterior: xr.Dataset, slope: Effect, without: WithoutCopyNumber
) -> pd.DataFrame:
    """Return the table of genes with the columns `schemas.column_catalog.COPY_NUMBER_OF_GENES`.

    `slope` is the effect of copy number in `posterior`. A gene is carried by copy number where it
    is called in the fit without, and has not the same call in the fit with it.
    """
    kappa = posterior[slope.name]
    own = pd.concat(
        _slope_columns(kappa.isel(gene=slice(start, start + GENES_AT_ONCE)))
        for start in range(0, kappa.sizes["gene"], GENES_AT_ONCE)
    )
    other = without.effects[["gene", "beta_mean", "lfsr", "s_value", "call"]].rename(
        columns=lambda name: name if name == "gene" else f"{name}_without_copy_number"
    )
    joined = effects.merge(own, how="left", on="gene", validate="one_to_one").merge(
        other, how="left", on="gene", validate="one_to_one"
    )
    call = joined["call_without_copy_number"]
    joined[FLAG] = call.isin(CALLED) & (call != joined["call"])
    return joined[[*effects.columns, *COPY_NUMBER_OF_GENES]]


def carried_by_copy_number(effects: pd.DataFrame) -> pd.DataFrame:
    """Return the genes whose call copy number carries, strongest first; none without its table."""
    if FLAG not in effects:
        return effects.head(0)
    return effects[effects[FLAG]].sort_values("beta_mean_without_copy_number")


def _slope_columns(kappa: xr.DataArray) -> pd.DataFrame:
    draws = kappa.stack(sample=("chain", "draw")).transpose("gene", "sample").to_numpy()
    low, high = shortest_intervals(draws)
    return pd.DataFrame(
        {
            "gene": kappa["gene"].to_numpy(),
            "copy_number_slope": kappa.mean(("chain", "draw")).to_numpy(),
            "copy_number_slope_hdi_low": low,
            "copy_number_slope_hdi_high": high,
        }
    )
