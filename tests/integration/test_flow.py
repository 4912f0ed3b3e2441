"""The flow as Prefect sees it: its name, tasks and artifacts."""

from __future__ import annotations

import pytest
from prefect.client.orchestration import get_client

from deployments.demo import write_demo_dataset
from schemas.parameters import FitParameters, Sampling

pytestmark = [pytest.mark.integration]


@pytest.fixture
def fitted(working_folder):
    """A short fit of the simulated screen through the flow, and Prefect's record of it."""
    from flows.fit_screen import fit_screen

    path = write_demo_dataset(working_folder)
    parameters = FitParameters(
        model="m4_zero_mean", engine="nuts", sampling=Sampling(draws=100, tune=200, chains=2)
    )
    outcome = fit_screen(str(path), parameters)
    with get_client(sync_client=True) as client:
        (run,) = [
            run
            for run in client.read_flow_runs()
            if run.parameters.get("dataset_file") == str(path)
        ]
        artifacts = [a for a in client.read_artifacts() if a.flow_run_id == run.id]
    return outcome, run, artifacts


def test_it_leaves_its_story_in_prefect(fitted):
    outcome, run, artifacts = fitted
    assert run.state is not None and run.state.is_completed()
    assert run.name == "simulated-screen seed103 m4_zero_mean"
    assert {"simulated-screen", "seed103", "m4_zero_mean"} <= set(run.tags)
    markdown = {a.key: str(a.data) for a in artifacts if a.type == "markdown"}
    assert set(markdown) == {"validation", "result"}
    assert "May be fitted" in markdown["validation"]
    assert f": {outcome.results.verdict.status}" in markdown["result"]
    assert "| geneB |" in markdown["result"] and outcome.run_id in markdown["result"]
    progress = {a.description: a.data for a in artifacts if a.type == "progress"}
    assert progress == {
        "reading guides": 100.0,
        "sampling with nutpie": 100.0,
        "leaving out cell lines": 100.0,
        "drawing pictures": 100.0,
    }
