"""What a fit has changed since the champion of its dataset, for its report.

A comparison in full, with what the differences are due to, is `flows.compare_runs`; which fit is
the champion is decided in `model.gate`.
"""

from __future__ import annotations

from model.compare import ComparedFit, compare_fits
from model.data_changes import FittedScreen, data_changes
from schemas.comparison import ComparisonSettings, FitSummary
from schemas.posterior import posterior_digest
from tasks.artifacts import FitResults
from tasks.registry import CHAMPION, version_at
from tasks.track_comparison import ComparedFits
from tasks.tracked_fits import DamagedFit, NoSuchFit, TrackedFit, read_fit, settings_of
from tasks.tracking_run import FitRun, tracking_errors


def champion_fit(run: FitRun, dataset: str) -> TrackedFit | None:
    """Return the fit behind the alias `champion` of a dataset; None where there is none.

    `run` is of the store that is asked. Raises TrackingError or DamagedFit.
    """
    with tracking_errors(run.uri):
        version = version_at(run.client, dataset, CHAMPION)
    if version is None:
        return None
    try:
        return read_fit(str(version.run_id))
    except DamagedFit:
        raise
    except NoSuchFit:
        return None  # its run has been deleted


def compare_with_champion(results: FitResults, run_id: str, champion: TrackedFit) -> ComparedFits:
    """Return the comparison of the champion (A) with a fit that is not tracked yet (B)."""
    preparation, exact = results.preparation, results.convergence.exact
    fit = ComparedFit(
        summary=FitSummary(
            run_id=run_id,
            release=results.dataset.release,
            model=results.parameters.model,
            engine=results.engine,
            verdict=results.verdict.status,
            data_digest=results.data_digest,
            posterior_digest=posterior_digest(results.tree["posterior"].dataset),
            n_genes=preparation.n_genes,
            n_cell_lines=preparation.n_cell_lines,
            n_measurements=preparation.n_measurements,
            log_evidence=None if exact is None else exact.log_evidence,
        ),
        effects=results.effects,
        settings=settings_of(results.parameters),
        parameters=results.summary,
        checks=results.checks,
        elpd_by_cell=results.loo.cells,
    )
    comparison, genes = compare_fits(
        results.dataset.name, champion.compared, fit, ComparisonSettings(attribute=False)
    )
    if champion.screen is None:
        return ComparedFits(comparison, genes)
    data, lines = data_changes(champion.screen, FittedScreen(results.design, results.roster))
    return ComparedFits(comparison.model_copy(update={"data": data}), genes, lines)
