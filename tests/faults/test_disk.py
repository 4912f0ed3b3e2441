"""Disks that are full, read-only, short of inodes, or gone while a command runs."""

from __future__ import annotations

import resource
import shutil
from pathlib import Path

import pytest

from deployments.exit_codes import BAD_INPUT, DONE, TROUBLE
from tests.faults.catalogue import Area, Left, fault
from tests.faults.commands import Command, kept_in
from tests.faults.disks import SmallDisk, fill, read_only

pytestmark = [pytest.mark.integration, pytest.mark.slow]


def on_the_disk(begun: Command, disk: Path) -> None:
    """Have the command run in a folder of its own on that disk."""
    begun.folder = disk / "work"
    begun.folder.mkdir()


@fault(
    Area.DISK,
    "the disk is full before MLflow's store is made",
    made="a working folder on a tmpfs without a byte left",
    code=TROUBLE,
    told=("mlflow.db", "disk"),
    left="nothing in MLflow; with room made, the same command works",
)
def test_a_full_disk_without_a_store(begun: Command, small_disk: SmallDisk, screen: Path) -> None:
    disk = small_disk(8)
    on_the_disk(begun, disk)
    fill(disk)
    begun("fit", screen, "--draws", "100")
    assert not any(path.is_file() and path.stat().st_size for path in begun.folder.rglob("*"))


@fault(
    Area.DISK,
    "the disk fills up while the artifacts are stored",
    made="mlruns on a tmpfs of 2 MB",
    code=TROUBLE,
    told=("No space left on device", "the results are kept in"),
    left=Left.FAILED,
)
def test_a_disk_that_fills_up_with_artifacts(
    begun: Command, small_disk: SmallDisk, screen: Path
) -> None:
    disk = small_disk(2)
    (begun.folder / "mlruns").symlink_to(disk)
    shutil.rmtree(kept_in(begun("fit", screen, "--draws", "100")))


@fault(
    Area.DISK,
    "the disk of store and artifacts fills up while the artifacts are stored",
    made="a working folder on a tmpfs of 3 MB",
    code=TROUBLE,
    told=("No space left on device", "the results are kept in"),
    left=Left.FAILED,
)
def test_a_disk_that_fills_up_with_store_and_artifacts(
    begun: Command, small_disk: SmallDisk, screen: Path
) -> None:
    on_the_disk(begun, small_disk(3))
    shutil.rmtree(kept_in(begun("fit", screen, "--draws", "100")))


@fault(
    Area.DISK,
    "the disk for temporary files fills up",
    made="TMPDIR on a tmpfs of 1 MB",
    code=TROUBLE,
    told=("No space left on device", "TMPDIR"),
    left=Left.FAILED,
)
def test_a_full_disk_for_temporary_files(
    begun: Command, small_disk: SmallDisk, screen: Path
) -> None:
    disk = small_disk(1)
    begun("fit", screen, "--draws", "100", TMPDIR=str(disk))


@fault(
    Area.DISK,
    "a simulated release does not fit on the disk",
    made="a tmpfs of 1 MB",
    code=TROUBLE,
    told=("No space left on device", "make room there"),
    left="no file at all",
)
def test_a_simulation_that_does_not_fit(begun: Command, small_disk: SmallDisk) -> None:
    disk = small_disk(1)
    begun("simulate", "--out", disk / "release", "--genes", "200", "--cell-lines", "60")
    assert not list(disk.rglob("*"))


@fault(
    Area.DISK,
    "a disk without inodes",
    made="a tmpfs of four inodes, and a release of seven files",
    code=TROUBLE,
    told=("No space left on device", "make room there"),
    left="no file at all",
)
def test_a_disk_without_inodes(begun: Command, small_disk: SmallDisk) -> None:
    disk = small_disk(8, inodes=4)
    begun("simulate", "--out", disk / "release")
    assert not list(disk.rglob("*"))


@fault(
    Area.DISK,
    "files may not be as large as a table",
    made="RLIMIT_FSIZE of 100 kB",
    code=TROUBLE,
    told=("File too large", "ulimit -f"),
    left=Left.AS_BEFORE,
)
def test_a_limit_on_the_size_of_files(begun: Command) -> None:
    limits = {resource.RLIMIT_FSIZE: 100_000}
    begun.end(begun.begin("simulate", "--out", "release", "--genes", "200", limits=limits))


