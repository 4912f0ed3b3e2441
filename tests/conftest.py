"""Fixtures every folder of tests shares."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from deployments.environment import prepare_environment

prepare_environment()


@pytest.fixture(scope="session")
def shared() -> Path:
    """Folder with the real sample and the published tables; skip where there is none."""
    beside = Path(__file__).resolve().parents[2] / "shared"
    folder = Path(os.environ.get("SCREENBAYES_SHARED", beside))
    if not folder.is_dir():
        pytest.skip(f"no shared data at {folder}: set SCREENBAYES_SHARED to the folder that has it")
    return folder
