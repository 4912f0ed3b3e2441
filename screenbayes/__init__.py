"""ScreenBayes in Python and notebooks: validate, fit, load, compare and simulate.

    >>> import screenbayes as sb
    >>> sb.fit("avana.yaml")                     # doctest: +SKIP
    >>> sb.load("latest").effects.head()         # doctest: +SKIP

No server has to be started. Fits are stored where the command line stores them. Functions raise
`UserError` for what the caller can correct, and `ExternalServiceError` for failures of storage,
servers or the machine. No logic belongs here: it is in `flows`, `tasks` and the packages below.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deployments.server.environment import prepare_environment
from schemas.dataset import Controls, Dataset
from schemas.errors import ExternalServiceError, UserError
from schemas.parameters import Filters, FitParameters, Pictures, Priors, Sampling

if TYPE_CHECKING:  # these take seconds to import, each function when it is called
    import pandas as pd

    from screenbayes.results import Compared, Validation
    from tasks.tracking.stored_fit import StoredFit
    from tasks.write_dataset import Data

__all__ = [
    "Controls",
    "Dataset",
    "ExternalServiceError",
    "Filters",
    "FitParameters",
    "Pictures",
    "Priors",
    "Sampling",
    "UserError",
    "compare",
    "fit",
    "load",
    "runs",
    "simulate",
    "validate",
]

prepare_environment()  # before anything imports Prefect or MLflow


def validate(
    data: Data,
    parameters: FitParameters | None = None,
    *,
    about: Mapping[str, Any] | None = None,
    **settings: Any,
) -> Validation:
    """Return the problems of the tables, and whether they can be fitted.

    Arguments are those of `fit`. Nothing is stored.

        >>> found = sb.validate("avana.yaml")    # doctest: +SKIP
        >>> found.passed                         # doctest: +SKIP
        True

    Raises:
        UserError: the dataset file or a setting is wrong.
        ExternalServiceError: a table cannot be reached.
    """
    from schemas.flat_settings import with_settings
    from screenbayes.progress import shown_progress
    from screenbayes.results import Validation
    from tasks.reading.dataset_file import load_dataset
    from tasks.reading.fit_check import validate_for_fit
    from tasks.runtime.progress import Progress
    from tasks.write_dataset import dataset_file

    chosen = with_settings(parameters or FitParameters(), settings)
    dataset = load_dataset(dataset_file(data, about))
    with shown_progress(), Progress("reading guides") as progress:
        is_chosen = parameters is not None or "model" in settings
        return Validation(*validate_for_fit(dataset, chosen, progress, is_chosen=is_chosen))


def fit(
    data: Data,
    parameters: FitParameters | None = None,
    *,
    about: Mapping[str, Any] | None = None,
    repeat: bool = False,
    pictures: Pictures = "report",
    **settings: Any,
) -> StoredFit:
    """Validate a release, fit it, track the fit in MLflow, and return it.

    Args:
        data: A dataset file (path or s3:// address), a `Dataset`, a long table, or several tables
            by their names in a dataset file: `{"logfc": ..., "guide_map": ...}`. What is in memory
            is written to `screenbayes-tables/` first, so that the fit can be repeated.
        parameters: Settings of the fit; those of `FitParameters()` if not given.
        about: Other keys of the dataset file, for tables: `{"name": "mine", "release": "1"}`.
        repeat: Fit again even if MLflow has an equal fit (same tables, same settings), which is
            returned otherwise.
        pictures: Which pictures to draw: `report` (of the result and its checks), `all` or
            `none`.
        **settings: Single settings, which override `parameters`: `model`, `engine`, `seed`, and
            those of filters and sampling such as `genes`, `cell_lines`, `lineages`, `draws`.

    Example:
        >>> fit = sb.fit("avana.yaml", model="m4", genes=["SOX10", "MYB"])    # doctest: +SKIP
        >>> fit.verdict.status                                               # doctest: +SKIP
        'pass'

    Raises:
        UserError: the tables, the dataset file or a setting must be changed.
        ExternalServiceError: storage, MLflow or memory fails.
    """
    from deployments.server.embedded import embedded_server
    from schemas.flat_settings import with_settings
    from screenbayes.progress import shown_progress
    from tasks.tracking.stored_fit import read_stored_fit
    from tasks.write_dataset import dataset_file

    chosen = with_settings(parameters or FitParameters(), settings)
    file = dataset_file(data, about)
    with shown_progress(), embedded_server() as ready:
        from flows.fit_screen import fit_screen

        ready()
        outcome = fit_screen(file, chosen, repeat=repeat, pictures=pictures)
    return read_stored_fit(outcome.run_id)


def load(run: str = "latest", dataset: str = "") -> StoredFit:
    """Return a finished fit; its parts are read from MLflow when they are first asked for.

    Args:
        run: The id of its run or the first characters of it, `latest`, `champion`, `challenger`, or
            a release (its newest fit).
        dataset: Name of the dataset; needed if the store has several and `run` is no id.

    Example:
        >>> fit = sb.load("24Q4", dataset="avana")               # doctest: +SKIP
        >>> fit.effects.query("call == 'negative'")              # doctest: +SKIP
        >>> fit.gene("SOX10")                                    # doctest: +SKIP
        >>> az.plot_trace(fit.posterior, var_names=["sigma"])  # doctest: +SKIP

    Raises:
        UserError: there is no such run, or no store; the message lists what there is.
        ExternalServiceError: MLflow cannot be reached.
    """
    from tasks.tracking.find import run_id_of
    from tasks.tracking.stored_fit import read_stored_fit

    return read_stored_fit(run_id_of(run, dataset))


def runs(dataset: str = "") -> pd.DataFrame:
    """Return the runs in MLflow, newest first: fits, comparisons, calibrations.

    The columns are those of `screenbayes runs` (docs/columns.md).

        >>> sb.runs("avana").query("kind == 'fit'")    # doctest: +SKIP

    Raises:
        UserError: there is no store, or no such dataset.
        ExternalServiceError: MLflow cannot be reached.
    """
    from tasks.tracking.list_runs import list_runs

    return list_runs(dataset)[0]


def compare(
    a: str | StoredFit, b: str | StoredFit, *, dataset: str = "", **settings: Any
) -> Compared:
    """Compare two fits: data, parameters, genes, hits; differences are B - A.

    Args:
        a: Fit A: a loaded fit, or the name of a run as `load` takes it.
        b: Fit B, likewise.
        dataset: Name of the dataset; needed if the store has several and a fit is not given by id.
        **settings: `practical_difference`, `lfsr_max`, `attribute` (docs/compare.md).

    Example:
        >>> changed = sb.compare("24Q2", "24Q4", dataset="avana")    # doctest: +SKIP
        >>> changed.genes.query("hit == 'lost'")                     # doctest: +SKIP

    Raises:
        UserError: there is no such run, or both are the same.
        ExternalServiceError: MLflow cannot be reached.
    """
    from deployments.server.embedded import is_configured
    from schemas.comparison import ComparisonSettings
    from screenbayes.progress import shown_progress
    from screenbayes.results import Compared

    run_a, run_b = (one if isinstance(one, str) else one.run_id for one in (a, b))
    with shown_progress():
        from flows.compare_runs import compare_runs, compare_tracked

        compare = compare_runs if is_configured() else compare_tracked
        outcome = compare(run_a, run_b, ComparisonSettings(**settings), dataset)
    found = outcome.found
    return Compared(
        outcome.run_id, outcome.run_location, found.comparison, found.genes, found.cell_lines
    )


def simulate(out: str | Path, **settings: Any) -> Path:
    """Write a simulated screen with known true values; return the path of its dataset file.

    `out` is an empty or new folder; it receives the tables, `truth.csv` and `dataset.yaml`.
    Settings are those of `screenbayes simulate`: `model`, `genes`, `cell_lines`, `guides`,
    `replicates`, `missing`, `seed`.

        >>> sb.fit(sb.simulate("screen", genes=40, cell_lines=20))    # doctest: +SKIP

    Raises:
        UserError: the folder is not empty.
    """
    from model.simulation.release import simulate_release
    from schemas.simulation import Simulation
    from tasks.write_simulation import write_release

    return write_release(simulate_release(Simulation(**settings)), Path(out))
