"""The aliases of a registered model: who is behind them, and that two who move them do not lose."""

from __future__ import annotations

import shutil
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from mlflow import MlflowClient

from schemas.comparison import FitSummary
from schemas.gate import GateCondition, GateDecision, GateSettings
from tasks.promotion import StillPromoting, one_promotion_at_a_time, read_champion
from tasks.registry import (
    ChampionMoved,
    NotRegistered,
    champion_of,
    move_challenger,
    move_champion,
    registered_version,
)
from tasks.tracked_fits import NoSuchFit

MET = GateCondition(name="verdict", met=True, detail="")
NOT_MET = GateCondition(name="verdict", met=False, detail="")


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """A store with the registered model `avana`: versions 1 to 4 of the runs 1111..., 2222..."""
    path = tmp_path_factory.mktemp("registry") / "mlflow.db"
    client = MlflowClient(f"sqlite:///{path}")
    client.create_registered_model("avana")
    for number in range(1, 5):
        client.create_model_version("avana", "s3://bucket/model", run_of(number))
    return path


@pytest.fixture
def client(store, tmp_path, monkeypatch):
    """A copy of the store, to be changed."""
    shutil.copy(store, tmp_path / "mlflow.db")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    monkeypatch.setattr("tasks.promotion.server_is_shared", lambda: False)
    return MlflowClient(f"sqlite:///{tmp_path}/mlflow.db")


def run_of(version: int) -> str:
    return str(version) * 32


def fit(version: int) -> FitSummary:
    return FitSummary(
        run_id=run_of(version), release="24Q4", model="m4", engine="exact", verdict="pass",
        data_digest="d", n_genes=1, n_cell_lines=1, n_measurements=1, log_evidence=None,
    )  # fmt: skip


def decision(version: int, champion: int | None, condition: GateCondition = MET) -> GateDecision:
    return GateDecision(
        dataset="avana",
        candidate=fit(version),
        champion=None if champion is None else fit(champion),
        champion_version="" if champion is None else str(champion),
        settings=GateSettings(),
        conditions=(condition,),
    )


def champion() -> int:
    found = champion_of("avana")
    return 0 if found is None else int(found.version)


def test_a_champion_knows_the_one_before(client):
    assert champion() == 0 and champion_of("nothing of that name") is None
    move_champion(decision(1, None), registered_version("avana", run_of(1)))
    move_champion(decision(3, 1), registered_version("avana", run_of(3)))
    assert champion() == 3
    tags = {int(v.version): v.tags for v in client.search_model_versions("name = 'avana'")}
    assert tags[1] == {"previous_champion": "none"} and tags[3] == {"previous_champion": "1"}
    move_champion(decision(1, 3), "1")  # and back
    assert champion() == 1


def test_only_what_passed_becomes_champion(client):
    with pytest.raises(ValueError, match="refused: verdict"):
        move_champion(decision(1, None, NOT_MET), "1")
    assert champion() == 0


def test_a_champion_that_another_moved_meanwhile_stays(client):
    stale = [decision(3, None), decision(3, 1)]
    move_champion(decision(2, None), "2")
    for one in stale:
        with pytest.raises(ChampionMoved, match="promote again"):
            move_champion(one, "3")
    assert champion() == 2


def test_a_fit_without_a_version_is_named(client):
    with pytest.raises(NotRegistered, match="999"):
        registered_version("avana", run_of(9))


def test_a_champion_without_a_fit_is_named(client):
    move_champion(decision(2, None), "2")
    found = champion_of("avana")
    assert found is not None
    with pytest.raises(NoSuchFit, match="the champion of avana, version 2, has no fit"):
        read_champion(found)


def test_promotions_at_once_go_one_after_the_other(client):
    begin = threading.Barrier(4)

    def promote(version: int) -> None:
        begin.wait()
        with one_promotion_at_a_time("avana"):
            seen = champion()
            time.sleep(0.2)  # held against it
            move_champion(decision(version, seen or None), str(version))

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(promote, range(1, 5)))
    before = {
        int(v.version): v.tags["previous_champion"]
        for v in client.search_model_versions("name = 'avana'")
    }
    chain, at = [], str(champion())
    while at != "none":
        chain.append(at)
        at = before[int(at)]
    assert sorted(chain) == ["1", "2", "3", "4"]


def test_who_waits_too_long_is_told(client, monkeypatch):
    monkeypatch.setattr("tasks.promotion.LONGEST_PROMOTION", 0.1)
    with (
        one_promotion_at_a_time("avana"),
        pytest.raises(StillPromoting, match=r"mlflow.db.champion.lock"),
        one_promotion_at_a_time("avana"),
    ):
        pass


def test_the_challenger_is_the_newest_whoever_comes_between(client):
    class Slow(MlflowClient):
        """Another fit is registered while this one moves the alias."""

        def set_registered_model_alias(self, name: str, alias: str, version: str) -> None:
            if version == "4":
                client.create_model_version(name, "s3://bucket/model", run_of(5))
                client.set_registered_model_alias(name, alias, "5")
            super().set_registered_model_alias(name, alias, version)

    move_challenger(Slow(client.tracking_uri), "avana")
    assert client.get_model_version_by_alias("avana", "challenger").version in (5, "5")
