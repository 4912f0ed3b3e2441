"""The run that each name of a fit means, and what is listed where it means none."""

import pytest
from mlflow import MlflowClient

from tasks.tracking.find import run_id_of
from tasks.tracking.load import NoSuchFit

RUNS = {  # the later the newer
    "old": ("avana", "24Q2", "FINISHED"),
    "again": ("avana", "24Q2", "FINISHED"),
    "new": ("avana", "24Q4", "FINISHED"),
    "failed": ("avana", "25Q2", "FAILED"),
    "comparison": ("avana", "24Q4", "FINISHED"),
    "ky": ("ky", "24Q4", "FINISHED"),
}
NAMES = {
    "latest": "new", "24Q2": "again", "24Q4": "new", "champion": "old", "challenger": "again",
}  # fmt: skip


def test_a_name_means_the_newest_finished_fit_or_lists_what_there_is(working_folder):
    client, runs = MlflowClient(), {}
    experiments = {name: client.create_experiment(name) for name in ("avana", "ky")}
    for start, (name, (experiment, release, status)) in enumerate(RUNS.items(), start=1):
        kind = {"kind": "comparison"} if name == "comparison" else {"fit_key": "k"}
        tags = kind | {"release": release}
        run = client.create_run(experiments[experiment], start_time=start, tags=tags)
        runs[name] = run.info.run_id
        client.set_terminated(runs[name], status)
    client.create_registered_model("avana")
    for alias, name in (("champion", "old"), ("challenger", "again")):
        version = client.create_model_version("avana", "s3://bucket/model", runs[name])
        client.set_registered_model_alias("avana", alias, version.version)

    assert {name: run_id_of(name, "avana") for name in NAMES} == {
        name: runs[run] for name, run in NAMES.items()
    }
    assert run_id_of("0" * 32) == "0" * 32
    for name, dataset, listed in (
        ("25Q2", "avana", "available: 24Q4, 24Q2"),  # its only fit failed
        ("latest", "", "fits of 2; available: avana, ky; add --dataset"),
        ("champion", "ky", "`screenbayes promote latest` sets it"),
        ("it's", "avana", 'got "it\'s"'),
    ):
        with pytest.raises(NoSuchFit) as error:
            run_id_of(name, dataset)
        assert listed in str(error.value)
