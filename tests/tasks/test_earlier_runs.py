"""Which unfinished runs are closed: those of a flow run that is over, whatever their kind."""

from __future__ import annotations

import pytest

from tasks.earlier_runs import close_abandoned
from tasks.registry import move_challenger
from tasks.tracking_run import connect, tracking_uri


@pytest.fixture
def client(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    return connect(tracking_uri())


def test_only_what_a_dead_flow_run_left_is_closed_and_named(client, caplog):
    experiment = client.create_experiment("avana")
    begun = {
        name: client.create_run(experiment, tags=tags).info.run_id
        for name, tags in {
            "fit": {"flow_run": "over", "fit_key": "k"},
            "comparison": {"flow_run": "over", "kind": "comparison"},
            "at work": {"flow_run": "alive", "kind": "part"},
            "by hand": {"fit_key": "k"},
        }.items()
    }
    other = client.create_run(client.create_experiment("other"), tags={"flow_run": "over"})
    caplog.set_level("INFO")
    closed = close_abandoned("avana", lambda flow_run: flow_run == "over")
    assert set(closed) == {begun["fit"], begun["comparison"]}
    for name, run_id in begun.items():
        run = client.get_run(run_id)
        assert run.info.status == ("KILLED" if run_id in closed else "RUNNING"), name
        assert ("its process died" in run.data.tags.get("failure", "")) == (run_id in closed)
    assert client.get_run(other.info.run_id).info.status == "RUNNING"
    assert close_abandoned("avana", lambda flow_run: True) == [begun["at work"]]


def test_what_a_dead_run_has_registered_is_withdrawn(client):
    """Killed between registering and finishing, it would stand as the newest version for ever."""
    experiment = client.create_experiment("avana")
    client.create_registered_model("avana")
    runs = [client.create_run(experiment, tags={"flow_run": "over"}).info.run_id for _ in "ab"]
    client.set_terminated(runs[0], "FINISHED")
    for run_id in runs:
        client.create_model_version("avana", "s3://bucket/model", run_id)
        move_challenger(client, "avana")
    assert close_abandoned("avana", lambda flow_run: True) == [runs[1]]
    assert [one.run_id for one in client.search_model_versions("name = 'avana'")] == [runs[0]]
    assert client.get_model_version_by_alias("avana", "challenger").run_id == runs[0]


def test_the_first_version_is_withdrawn_too(client):
    experiment = client.create_experiment("avana")
    client.create_registered_model("avana")
    run_id = client.create_run(experiment, tags={"flow_run": "over"}).info.run_id
    client.create_model_version("avana", "s3://bucket/model", run_id)
    move_challenger(client, "avana")
    assert close_abandoned("avana", lambda flow_run: True) == [run_id]
    assert client.search_model_versions("name = 'avana'") == []


def test_an_experiment_that_is_not_there_has_none(client):
    assert close_abandoned("nothing here", lambda flow_run: True) == []
