"""Fixtures every folder of tests shares."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

os.environ.setdefault("PREFECT_SERVER_ANALYTICS_ENABLED", "false")
os.environ.setdefault("DO_NOT_TRACK", "true")
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")


@pytest.fixture(scope="session")
def shared() -> Path:
    """Folder with the real sample and the published tables; skip where there is none."""
    beside = Path(__file__).resolve().parents[2] / "shared"
    folder = Path(os.environ.get("SCREENBAYES_SHARED", beside))
    if not folder.is_dir():
        pytest.skip(f"no shared data at {folder}: set SCREENBAYES_SHARED to the folder that has it")
    return folder
