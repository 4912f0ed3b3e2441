"""Aliases of a registered model: the versions they stand for, and safety when several move them."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from mlflow import MlflowClient

from schemas.comparison import FitSummary
from schemas.promotion import GateCondition, GateDecision, GateSettings
from tasks.tracking import registry
from tasks.tracking.promotion import one_promotion_at_a_time
from tests.tasks.reports.test_markdown_pages import COMPARISON


@pytest.fixture
def client(working_folder, monkeypatch):
    """A store with the registered model `avana`: versions 1 to 4 of the runs 1111..., 2222..."""
    monkeypatch.setattr("tasks.tracking.promotion.server_is_shared", lambda: False)
    client = MlflowClient()
    client.create_registered_model("avana")
    for number in range(1, 5):
        client.create_model_version("avana", "s3://bucket/model", run_of(number))
    return client


def run_of(version: int) -> str:
    return str(version) * 32


def fit(version: int) -> FitSummary:
    return COMPARISON.a.model_copy(update={"run_id": run_of(version)})


def promote(version: int, champion: int | None, *, met: bool = True) -> None:
    """Move the champion after a decision against the one it was then."""
    decision = GateDecision(
        dataset="avana",
        candidate=fit(version),
        champion=None if champion is None else fit(champion),
        champion_version="" if champion is None else str(champion),
        settings=GateSettings(),
        conditions=(GateCondition(name="verdict", met=met, detail=""),),
    )
    registry.move_champion(decision, registry.registered_version("avana", run_of(version)))


def champion() -> int | None:
    found = registry.champion_of("avana")
    return None if found is None else int(found.version)


def test_only_what_passed_and_was_compared_with_the_present_champion_becomes_champion(client):
    with pytest.raises(ValueError, match="refused: verdict"):
        promote(1, None, met=False)
    assert champion() is None
    promote(2, None)
    for stale in (None, 1):
        with pytest.raises(registry.ChampionMoved, match="promote again"):
            promote(3, stale)
    assert champion() == 2


def test_promotions_at_once_go_one_after_the_other(client):
    begin = threading.Barrier(4)

    def compare_and_promote(version: int) -> None:
        begin.wait()
        with one_promotion_at_a_time("avana"):
            seen = champion()
            time.sleep(0.05)  # the comparison
            promote(version, seen)

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(compare_and_promote, range(1, 5)))
    versions = client.search_model_versions("name = 'avana'")
    before = {str(one.version): one.tags["previous_champion"] for one in versions}
    assert set(before) == {"1", "2", "3", "4"}
    assert {*before.values(), str(champion())} == {"none", *before}  # each took the place of one


def test_the_challenger_is_the_newest_whoever_comes_between(client):
    class Slow(MlflowClient):
        """Another fit is registered while this one moves the alias."""

        def set_registered_model_alias(self, name: str, alias: str, version: str) -> None:
            if version == "4":
                client.create_model_version(name, "s3://bucket/model", run_of(5))
                client.set_registered_model_alias(name, alias, "5")
            super().set_registered_model_alias(name, alias, version)

    registry.move_challenger(Slow(client.tracking_uri), "avana")
    assert int(client.get_model_version_by_alias("avana", "challenger").version) == 5
