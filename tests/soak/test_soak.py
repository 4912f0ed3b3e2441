"""Scheduled refreshes with random faults between and in them: `make soak`, and a short one."""

from __future__ import annotations

import os
import sys
from datetime import timedelta
from pathlib import Path

import pytest

from tests.soak.drive import Plan, plan_of_environment, soaked
from tests.soak.growth import growing, slopes
from tests.soak.report import samples_of, write_report

pytestmark = [pytest.mark.integration]


def tell(text: str) -> None:
    """To the terminal at once: pytest would show it at the end, and only of what failed."""
    sys.stderr.write(f"{text}\n")


@pytest.mark.soak
def test_a_short_soak(tmp_path: Path) -> None:
    kinds = (
        "a fit killed",
        "the worker killed with all it runs",
        "the bucket cutting connections",
        "a spoiled release, mended later",
        "Prefect killed",
    )
    found = soaked(Plan(12, 8, 103, timedelta(seconds=16), kinds), tmp_path / "stack", tell)
    tell(write_report(found, tmp_path / "report"))
    assert len({made.kind for made in found.made}) >= 4
    assert found.failures == []


@pytest.mark.soak
def test_the_soak(tmp_path: Path) -> None:
    plan = plan_of_environment()
    folder = Path(os.environ.get("SOAK_FOLDER") or tmp_path / "report")
    found = soaked(plan, tmp_path / "stack", tell)
    tell(write_report(found, folder))
    tell(f"samples and picture: {folder}")
    assert found.failures == []
    assert growing(slopes(samples_of(found), plan.refreshes)) == []
