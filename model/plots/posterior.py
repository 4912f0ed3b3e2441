"""Pictures of the draws, by ArviZ: priors, traces, ranks, energy, forests."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import arviz as az
import pandas as pd
import xarray as xr
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from model.plots.style import BETA_AXIS, GREY, LOGFC_AXIS, ends, only_ends, styled, title
from model.prediction.predictive import HDI_MASS

_FORESTS = {
    "alpha_g": ("alpha: log fold change of a gene at its mean RNA", LOGFC_AXIS, "genes"),
    "beta_g": ("beta: effect of a gene's RNA on its log fold change", BETA_AXIS, "genes"),
    "gamma_c": ("gamma: shift of a cell line", LOGFC_AXIS, "cell lines"),
}


def hyperparameters(posterior: xr.Dataset) -> list[str]:
    """Return the names of scalar parameters."""
    return [str(name) for name in posterior if posterior[name].dims == ("chain", "draw")]


def _rows(names: list[str]) -> int:
    """Return the number of rows of two panels each."""
    return -(-len(names) // 2)


def _chains(tree: xr.DataTree) -> str:
    """Return the kind of chains: the exact engine has batches."""
    integrated = "pareto_k" in tree["sample_stats"].data_vars
    return "batches of independent draws" if integrated else "chains"


def _figure(collection: Any) -> Figure:
    figure: Figure = collection.viz["figure"].item()
    return figure


@styled
def prior_of_sds(tree: xr.DataTree) -> Figure:
    """Draw prior and posterior distribution function of every standard deviation.

    Cumulative, because the density of a wide prior is near 0 compared with a narrow posterior.
    """
    posterior = tree["posterior"].dataset
    names = [name for name in hyperparameters(posterior) if name.startswith("sigma")]
    collection = az.plot_prior_posterior(
        tree,
        var_names=names,
        kind="ecdf",
        col_wrap=2,
        figure_kwargs={"figsize": (9, 3.25 * _rows(names))},
    )
    figure = _figure(collection)
    figure.supxlabel("standard deviation of log fold change (log2)", fontsize=10)
    figure.supylabel("cumulative probability", fontsize=10)
    title(
        figure,
        "Prior and posterior of the standard deviations",
        "cumulative distributions: where they coincide, the data are uninformative",
    )
    return figure


@styled
def trace(tree: xr.DataTree) -> Figure:
    """Draw the trace of every chain for the scalar parameters."""
    names = hyperparameters(tree["posterior"].dataset)
    size = (11.0, 2.25 * _rows(names))
    collection = az.plot_trace(tree, var_names=names, col_wrap=2, figure_kwargs={"figsize": size})
    figure = _figure(collection)
    title(
        figure,
        f"{_chains(tree).capitalize()} over draws: they should overlap and not drift",
    )
    return figure


@styled
def rank(tree: xr.DataTree) -> Figure:
    """Draw the ranks of each chain's draws among all draws, as difference from uniform."""
    names = hyperparameters(tree["posterior"].dataset)
    size = (11.0, 2.25 * _rows(names))
    collection = az.plot_rank(tree, var_names=names, col_wrap=2, figure_kwargs={"figsize": size})
    figure = _figure(collection)
    title(
        figure,
        f"Ranks of the {_chains(tree)} among all draws, difference from uniform",
        "black where one differs from the others by more than chance (p below alpha)",
    )
    return figure


@styled
def energy(tree: xr.DataTree) -> Figure:
    """Draw the energy of the sampler, its changes, and BFMI by chain."""
    collection = az.plot_energy(tree, figure_kwargs={"figsize": (9, 4)})
    figure = _figure(collection)
    figure.axes[0].yaxis.set_major_locator(MaxNLocator(integer=True))
    title(figure, "Energy of the sampler: its changes should be as wide as its spread")
    return figure


@styled
def forest(
    tree: xr.DataTree,
    variable: Literal["alpha_g", "beta_g", "gamma_c"],
    means: pd.Series | None = None,
    labels: Sequence[str] = (),
) -> Figure:
    """Draw mean, 50 % and 89 % interval by gene or line, sorted; the extreme ones of many.

    Sorted by `means`, by label, if the draws were thinned, for the same order as a table of all
    draws. `labels` are shown instead of those of the draws.
    """
    what, axis, items = _FORESTS[variable]
    draws = tree["posterior"][variable]
    dim = str(draws.dims[2])
    if labels:
        draws = draws.assign_coords({dim: list(labels)})
    labels_of_all = draws[dim].to_numpy()
    values = draws.mean(("chain", "draw")) if means is None else means.reindex(labels_of_all)
    shown = ends(values.to_numpy())
    collection = az.plot_forest(
        xr.DataTree.from_dict({"posterior": draws.isel({dim: shown}).to_dataset()}),
        combined=True,
        ci_kind="hdi",
        ci_probs=(0.5, HDI_MASS),
        labels=[dim],
        figure_kwargs={"figsize": (8, 1.6 + 0.24 * shown.size)},
    )
    figure = _figure(collection)
    title(figure, what, only_ends(shown.size, draws.sizes[dim], items))
    names, intervals = figure.axes
    names.spines["bottom"].set_visible(False)
    names.set_xticks([])
    intervals.axvline(0, color=GREY, linewidth=0.8, zorder=0)
    intervals.set_xlabel(axis)
    return figure
