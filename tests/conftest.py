"""Fixtures every folder of tests shares."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from deployments.environment import prepare_environment
from schemas.dataset import Dataset

prepare_environment()


@pytest.fixture(scope="session")
def shared() -> Path:
    """Folder with the real sample and the published tables; skip where there is none."""
    beside = Path(__file__).resolve().parents[2] / "shared"
    folder = Path(os.environ.get("SCREENBAYES_SHARED", beside))
    if not folder.is_dir():
        pytest.skip(f"no shared data at {folder}: set SCREENBAYES_SHARED to the folder that has it")
    return folder


@pytest.fixture(scope="session")
def avana(shared: Path) -> Dataset:
    """The real sample as a dataset, without its control genes."""
    folder = shared / "data" / "avana_sample"
    return Dataset(
        name="avana",
        release="sample",
        library="Avana",
        logfc=str(folder / "AvanaLogfoldChange.csv.gz"),
        guide_map=str(folder / "AvanaGuideMap.csv"),
        sequence_map=str(folder / "ScreenSequenceMap.csv"),
        rna=str(folder / "OmicsExpressionProteinCodingGenesTPMLogp1.csv"),
    )
