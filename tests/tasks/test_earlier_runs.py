"""Which unfinished runs are closed: those of a flow run that is over, whatever their kind."""

from __future__ import annotations

import pytest

from tasks.earlier_runs import close_abandoned
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


def test_an_experiment_that_is_not_there_has_none(client):
    assert close_abandoned("nothing here", lambda flow_run: True) == []
