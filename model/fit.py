"""From validated tables to a design, and from posterior draws to everything a fit reports.

The order of the analysis, as pure functions. Drawing, reports and tracking are in `tasks`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
import xarray as xr

from model.diagnostics.convergence import assess_convergence
from model.diagnostics.summary import summary_of
from model.diagnostics.verdict import give_verdict
from model.effects.copy_number import WithoutCopyNumber, copy_number_slope, with_copy_number
from model.effects.gene_effects import gene_effects
from model.effects.influence import (
    Influence,
    assess_influence,
    can_leave_out,
    leaving_out_seconds,
    with_influence,
)
from model.effects.known_genes import known_genes
from model.effects.left_out_pairs import with_influential_pairs
from model.engines.memory import Sizes, choose_draws, n_parameters
from model.engines.run import CHECKS, add_predictive_groups, first_engine, seeds
from model.prediction.checks import predictive_checks, slope_tails
from model.prediction.loo import LOO_DRAWS, Loo, leave_one_pair_out
from model.prediction.outliers import noise_ratios, with_largest_outliers
from model.prediction.predictive import fitted_cells, of_part, replicated_part, thin
from model.runtime.executors import n_threads
from model.runtime.progress import ProgressCallback, no_progress
from model.screen.design import ScreenDesign
from model.screen.identifiability import require_identified
from model.screen.inclusion import InclusionTable, inclusion_table
from model.screen.preparation import SufficientStatistics, prepare
from schemas.dataset import Dataset
from schemas.digests import data_digest
from schemas.formatting import format_duration
from schemas.model_spec import model_spec
from schemas.parameters import FitParameters
from schemas.reports import (
    Convergence,
    KnownGenes,
    PredictiveCheck,
    PreparationReport,
    ValidationReport,
    Verdict,
)
from schemas.tables.containers import Screen
from schemas.trace import TraceOrigin

N_STEPS = 6
"""Of `analyse`, as its steps are counted."""
FITTED_DRAWS = 2000
"""Draws behind the intervals of fitted gene-line pairs, whose ends have a Monte Carlo error of
about a tenth of a posterior SD."""


REPLICATED, LEFT_OUT, EXPECTED = 180e-9, 65e-9, 27e-9
"""Seconds on one core per draw of a guide-line pair: a replicate with its quantities, the density
without its gene-line pair, the fit."""
SUMMARISED = 300e-9
"""Seconds on one core per draw of a parameter, for the table of parameters."""


@dataclass(frozen=True, eq=False)
class PreparedScreen:
    """A validated dataset, and the design that will be fitted."""

    dataset: Dataset
    parameters: FitParameters
    validation: ValidationReport
    preparation: PreparationReport
    design: ScreenDesign
    inclusion: InclusionTable
    """Every item of the input, and the reason of its exclusion."""
    expression_addictions: tuple[str, ...]
    """Genes expected to have negative slopes; empty where the dataset lists none."""

    @property
    def data_digest(self) -> str:
        """SHA-256, in hex, of the names and contents of all tables, whatever their order."""
        return data_digest(self.validation.tables)


@dataclass(frozen=True, eq=False)
class FitResults(PreparedScreen):
    """A prepared screen, its posterior, and everything computed from it."""

    tree: xr.DataTree
    """The posterior contract (`schemas.posterior`)."""
    summary: pd.DataFrame
    """One row per parameter, the first column its name."""
    convergence: Convergence
    quantities: pd.DataFrame
    """The checked quantities in the data and in replicates (`model.prediction.replicates`)."""
    checks: tuple[PredictiveCheck, ...]
    loo: Loo
    verdict: Verdict
    effects: pd.DataFrame
    """One row per gene (`schemas.column_catalog.GENE_EFFECTS`)."""
    known_genes: KnownGenes | None
    """Agreement with the known expression addictions; None where the dataset lists none."""
    fitted_cells: pd.DataFrame
    """Data and fit, one row per gene-line pair."""
    influence: Influence | None = None
    """What leaving out lines and lineages changes; None where it cannot be computed."""
    origin: TraceOrigin | None = None
    """Where the draws come from, if they were not sampled here."""

    @property
    def engine(self) -> str:
        """The engine that computed the posterior."""
        return str(self.tree.attrs["engine"])

    @property
    def settings(self) -> dict[str, str | int | float]:
        """The flat settings of the fit, as far as they are known."""
        return self.parameters.flat() if self.origin is None else self.origin.known(self.parameters)


def prepare_screen(
    dataset: Dataset,
    parameters: FitParameters,
    validation: ValidationReport,
    screen: Screen,
    statistics: SufficientStatistics,
) -> PreparedScreen:
    """Join, filter and standardise validated tables; the sums of `statistics` are then released.

    Raises:
        UserError: Too little is left, or the design cannot identify the model.
    """
    design, preparation = prepare(
        screen, statistics, parameters, dataset.rna_units, dataset.copy_number_units
    )
    statistics.release()
    require_identified(parameters.model, design)
    return PreparedScreen(
        dataset,
        parameters,
        validation,
        preparation,
        design,
        inclusion_table(screen, statistics.selection, design, preparation),
        screen.expression_addictions,
    )


def describe_analysis_cost(design: ScreenDesign, parameters: FitParameters) -> str:
    """Return the expected time of `analyse`, as a phrase."""
    seconds, what = _check_seconds(design, parameters), "checks"
    if can_leave_out(model_spec(parameters.model, design.covariates)):
        seconds += leaving_out_seconds(parameters.model, design)
        what = "checks and for leaving out cell lines and lineages"
    return f"{format_duration(seconds)} for {what}"


def _check_seconds(design: ScreenDesign, parameters: FitParameters) -> float:
    sampling, sizes = parameters.sampling, Sizes.of(design)
    chosen = choose_draws(parameters, sizes, first_engine(parameters)).sampling
    n_draws = chosen.chains * chosen.n_draws
    of_pair = 2 * sampling.predictive_draws * REPLICATED
    of_pair += min(LOO_DRAWS, n_draws) * LEFT_OUT + min(FITTED_DRAWS, n_draws) * EXPECTED
    n_pairs = min(sampling.predictive_cells, int(np.count_nonzero(design.count)))
    summary = n_draws * n_parameters(sizes, parameters) * SUMMARISED
    return (n_pairs * of_pair + summary) / n_threads()


def analyse(
    sampled: xr.DataTree,
    screen: PreparedScreen,
    origin: TraceOrigin | None = None,
    progress: ProgressCallback = no_progress,
    without: WithoutCopyNumber | None = None,
    steps: ProgressCallback = no_progress,
) -> FitResults:
    """Summarise the draws of an engine, check them, and compute effects and influence.

    `sampled` is what `model.engines.run.run_engine` returns; `origin` is the source of draws that
    were not sampled here; `progress` counts groups of cell lines that were left out; `without` are
    the results of the fit without copy number, where the model has a slope on it; `steps` counts
    the steps of the analysis.
    """
    design, parameters = screen.design, screen.parameters
    tree, quantities = add_predictive_groups(sampled, design, parameters)
    steps(1, N_STEPS)
    posterior, part = tree["posterior"].dataset, replicated_part(tree, design)
    of_replicated = of_part(posterior, part)
    summary = summary_of(sampled)
    convergence = assess_convergence(tree, summary)
    steps(2, N_STEPS)
    checks = with_largest_outliers(predictive_checks(quantities), tree, design)
    tails = slope_tails(
        model_spec(parameters.model, design.covariates), posterior, seeds(parameters.seed)[CHECKS]
    )
    checks = (*checks, tails) if tails else checks
    steps(3, N_STEPS)
    influence = assess_influence(posterior, design, parameters, progress)
    steps(4, N_STEPS)
    effects = gene_effects(tree, design, parameters.calls)
    if influence is not None:
        effects = with_influence(effects, influence)
    slope = copy_number_slope(design, parameters)
    if slope and without:
        effects = with_copy_number(effects, posterior, slope, without)
    loo = _leave_pairs_out(of_replicated, part, design, parameters)
    steps(5, N_STEPS)
    fitted = fitted_cells(thin(of_replicated, FITTED_DRAWS), part)
    steps(6, N_STEPS)
    listed = screen.expression_addictions
    return FitResults(
        **vars(screen),
        tree=tree,
        summary=summary,
        convergence=convergence,
        quantities=quantities,
        checks=checks,
        loo=loo,
        verdict=give_verdict(
            convergence,
            checks,
            parameters,
            tree.attrs.get("fell_back", ""),
            rhat_without_copy_number=without.rhat_max if without else None,
            noise_of_lines=noise_ratios(design),
            gene_level=design.is_gene_level,
        ),
        effects=effects,
        known_genes=known_genes(effects, listed, parameters.seed) if listed else None,
        fitted_cells=fitted,
        influence=influence,
        origin=origin,
    )


def _leave_pairs_out(
    posterior: xr.Dataset, part: ScreenDesign, design: ScreenDesign, parameters: FitParameters
) -> Loo:
    limit = parameters.thresholds.loo_pareto_k_max
    loo = leave_one_pair_out(
        posterior,
        part,
        pareto_k_max=limit,
        n_cells_of_screen=int(np.count_nonzero(design.gene_count)),
    )
    return with_influential_pairs(
        loo, parameters.model, part, parameters.priors, posterior, pareto_k_max=limit
    )
