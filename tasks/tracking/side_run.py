"""MLflow runs other than fits: comparisons and calibrations, distinguished by the tag `kind`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from tasks.runtime.files import temporary_folder
from tasks.runtime.prefect_runs import this_flow_run
from tasks.tracking.run import FitRun, code_version, metrics_of
from tasks.tracking.store import newest_runs, tracking_errors, tracking_store
from tasks.tracking.ui import NOTE


def finished_run(experiment_id: str, tags: Mapping[str, str], with_metric: str) -> FitRun | None:
    """Return the newest finished run of an experiment with these tags and this metric.

    The metric, a count, distinguishes runs of versions that do not compute it. Raises
    TrackingError.
    """
    named = {"attributes.status": "FINISHED", **{f"tags.{tag}": of for tag, of in tags.items()}}
    wanted = " and ".join(f"{name} = '{value}'" for name, value in named.items())
    wanted += f" and metrics.{with_metric} >= 0"
    with tracking_store() as (client, uri):
        for run in newest_runs(client, [experiment_id], wanted, most=1):
            return FitRun(client, uri, experiment_id, run.info.run_id, finished=True)
    return None


def create_run(experiment_id: str, name: str, tags: Mapping[str, str]) -> FitRun:
    """Create a run; raise TrackingError."""
    with tracking_store() as (client, uri):
        created = client.create_run(
            experiment_id,
            run_name=name,
            tags={
                **tags,
                "code_version": code_version(),
                # Shows later runs whether this one is still active.
                **({"flow_run": flow_run} if (flow_run := this_flow_run()) else {}),
            },
        )
        return FitRun(client, uri, experiment_id, created.info.run_id)


def finish_run(
    run: FitRun, files: Mapping[str, bytes], measures: Mapping[str, float], page: str
) -> None:
    """Store files by name, metrics, and a Markdown page as description; set the run FINISHED.

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
