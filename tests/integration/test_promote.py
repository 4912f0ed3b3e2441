"""`screenbayes promote`: from the command to the alias `champion`, and by a look at releases."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier, Event

import pytest
from mlflow import MlflowClient
from prefect.client.orchestration import get_client
from prefect.settings import PREFECT_API_URL, PREFECT_SERVER_EPHEMERAL_ENABLED, temporary_settings

from deployments.cli.app import main
from deployments.cli.demo import write_demo_dataset
from deployments.cli.exit_codes import BAD_INPUT, DONE
from deployments.server.register import register
from flows.refresh_releases import refresh_releases
from schemas.calibration import CalibrationSettings
from schemas.parameters import FitParameters
from schemas.promotion import GateDecision
from tasks.tracking.promotion import one_promotion_at_a_time
from tasks.tracking.run import FitRun
from tests.tasks.stores import HITS, calibrated, fitted

pytestmark = [pytest.mark.integration]

DATASET = "Avana sample"
NUTS = CalibrationSettings(model="m4", engine="nuts")
WITHOUT_MYB = (-1.0, -0.05, 0.02)


@pytest.fixture
def client(working_folder: Path) -> MlflowClient:
    return MlflowClient(f"sqlite:///{working_folder}/mlflow.db")


def champion(client: MlflowClient) -> str | None:
    found = client.get_registered_model(DATASET).aliases.get("champion")
    return None if found is None else client.get_model_version(DATASET, str(found)).run_id


def decision_of(client: MlflowClient, run: FitRun) -> tuple[str, GateDecision]:
    """The tag `gate` of a run, and its gate.json."""
    path = Path(client.download_artifacts(run.run_id, "gate.json"))
    decision = GateDecision.model_validate_json(path.read_text(encoding="utf-8"))
    return client.get_run(run.run_id).data.tags["gate"], decision


def last_page() -> str:
    with get_client(sync_client=True) as prefect:
        pages = [page for page in prefect.read_artifacts() if page.key == "gate"]
    return str(max(pages, key=lambda page: str(page.created)).data)


def test_a_champion_is_made_refused_replaced_and_restored(client, capsys):
    def promote(*words: str) -> tuple[int, str]:
        code = main(["promote", *words, "--dataset", DATASET])
        said = capsys.readouterr()
        return code, " ".join((said.out + said.err).split())

    first = fitted()
    code, said = promote("latest", "--unexplained-losses=-1", "--lfsr", "2")
    assert code == BAD_INPUT and "--lfsr" in said
    code, said = promote("latest")
    assert code == 1 and "refused: calibration" in said
    assert "screenbayes calibrate --model m4" in said
    assert champion(client) is None and "**not met**" in last_page()
    tag, decision = decision_of(client, first)
    assert tag == "refused: calibration" and not decision.passed

    calibrated(NUTS, Counter(nuts=60))
    assert promote("latest")[0] == 1
    page = last_page()
    assert "of 60 simulations" in page and "at least 1,000 are needed" in page
    assert "screenbayes calibrate --model m4 --engine nuts --simulations 1000" in page
    calibrated(NUTS, Counter(nuts=1000))
    assert promote("challenger")[0] == 0
    assert champion(client) == first.run_id and decision_of(client, first)[0] == "passed"
    assert "# Avana sample: 24Q4 m4 nuts, passed" in last_page()
    before = client.get_model_version(DATASET, "1").last_updated_timestamp
    code, said = promote(first.run_id)
    assert code == 0 and "already" in said
    assert client.get_model_version(DATASET, "1").last_updated_timestamp == before

    second = fitted(WITHOUT_MYB, release="25Q2")
    code, said = promote("25Q2")
    assert code == 1 and "MYB (4602)" in said and "beta -0.5 -> -0.05" in said
    assert "--unexplained-losses 1" in said and "stays version 1, 24Q4 m4 nuts" in said
    assert champion(client) == first.run_id
    assert client.get_run(second.run_id).data.tags["gate"] == "refused: lost hits"
    code, said = promote("25Q2", "--unexplained-losses", "1")
    assert code == 0 and "in place of version 1, 24Q4 m4 nuts" in said
    assert champion(client) == second.run_id
    assert client.get_model_version(DATASET, "2").tags["previous_champion"] == "1"
    _, decision = decision_of(client, second)
    assert decision.champion_version == "1" and decision.settings.max_unexplained_losses == 1
    assert [hit.gene for hit in decision.lost_hits] == ["MYB (4602)"]
    assert promote("24Q4")[0] == 0  # and back: no hit is lost by it
    assert champion(client) == first.run_id
    assert client.get_model_version(DATASET, "1").tags["previous_champion"] == "2"

    review = fitted(release="26Q4", status="review")
    assert [promote(review.run_id)[0], promote(review.run_id, "--verdict", "review")[0]] == [1, 0]
    version = client.get_registered_model(DATASET).aliases["champion"]
    deleted = fitted(HITS, release="27Q2")
    client.delete_model_version(DATASET, str(int(version) + 1))
    code, said = promote(deleted.run_id)
    assert code == BAD_INPUT and "to be a version of the registered model" in said
    assert "gate" not in client.get_run(deleted.run_id).data.tags  # not stored as passed


def test_promotions_without_a_common_disk_take_turns_at_the_server(working_folder, monkeypatch):
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


@pytest.mark.slow
def test_a_look_at_releases_evaluates_the_newest_fit_once(working_folder, monkeypatch):
    monkeypatch.setenv("PREFECT_API_URL", str(PREFECT_API_URL.value()))
    register()
    prefix = working_folder / "releases"
    write_demo_dataset(prefix).rename(prefix / "dataset.yaml")
    dataset = "simulated-screen"

    def look(*, promote: bool) -> list[str]:
        """Return the runs evaluated up to and including this look."""
        refresh_releases(str(prefix), FitParameters(model="m4"), settle_seconds=0, promote=promote)
        with get_client(sync_client=True) as prefect:
            runs = prefect.read_flow_runs(limit=200)
        return [run.parameters["run"] for run in runs if run.name.startswith(f"promote {dataset}")]

    assert look(promote=True) == []  # nothing is fitted yet
    newest = [fitted(release=release, dataset=dataset) for release in ("24Q2", "24Q4")][-1]
    assert look(promote=False) == []
    assert look(promote=True) == [newest.run_id]
    assert look(promote=True) == [newest.run_id]


def test_commands_that_orchestrate_nothing_need_no_server(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    first, second = fitted(), fitted(WITHOUT_MYB, release="25Q2")
    # Prefect starts none of its own, and refuses whatever would need one.
    refused = {PREFECT_SERVER_EPHEMERAL_ENABLED: False}
    with temporary_settings(refused, restore_defaults={PREFECT_API_URL}):
        assert main(["compare", first.run_id, second.run_id]) == DONE
        assert len(first.client.search_runs([first.experiment_id], "tags.kind = 'comparison'")) == 1
        assert main(["promote", "latest"]) == 1
        assert main(["compare", "latest", "latest"]) == BAD_INPUT
        assert main(["export", "latest", "--out", "out"]) == DONE
    assert "refused: calibration" in capsys.readouterr().out
