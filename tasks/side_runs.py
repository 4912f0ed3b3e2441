"""Runs in MLflow that are no fits: comparisons and calibrations, told apart by the tag `kind`.

What they hold is in `tasks.track_comparison` and `tasks.track_calibration`; the run of a fit is
`tasks.tracking_run`.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from tasks.flow_runs import this_flow_run
from tasks.front_page import NOTE
from tasks.out_files import temporary_folder
from tasks.tracking_run import (
    FitRun,
    code_version,
    connect,
    metrics_of,
    newest_runs,
    tracking_errors,
    tracking_uri,
)


def finished_run(experiment_id: str, tags: Mapping[str, str]) -> FitRun | None:
    """Return the newest finished run of an experiment with these tags; raise TrackingError."""
    named = {"attributes.status": "FINISHED", **{f"tags.{tag}": of for tag, of in tags.items()}}
    wanted = " and ".join(f"{name} = '{value}'" for name, value in named.items())
    uri = tracking_uri()
    with tracking_errors(uri):
        client = connect(uri)
        for run in newest_runs(client, [experiment_id], wanted, most=1):
            return FitRun(client, uri, experiment_id, run.info.run_id, finished=True)
    return None


def begin_run(experiment_id: str, name: str, tags: Mapping[str, str]) -> FitRun:
    """Create a run; raise TrackingError."""
    uri = tracking_uri()
    with tracking_errors(uri):
        client = connect(uri)
        created = client.create_run(
            experiment_id,
            run_name=name,
            tags={
                **tags,
                "code_version": code_version(),
                # By it a later run tells whether somebody still works at this one.
                **({"flow_run": flow_run} if (flow_run := this_flow_run()) else {}),
            },
        )
        return FitRun(client, uri, experiment_id, created.info.run_id)


def conclude_run(
    run: FitRun, files: Mapping[str, bytes], measures: Mapping[str, float], page: str
) -> None:
    """Store files by name, metrics and the page (Markdown) that heads the run; set it FINISHED.

    Raises TrackingError.
    """
    with temporary_folder() as folder, tracking_errors(run.uri):
        for name, content in files.items():
            path = Path(folder, name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        run.client.log_artifacts(run.run_id, folder)
        run.client.log_batch(run.run_id, metrics=metrics_of(measures))
        run.client.set_tag(run.run_id, NOTE, page)
        run.finish()
