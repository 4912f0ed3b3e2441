"""The Prefect tasks of a fit: a line around each function that works, and what it reports.

Of a fit nothing is cached: results are designs and posteriors, too large to hash and keep twice,
and MLflow holds what is worth keeping. Storage retries by itself, a fit that fails fails again, and
a deployed run waits for an MLflow server that is away; at a terminal a person does.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
import xarray as xr
from prefect import task
from prefect.cache_policies import NO_CACHE

from model.checks import replicated_quantities
from model.convergence import assess_convergence
from model.design import ScreenDesign
from model.effects import gene_effects
from model.engines import CHECKS, PRIOR_CHECKS, complete, run_engine, seeds
from model.influence import Influence, assess_influence
from model.known_genes import known_genes
from model.loo import Loo, leave_one_cell_out
from model.predictive import fitted_cells, replicated_part, thin
from model.preparation import prepare
from model.spread import with_furthest_out
from model.summary import parameter_summary
from schemas.dataset import Dataset
from schemas.parameters import FitParameters, Pictures
from tasks.cluster import workers_at
from tasks.earlier_runs import close_abandoned, finished_fit
from tasks.flow_runs import this_flow_run
from tasks.pictures import draw_model_graph, draw_pictures
from tasks.progress import Progress, tell
from tasks.read_dataset import load_dataset
from tasks.report import render_report
from tasks.since_champion import champion_fit, compare_with_champion
from tasks.track import track_fit
from tasks.tracking_run import TrackingError, open_run, require_answer, tracking_uri
from tasks.validate import ValidatedScreen, validate

FITTED_DRAWS = 2000
"""Draws behind the interval of each cell: its ends are sure to about a tenth of a posterior SD."""

MLFLOW_DELAYS: list[float] = [5, 10, 20, 40, *[60] * 10]
"""Seconds between the questions to a tracking server that does not answer: eleven minutes."""
TERMINAL_DELAYS: list[float] = [5, 10, 15, 30]
"""The same at a terminal, after a fit: a minute."""

load_dataset_task = task(name="load dataset", cache_policy=NO_CACHE)(load_dataset)
furthest_out_task = task(name="name what is furthest out", cache_policy=NO_CACHE)(with_furthest_out)
complete_task = task(name="predict", cache_policy=NO_CACHE)(complete)
prepare_task = task(name="prepare", cache_policy=NO_CACHE)(prepare)
convergence_task = task(name="assess convergence", cache_policy=NO_CACHE)(assess_convergence)
known_genes_task = task(name="known genes", cache_policy=NO_CACHE)(known_genes)
effects_task = task(name="gene effects", cache_policy=NO_CACHE)(gene_effects)
summary_task = task(name="summarise", cache_policy=NO_CACHE)(parameter_summary)
open_run_task = task(name="open run", cache_policy=NO_CACHE)(open_run)
finished_fit_task = task(name="look for the fit", cache_policy=NO_CACHE)(finished_fit)
close_abandoned_task = task(name="close abandoned runs", cache_policy=NO_CACHE)(close_abandoned)
model_graph_task = task(name="draw model graph", cache_policy=NO_CACHE)(draw_model_graph)
champion_fit_task = task(name="read the champion", cache_policy=NO_CACHE)(champion_fit)
compare_with_champion_task = task(name="compare with the champion", cache_policy=NO_CACHE)(
    compare_with_champion
)
report_task = task(name="render report", cache_policy=NO_CACHE)(render_report)
track_task = task(name="track", cache_policy=NO_CACHE)(track_fit)


@task(name="ask MLflow", cache_policy=NO_CACHE)
def _ask_mlflow(patience: list[float]) -> None:
    try:
        require_answer(tracking_uri())
    except TrackingError as error:
        if patience:
            tell(f"Waiting for MLflow, for {sum(patience):.0f} s in all. {error}")
        raise


def wait_for_mlflow(*, fitted: bool = False) -> None:
    """Return once MLflow answers; raise TrackingError if it does not.

    A deployed run gives it time. At a terminal a person may start it, and is waited for only if
    something has been `fitted` that would have to be fitted again.
    """
    patience = MLFLOW_DELAYS if this_flow_run() else TERMINAL_DELAYS if fitted else []
    ask = _ask_mlflow.with_options(retries=len(patience), retry_delay_seconds=patience)
    ask(patience)


@task(name="validate", cache_policy=NO_CACHE)
def validate_task(dataset: Dataset, parameters: FitParameters) -> ValidatedScreen:
    """Validate and reduce a dataset; progress in guides read."""
    with Progress("reading guides") as progress:
        return validate(dataset, parameters, progress)


@task(name="fit", cache_policy=NO_CACHE)
def fit_task(design: ScreenDesign, parameters: FitParameters, dask: str = "") -> xr.DataTree:
    """Compute the posterior; progress in what the engine counts: steps and draws, or passes."""
    stages = {"nuts": f"sampling with {parameters.sampling.sampler}", "exact": "integrating"}
    # `auto` may begin with the one and end with the other.
    stage = stages.get(parameters.engine, "fitting")
    with workers_at(dask) as workers, Progress(stage) as progress:
        tree = run_engine(design, parameters, progress, workers)
    if why := tree.attrs.get("fell_back"):
        tell(f"The exact engine could not integrate the model, and NUTS sampled it: {why}")
    return tree


@task(name="check", cache_policy=NO_CACHE)
def quantities_task(
    tree: xr.DataTree, design: ScreenDesign, parameters: FitParameters
) -> pd.DataFrame:
    """Take the quantities of the checks in the data and in what prior and posterior make of them.

    Of a large screen, in the part of its genes that the predictive draws of `tree` are of.
    """
    part = replicated_part(tree, design)
    n, seed = parameters.sampling.predictive_draws, seeds(parameters.seed)
    posterior = thin(tree["posterior"].dataset, n)
    return pd.concat(
        [
            replicated_quantities(posterior, part, "posterior", seed[CHECKS]),
            replicated_quantities(tree["prior"].dataset, part, "prior", seed[PRIOR_CHECKS]),
        ],
        ignore_index=True,
    )


@task(name="leave cells out", cache_policy=NO_CACHE)
def loo_task(tree: xr.DataTree, design: ScreenDesign, parameters: FitParameters) -> Loo:
    """Leave out gene-line cells one at a time, in the part of the screen that is looked at."""
    return leave_one_cell_out(
        tree["posterior"].dataset,
        replicated_part(tree, design),
        pareto_k_max=parameters.thresholds.loo_pareto_k_max,
        n_cells_of_screen=int(np.count_nonzero(design.gene_count)),
    )


@task(name="leave cell lines out", cache_policy=NO_CACHE)
def influence_task(
    tree: xr.DataTree, design: ScreenDesign, parameters: FitParameters
) -> Influence | None:
    """Leave out every cell line, and every lineage where known."""
    with Progress("leaving out cell lines") as progress:
        return assess_influence(tree["posterior"].dataset, design, parameters, progress)


@task(name="fitted cells", cache_policy=NO_CACHE)
def fitted_cells_task(tree: xr.DataTree, design: ScreenDesign) -> pd.DataFrame:
    """Set the fit beside the data, by gene and cell line, for the genes of the predictive draws."""
    return fitted_cells(
        thin(tree["posterior"].dataset, FITTED_DRAWS), replicated_part(tree, design)
    )


@task(name="draw pictures", cache_policy=NO_CACHE)
def pictures_task(
    tree: xr.DataTree,
    design: ScreenDesign,
    effects: pd.DataFrame,
    quantities: pd.DataFrame,
    choice: Pictures,
) -> dict[str, bytes]:
    """Draw the chosen pictures; progress in pictures."""
    with Progress("drawing pictures") as progress:
        return draw_pictures(tree, design, effects, quantities, choice, progress)
