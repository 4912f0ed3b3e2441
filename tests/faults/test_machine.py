"""Machines that are set up otherwise: memory, clock, limits, homes, locales, terminals, cores."""

import os
import resource
import shutil
import struct
import subprocess
import time
from pathlib import Path

import psutil
import pytest

from deployments.cli.exit_codes import DONE, SERVICE_ERROR, VERDICT_FAIL
from tests.faults.catalogue import Area, Classes, Left, fault, variants
from tests.faults.commands import QUICK, OwnProcess
from tests.integration.processes import PATIENCE
from tests.integration.runs import artifact, runs_in

pytestmark = [pytest.mark.integration, pytest.mark.slow]


def machine(what: str, *told: str, code=VERDICT_FAIL, left: Left | str = Left.WHOLE):
    return fault(Area.MACHINE, what, code=code, told=told, left=left)


FITTED = "Tracked as run"


@machine("a limit of 40 open files", FITTED)
def test_few_open_files(forked, screen):
    forked.end(forked.begin("fit", screen, *QUICK, limit=(resource.RLIMIT_NOFILE, 40)))


POOR = {"COLUMNS": "40", "TERM": "dumb", "NO_COLOR": "1", "TZ": "Nowhere/Land"}
# fmt: off
OUTPUTS: Classes = (
    (machine("a narrow terminal without colours",
             "is valid", code=DONE, left="validation.json"), (("", POOR),)),
    (machine("closed standard output", code=DONE, left="validation.json"), (
        (None, {}),)),
    (machine("standard output on a full disk", "No space left on",
             "make room there", code=SERVICE_ERROR, left=Left.AS_BEFORE), (("/dev/full", {}),)),
)
# fmt: on


@pytest.mark.parametrize(("out", "environment", "told"), variants(OUTPUTS, 2))
def test_an_output_that_is_poor_or_none(out, environment, told, forked, screen):
    code = forked.end(forked.begin("validate", screen, "--out", ".", out=out, **environment)).code
    assert (forked.folder / "validation.json").exists() == (code == DONE)


@machine("two fits start together in an empty folder",
    FITTED, left="two complete runs in one store")  # fmt: skip
@machine("one core", FITTED, left="the same effects as on all cores, to the last digit")
def test_two_at_once_one_of_them_on_one_core(forked, screen, api):
    other = OwnProcess(forked.fault, forked.folder, api=api)
    other.files = [file.with_suffix(".other") for file in other.files]
    first, second = (one.begin("fit", screen, *QUICK) for one in (forked, other))
    os.sched_setaffinity(second.pid, {min(os.sched_getaffinity(0))})
    forked.end(first)
    other.end(second)
    runs = runs_in(forked.folder)
    assert [run.info.status for run in runs] == ["FINISHED"] * 2
    one, two = (artifact(run, "gene_effects.csv").read_bytes() for run in runs)
    assert one == two


@machine("no home, and an ASCII locale", FITTED, r"\u03b2-catenin")
def test_a_bare_account(fresh, screen):
    with_beta(screen)
    bare = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "HOME": "/no/such/home"}
    fresh("fit", screen, *QUICK, **bare)


@machine("no compiler", FITTED, "β-catenin")
def test_no_program(fresh, screen, api):
    with_beta(screen)
    # What would compile is a sampler.
    fresh("fit", screen, *QUICK, "--engine", "nuts", PATH="/none", PREFECT_API_URL=api)


def with_beta(screen: Path) -> None:
    table = screen.parent / "simulated_screen.csv"
    text = table.read_text(encoding="utf-8").replace("geneA", "β-catenin")
    table.write_text(text, encoding="utf-8")


@machine("memory runs out during a fit", "memory: there was not enough",
    "fewer draws", code=SERVICE_ERROR, left=Left.FAILED)  # fmt: skip
def test_memory_that_is_gone(forked, screen):
    process = forked.begin("fit", screen, "--model", "m4", "--draws", "100000")
    forked.wait_for_run(process)
    running = psutil.Process(process.pid)
    # Threads still start; the draws want 270 MB.
    running.rlimit(psutil.RLIMIT_AS, (running.memory_info().vms + 100_000_000,) * 2)
    forked.end(process)


YEARS = 20 * 365 * 86400


@machine("the clock is set during a fit", FITTED, left="a FINISHED run with its true duration")
@pytest.mark.parametrize(("before", "after"), [(-YEARS, 0), (0, -3600)])
def test_a_clock_that_is_set(before, after, fresh, screen, tmp_path):
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("no C compiler for a clock that can be set")
    library, shift = tmp_path / "clock.so", tmp_path / "shift"
    source = Path(__file__).with_name("clock.c")
    subprocess.run([compiler, "-shared", "-fPIC", "-o", library, source, "-ldl"], check=True)
    shift.write_bytes(struct.pack("q", before))
    started = time.monotonic()
    clock = {"LD_PRELOAD": str(library), "CLOCK_SHIFT": str(shift)}
    process = fresh.begin("fit", screen, *QUICK, **clock)
    fresh.wait_for_run(process)
    with shift.open("r+b") as file:
        file.write(struct.pack("q", after))
    fresh.end(process)
    (run,) = runs_in(fresh.folder)
    assert run.info.status == "FINISHED"
    assert abs(run.info.start_time / 1000 - before - time.time()) < PATIENCE
    assert abs(run.info.end_time / 1000 - after - time.time()) < PATIENCE
    stages = [value for name, value in run.data.metrics.items() if "seconds" in name]
    assert stages and all(0 <= value <= time.monotonic() - started for value in stages), stages
