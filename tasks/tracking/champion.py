"""Comparison of a fit with the champion of its dataset, for its report."""

from __future__ import annotations

from typing import TYPE_CHECKING

from model.comparison.data import FittedScreen, data_changes
from model.comparison.fits import ComparedFit, compare_fits
from schemas.comparison import ComparisonSettings, FitSummary
from schemas.posterior import posterior_digest
from tasks.tracking.comparison import ComparedFits
from tasks.tracking.load import DamagedFit, TrackedFit, read_fit, settings_of
from tasks.tracking.registry import CHAMPION, version_at
from tasks.tracking.run import FitRun
from tasks.tracking.store import NoSuchFit, tracking_errors

if TYPE_CHECKING:
    from model.fit import FitResults


def since_champion(run: FitRun, results: FitResults) -> ComparedFits | None:
    """Return the comparison of the champion (A) with a fit that is not tracked yet (B).

    None where the dataset has no champion. `run` is the run of the fit. Raises TrackingError or
    DamagedFit.
    """
    champion = _champion_fit(run, results.dataset.name)
    return None if champion is None else _compare(results, run.run_id, champion)


def _champion_fit(run: FitRun, dataset: str) -> TrackedFit | None:
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


def _compare(results: FitResults, run_id: str, champion: TrackedFit) -> ComparedFits:
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
    data, lines = data_changes(champion.screen, FittedScreen(results.design, results.inclusion))
    return ComparedFits(comparison.model_copy(update={"data": data}), genes, lines)