@fault(
    Area.DISK,
    "an export does not fit on the disk",
    made="a run of 3 MB, a tmpfs of 1 MB",
    code=TROUBLE,
    told=("No space left on device", "make room there"),
    left="no file at all",
)
def test_an_export_that_does_not_fit(
    begun: Command, small_disk: SmallDisk, stored_run: tuple[str, str]
) -> None:
    store, run = stored_run
    disk = small_disk(1)
    done = begun("export", run, "--out", disk / "export", MLFLOW_TRACKING_URI=store)
    assert "MLFLOW_TRACKING_URI" not in done.err  # it is not the store that is full
    assert not list(disk.rglob("*"))


@fault(
    Area.DISK,
    "an export to another disk than that of temporary files",
    made="--out on a tmpfs",
    code=DONE,
    told=("posterior.nc",),
    left="the export, whole",
)
def test_an_export_to_another_disk(
    begun: Command, small_disk: SmallDisk, stored_run: tuple[str, str]
) -> None:
    store, run = stored_run
    disk = small_disk(8)
    (disk / "export").mkdir()
    begun("export", run, "--out", disk / "export", MLFLOW_TRACKING_URI=store)
    assert sorted(path.name for path in disk.rglob("*.*")) == [
        "gene_effects.csv",
        "posterior.nc",
        "run.json",
    ]


@fault(
    Area.DISK,
    "an export into a folder nobody may write to",
    made="--out in a folder mounted read-only",
    code=TROUBLE,
    told=("Read-only file system", "name a place that may be written to"),
    left=Left.AS_BEFORE,
)
def test_an_export_into_a_read_only_folder(begun: Command, stored_run: tuple[str, str]) -> None:
    store, run = stored_run
    with read_only(begun.folder):
        begun("export", run, "--out", "export", MLFLOW_TRACKING_URI=store)


@fault(
    Area.DISK,
    "the disk is full when validation.json is written",
    made="--out on a tmpfs without a byte left",
    code=TROUBLE,
    told=("validation.json", "No space left on device", "make room there"),
    left="no validation.json, or the one of before, whole",
)
@pytest.mark.parametrize("before", [None, "of before"])
def test_a_full_disk_for_the_report_of_validation(
    begun: Command, small_disk: SmallDisk, screen: Path, before: str | None
) -> None:
    disk = small_disk(1)
    report = disk / "validation.json"
    if before is not None:
        report.write_text(before)
    fill(disk)
    begun("validate", screen, "--out", disk)
    assert (report.read_text() if report.exists() else None) == before
    assert len(list(disk.iterdir())) == 1 + (before is not None)


@fault(
    Area.DISK,
    "a file where a folder should be",
    made="--out names a file",
    code=BAD_INPUT,
    told=("expected a folder", "is a file"),
    left=Left.AS_BEFORE,
)
@pytest.mark.parametrize("words", ["validate", "simulate", "export", "calibrate"])
def test_a_file_where_a_folder_should_be(
    begun: Command, screen: Path, stored_run: tuple[str, str], words: str
) -> None:
    (begun.folder / "out").write_text("mine")
    arguments: dict[str, list[str | Path]] = {"validate": [screen], "export": [stored_run[1]]}
    begun(words, *arguments.get(words, []), "--out", "out", MLFLOW_TRACKING_URI=stored_run[0])


@fault(
    Area.DISK,
    "a working folder that nobody may write to",
    made="a folder mounted read-only",
    code=TROUBLE,
    told=("mlflow.db", "MLFLOW_TRACKING_URI"),
    left=Left.AS_BEFORE,
)
def test_a_read_only_working_folder(begun: Command, screen: Path) -> None:
    with read_only(begun.folder):
        begun("fit", screen, "--draws", "100")


@fault(
    Area.DISK,
    "MLflow's store may be read and not written",
    made="a store of before in a folder mounted read-only",
    code=TROUBLE,
    told=("mlflow.db", "MLFLOW_TRACKING_URI"),
    left=Left.AS_BEFORE,
)
def test_a_read_only_store(begun: Command, screen: Path, stored_run: tuple[str, str]) -> None:
    path = Path(stored_run[0].removeprefix("sqlite:///"))
    shutil.copy(path, begun.folder)
    with read_only(begun.folder):
        begun("fit", screen, "--draws", "100")


@fault(
    Area.DISK,
    "the working folder is removed during the fit",
    made="rm -r while it is at work",
    code=TROUBLE,
    told=("the results are kept in", "mlflow.db"),
    left="the results, where the message says",
)
def test_a_working_folder_that_is_removed(begun: Command, screen: Path) -> None:
    process = begun.begin("fit", screen, "--draws", "100")
    begun.wait_for(process, "Verdict")
    shutil.rmtree(begun.folder)
    shutil.rmtree(kept_in(begun.end(process)))
