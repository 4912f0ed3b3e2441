"""`screenbayes promote` from the command to the alias, and what runs it by itself."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier, Event

import pytest
from mlflow import MlflowClient
from prefect.client.orchestration import get_client
from prefect.settings import PREFECT_API_URL

from deployments.command_line import main
from deployments.demo import write_demo_dataset
from deployments.deploy import register
from deployments.exit_codes import BAD_INPUT
from flows.refresh_releases import refresh_releases
from schemas.calibration import CalibrationSettings
from schemas.gate import GateDecision
from tasks.promotion import one_promotion_at_a_time
from tasks.tracking_run import FitRun
from tests.tasks.stores import HITS, calibrated, fitted

pytestmark = [pytest.mark.integration]

DATASET = "Avana sample"
NUTS = CalibrationSettings(model="m4", engine="nuts")


@pytest.fixture
def client(working_folder):
    return MlflowClient(f"sqlite:///{working_folder}/mlflow.db")


def champion(client: MlflowClient) -> str | None:
    found = client.get_registered_model(DATASET).aliases.get("champion")
    return None if found is None else client.get_model_version(DATASET, str(found)).run_id


def stamp_of_model(client: MlflowClient) -> tuple[int, int]:
    """When the registered model and its first version changed last."""
    model, version = client.get_registered_model(DATASET), client.get_model_version(DATASET, "1")
    assert model.last_updated_timestamp and version.last_updated_timestamp
    return model.last_updated_timestamp, version.last_updated_timestamp


def kept(client: MlflowClient, run: FitRun) -> tuple[str, GateDecision]:
    """What the run keeps of the gate: the tag, and gate.json."""
    path = Path(client.download_artifacts(run.run_id, "gate.json"))
    decision = GateDecision.model_validate_json(path.read_text(encoding="utf-8"))
    return client.get_run(run.run_id).data.tags["gate"], decision


def pages() -> list[str]:
    with get_client(sync_client=True) as prefect:
        found = [page for page in prefect.read_artifacts() if page.key == "gate"]
    return [str(page.data) for page in sorted(found, key=lambda page: str(page.created))]


def test_the_way_of_a_champion(client, capsys):
    first = fitted()
    assert main(["promote", "latest"]) == 1
    said = capsys.readouterr().out
    assert "refused: calibration" in said and "there is still none" in said
    assert "screenbayes calibrate --model m4" in " ".join(said.split())
    assert champion(client) is None
    tag, decision = kept(client, first)
    assert tag == "refused: calibration" and not decision.passed
    assert "**not met**" in pages()[-1]

    calibrated(NUTS, Counter(nuts=60))
    assert main(["promote", "challenger", "--dataset", DATASET]) == 0
    assert "is the champion of Avana sample now, its first" in capsys.readouterr().out
    assert champion(client) == first.run_id
    assert kept(client, first)[0] == "passed"
    assert "# Avana sample: 24Q4 m4 nuts, passed" in pages()[-1]

    before = stamp_of_model(client), kept(client, first)
    assert main(["promote", first.run_id]) == 0
    assert "already: nothing was done" in capsys.readouterr().out
    assert (stamp_of_model(client), kept(client, first)) == before

    second = fitted((-1.0, -0.05, 0.02), release="25Q2")
    assert main(["promote", "25Q2", "--dataset", DATASET]) == 1
    said = " ".join(capsys.readouterr().out.split())
    assert "MYB (4602)" in said and "no" in said and "beta -0.5 -> -0.05" in said
    assert "that stays version 1, 24Q4 m4 nuts" in said
    assert champion(client) == first.run_id
    assert client.get_run(second.run_id).data.tags["gate"] == "refused: lost hits"

    arguments = ["promote", "25Q2", "--dataset", DATASET, "--unexplained-losses", "1"]
    assert main(arguments) == 0
    assert "in place of version 1, 24Q4 m4 nuts" in capsys.readouterr().out
    assert champion(client) == second.run_id
    assert client.get_model_version(DATASET, "2").tags["previous_champion"] == "1"
    _, decision = kept(client, second)
    assert decision.champion_version == "1" and decision.settings.max_unexplained_losses == 1
    assert [hit.gene for hit in decision.lost_hits] == ["MYB (4602)"]
    assert main(["promote", "24Q4", "--dataset", DATASET]) == 0  # and back: no hit is lost by it
    assert champion(client) == first.run_id
    assert client.get_model_version(DATASET, "1").tags["previous_champion"] == "2"


def test_going_back_is_a_loss_of_hits_like_any_other(client, capsys):
    calibrated(NUTS, Counter(nuts=60))
    old = fitted((-1.0, -0.05, 0.02), release="24Q2")
    assert main(["promote", "24Q2", "--dataset", DATASET]) == 0
    fitted(HITS)
    assert main(["promote", "latest", "--dataset", DATASET]) == 0
    capsys.readouterr()
    assert main(["promote", "24Q2", "--dataset", DATASET]) == 1
    assert "--unexplained-losses 1" in " ".join(capsys.readouterr().out.split())
    assert main(["promote", old.run_id, "--unexplained-losses", "1"]) == 0
    assert champion(client) == old.run_id


def test_a_verdict_is_asked_of_the_fit(client, capsys):
    calibrated(NUTS, Counter(nuts=60))
    failed = fitted(release="1", status="fail")
    assert main(["promote", failed.run_id, "--verdict", "review"]) == 1
    assert client.get_run(failed.run_id).data.tags["gate"] == "refused: verdict"
    review = fitted(release="2", status="review")
    assert main(["promote", review.run_id]) == 1
    assert champion(client) is None
    assert main(["promote", review.run_id, "--verdict", "review"]) == 0
    assert champion(client) == review.run_id


def test_what_cannot_be_put_to_the_gate_is_told(client, capsys):
    run = fitted()
    assert main(["promote", "25Q4", "--dataset", DATASET]) == BAD_INPUT
    assert "challenger or a release of Avana sample" in capsys.readouterr().err
    assert main(["promote", "latest", "--unexplained-losses=-1", "--lfsr", "2"]) == BAD_INPUT
    assert "--lfsr" in capsys.readouterr().err
    calibrated(NUTS, Counter(nuts=60))
    client.delete_model_version(DATASET, "1")
    assert main(["promote", run.run_id]) == BAD_INPUT
    assert "to be a version of the registered model" in " ".join(capsys.readouterr().err.split())
    assert "gate" not in client.get_run(run.run_id).data.tags  # not kept as passed


def test_promotions_take_turns_at_the_server(working_folder, monkeypatch):
    """Of two processes without a common disk: here in the place of the lock beside SQLite."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    begin, inside = Barrier(2), Event()

    def hold(_: int) -> bool:
        begin.wait()
        with one_promotion_at_a_time("turns"):
            alone = not inside.is_set()
            inside.set()
            Event().wait(1)
            inside.clear()
        return alone

    with ThreadPoolExecutor(2) as threads:
        assert list(threads.map(hold, range(2))) == [True, True]


def test_a_look_at_the_releases_puts_the_newest_fit_to_the_gate_once(working_folder, monkeypatch):
    monkeypatch.setenv("PREFECT_API_URL", str(PREFECT_API_URL.value()))
    register()
    prefix = working_folder / "releases"
    write_demo_dataset(prefix).rename(prefix / "dataset.yaml")
    dataset = "simulated-screen"

    def look(*, promote: bool) -> list[str]:
        """Runs put to the gate up to and with this look."""
        refresh_releases(str(prefix), settle_seconds=0, promote=promote)
        with get_client(sync_client=True) as prefect:
            runs = prefect.read_flow_runs(limit=200)
        return [run.parameters["run"] for run in runs if run.name.startswith(f"promote {dataset}")]

    assert look(promote=True) == []  # nothing is fitted yet
    newest = [fitted(release=release, dataset=dataset) for release in ("24Q2", "24Q4")][-1]
    assert look(promote=False) == []
    assert look(promote=True) == [newest.run_id]
    assert look(promote=True) == [newest.run_id]
