"""Disks that are full, read-only, short of inodes, or gone while a command runs."""

import resource
import shutil

import pytest

from tests.faults.catalogue import Area, Left, marks, variants
from tests.faults.commands import QUICK, kept_in
from tests.faults.disks import fill, full_disk, read_only, small_disk

pytestmark = [pytest.mark.integration]

NOTHING = "no file at all"
RELEASE = "simulate --genes 200 --cell-lines 60 --out"


done, _, trouble = marks(Area.DISK)
# fmt: off
TOO_SMALL = (
    (trouble("a release or export does not fit",
             "No space left on device", "make room there", left=NOTHING), (
        (1000, 100, f"{RELEASE} DISK/out"), (1000, 100, "export RUN --out DISK/out"))),
    (trouble("no inodes left", "No space left on device", "make room there", left=NOTHING), (
        (8000, 4, f"{RELEASE} DISK/out"),)),
    (done("an export to another disk than `TMPDIR`", "posterior.nc", left="a complete export"), (
        (8000, 100, "export RUN --out DISK/out"),)),
)
FOLDERS = (
    (trouble("no room for MLflow's store",
             "mlflow.db", "disk", left="nothing in MLflow"), ((full_disk, False),)),
    (trouble("a read-only working folder",
             "mlflow.db", "MLFLOW_TRACKING_URI"), ((read_only, False), (read_only, True))),
)
# fmt: on


@pytest.mark.parametrize(("kilobytes", "inodes", "words", "told"), variants(TOO_SMALL, 3))
def test_what_is_written_is_whole_or_not_there(
    kilobytes, inodes, words, told, stored_run, tmp_path, command
):
    store, run = stored_run
    with small_disk(tmp_path / "disk", kilobytes, inodes) as disk:
        words = words.replace("RUN", run).replace("DISK", str(disk))
        ended = command(*words.split(), MLFLOW_TRACKING_URI=f"sqlite:///{store}")
        written = sorted(path.name for path in disk.rglob("*"))
    assert written == ([] if ended.code else ["out", "posterior.nc", "run.json"])
    assert "MLFLOW_TRACKING_URI" not in ended.err  # it is not the store that is full


@trouble("a limit on file size", "File too large")
def test_a_limit_on_the_size_of_files(command):
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, before[1]))
    try:
        command(*RELEASE.split(), "release", told=("ulimit -f",))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@trouble("an export into a read-only folder", "Read-only file system")
def test_an_export_into_a_read_only_folder(stored_run, command):
    store, run = stored_run
    with read_only(command.folder):
        name_another = ("choose a writable location",)
        uri = f"sqlite:///{store}"
        command("export", run, "--out", "out", told=name_another, MLFLOW_TRACKING_URI=uri)


@trouble("no room for validation.json",
    "No space left on device", left="the earlier validation.json, if any")  # fmt: skip
@pytest.mark.parametrize("before", [None, "of before"])
def test_a_full_disk_for_the_report_of_validation(before, tmp_path, screen, command):
    with small_disk(tmp_path / "disk", 1000) as disk:
        report = disk / "validation.json"
        if before is not None:
            report.write_text(before)
        fill(disk)
        command("validate", screen, "--out", disk, told=("validation.json", "make room there"))
        assert (report.read_text() if report.exists() else None) == before
        assert len(list(disk.iterdir())) == 1 + (before is not None)


@pytest.mark.parametrize(("mount", "there", "told"), variants(FOLDERS, 2))
def test_a_working_folder_that_cannot_be_used(
    mount, there, told, stored_run, prefect_server, screen, command, monkeypatch
):
    if there:
        shutil.copy(stored_run[0], command.folder)
    with mount(command.folder):
        monkeypatch.chdir(command.folder)
        command("fit", screen, *QUICK, told=told)
        files = {path.name for path in command.folder.rglob("*") if path.stat().st_size}
        monkeypatch.chdir("/")
    assert files <= {"filling", "mlflow.db"} and there == ("mlflow.db" in files)


@pytest.mark.slow
@trouble("the disk fills up while artifacts are stored",
    "No space left on device", "the results are kept in",
    left=Left.FAILED)  # fmt: skip
def test_a_disk_that_fills_up(screen, forked):
    with small_disk(forked.folder, 2000):
        shutil.rmtree(kept_in(forked("fit", screen, *QUICK)))


@pytest.mark.slow
@trouble("`TMPDIR` fills up", "TMPDIR", left=Left.FAILED)
def test_a_full_disk_for_temporary_files(tmp_path, screen, forked):
    with small_disk(tmp_path / "disk", 500) as disk:
        full = ("No space left on device",)
        forked("fit", screen, *QUICK, told=full, TMPDIR=str(disk))


@pytest.mark.slow
@trouble("the working folder is removed during a fit", "the results are kept in", "mlflow.db",
    left="the results, at the location printed")  # fmt: skip
def test_a_working_folder_that_is_removed(screen, forked):
    process = forked.begin("fit", screen, *QUICK)
    forked.wait_for(process, "Verdict")
    shutil.rmtree(forked.folder)
    shutil.rmtree(kept_in(forked.end(process)))
