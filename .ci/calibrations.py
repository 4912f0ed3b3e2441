"""The calibrations that come with the package: `make calibrations` writes those out of date.

Each is what `screenbayes calibrate --model M` gives by default, with the code and the libraries by
which it was computed (`model.simulation.packaged_calibration`). One that does not pass is not
written.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import get_args

from model.engines.run import first_engine
from model.simulation.packaged_calibration import (
    FOLDER,
    package_calibration,
    packaged_evidence,
    source_digests,
)
from schemas.calibration import CalibrationReport
from schemas.parameters import FitParameters, ModelName

ROOT = Path(__file__).resolve().parents[1]


def main() -> None:
    """Calibrate every model whose packaged calibration does not count for its default fit."""
    for model in get_args(ModelName):
        engine = first_engine(FitParameters(model=model))
        why = packaged_evidence(model, engine, {})
        if not isinstance(why, str):
            sys.stdout.write(f"calibrations: {model} is up to date\n")
            continue
        sys.stdout.write(f"calibrations: {model}: {why}\n")
        before = source_digests(engine)
        packaged = package_calibration(calibrated(model))
        if packaged.sources != before:
            raise SystemExit(
                f"calibrations: {model} by {engine}: expected the same code before and after, got "
                "another engine or changed code; run it again"
            )
        FOLDER.mkdir(exist_ok=True)
        path = FOLDER / f"{model}.json"
        path.write_text(packaged.model_dump_json(indent=1) + "\n", encoding="utf-8")
        sys.stdout.write(f"calibrations: written {path.relative_to(ROOT)}\n")


def calibrated(model: ModelName) -> CalibrationReport:
    """Return the report of `screenbayes calibrate`, run in a store of its own; exit unless pass."""
    with TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "deployments.cli.app", "calibrate", "--model", model]
        done = subprocess.run(
            [*command, "--out", folder],
            cwd=folder,
            stdout=subprocess.DEVNULL,  # a page that ends with where the store was
            env=os.environ
            | {"PYTHONPATH": str(ROOT), "MLFLOW_TRACKING_URI": f"sqlite:///{folder}/mlflow.db"},
        )
        file = Path(folder, "calibration.json")
        if not file.is_file():
            raise SystemExit(f"calibrations: {model} ended with exit code {done.returncode}")
        report = CalibrationReport.model_validate_json(file.read_bytes())
    if report.verdict.status != "pass":
        raise SystemExit(
            f"calibrations: {model}: expected pass, got {report.verdict.status}: "
            + "; ".join(report.verdict.reasons)
        )
    return report


if __name__ == "__main__":
    main()
