"""The command `screenbayes import-trace`."""

from __future__ import annotations

from typing import Annotated

from deployments.cli.options import (
    FLAT,
    HIDDEN,
    FitOptions,
    PicturesOption,
    require_named,
    setting,
)
from deployments.cli.outcome import print_results, print_run
from deployments.cli.session import flow_session
from schemas.parameters import EngineName, ModelName, Sampling


@FLAT
class TraceOptions(FitOptions):
    """Settings of an import that have options; the trace has model, engine and draws."""

    model: Annotated[ModelName, HIDDEN] = setting(FitOptions, "model")
    engine: Annotated[EngineName, HIDDEN] = setting(FitOptions, "engine")
    sampling: Annotated[Sampling, HIDDEN] = Sampling()


def import_trace(
    trace: str,
    *,
    dataset: str,
    options: TraceOptions = TraceOptions(),
    pictures: PicturesOption = "report",
) -> int:
    """Import a trace sampled elsewhere, for example by pymc3, as a run in MLflow like a fit.

    The trace is checked against the measurements of the dataset first. Name the priors and the part
    of the screen it was sampled with; model, engine and number of draws come from the trace.

    Parameters
    ----------
    trace
        InferenceData saved by ArviZ as netCDF: a path or an s3:// address.
    dataset
        Dataset file (YAML) of the screen the trace was sampled from: a path or an s3:// address.
    """
    require_named("a netCDF file of a trace, and a dataset file", trace, dataset)
    settings = options.fit_parameters()
    with flow_session(print_results) as ready:
        # While the server starts.
        from flows.import_trace import import_trace as run

        ready()
        outcome = run(trace, dataset, settings, pictures)
    return print_run(outcome)
