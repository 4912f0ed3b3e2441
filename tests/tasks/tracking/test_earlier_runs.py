"""Unfinished runs of a flow run that is over are closed, and what they registered is withdrawn."""

from mlflow import MlflowClient

from tasks.tracking.earlier_runs import close_abandoned
from tasks.tracking.registry import move_challenger


def test_only_what_a_dead_flow_run_left_is_closed(working_folder):
    client = MlflowClient()
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
    closed = close_abandoned("avana", lambda flow_run: flow_run == "over")
    assert set(closed) == {begun["fit"], begun["comparison"]}
    for name, run_id in begun.items():
        run = client.get_run(run_id)
        assert run.info.status == ("KILLED" if run_id in closed else "RUNNING"), name
        assert ("its process died" in run.data.tags.get("failure", "")) == (run_id in closed)
    assert close_abandoned("avana", lambda flow_run: True) == [begun["at work"]]
    assert close_abandoned("nothing here", lambda flow_run: True) == []


def test_versions_of_a_dead_run_are_withdrawn_and_the_challenger_goes_back(working_folder):
    """Killed between registering and finishing, it would stand as the newest version for ever."""
    client = MlflowClient()
    experiment = client.create_experiment("avana")
    client.create_registered_model("avana")
    tags = {"flow_run": "over"}
    finished, dead = (client.create_run(experiment, tags=tags).info.run_id for _ in range(2))
    for run_id in (finished, dead):
        client.create_model_version("avana", "s3://bucket/model", run_id)
        move_challenger(client, "avana")
    client.set_terminated(finished, "FINISHED")
    assert close_abandoned("avana", lambda flow_run: True) == [dead]
    assert [one.run_id for one in client.search_model_versions("name = 'avana'")] == [finished]
    assert client.get_model_version_by_alias("avana", "challenger").run_id == finished
