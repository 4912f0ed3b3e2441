"""A clock that is set while a fit is running, or was never set."""

from __future__ import annotations

import shutil
import struct
import subprocess
import time
from pathlib import Path

import pytest

from deployments.exit_codes import VERDICT_FAIL
from tests.faults.catalogue import Area, Left, fault
from tests.faults.commands import Command
from tests.integration.processes import PATIENCE
from tests.integration.runs import runs_in

pytestmark = [pytest.mark.integration, pytest.mark.slow]

HOUR, DAY, YEARS = 3600, 86400, 20 * 365 * 86400


class Clock:
    """The clock of a command and of all it starts, to be set."""

    def __init__(self, folder: Path, command: Command) -> None:
        compiler = shutil.which("cc")
        if compiler is None:
            pytest.skip("no C compiler for a clock that can be set")
        library, self._shift = folder / "clock.so", folder / "shift"
        source = Path(__file__).with_name("clock.c")
        build = [compiler, "-shared", "-fPIC", "-O1", "-o", str(library), str(source), "-ldl"]
        subprocess.run(build, check=True)
        self.set_by(0)
        command.environment |= {"LD_PRELOAD": str(library), "CLOCK_SHIFT": str(self._shift)}

    def set_by(self, seconds: int) -> None:
        """Set it to so many seconds after, or before, the time of this machine."""
        with self._shift.open("r+b" if self._shift.exists() else "wb") as file:
            file.write(struct.pack("q", seconds))


@pytest.fixture
def clock(command: Command, tmp_path: Path) -> Clock:
    return Clock(tmp_path, command)


@pytest.mark.parametrize(
    "seconds",
    [
        pytest.param(
            seconds,
            marks=fault(
                Area.MACHINE,
                f"the clock is set {what} while a fit is running",
                made="the clock of all its processes, by a preloaded library, once its run is open",
                code=VERDICT_FAIL,
                told=("Tracked as run",),
                left="a whole run, FINISHED, its times of the stages as they were",
            ),
            id=what,
        )
        for what, seconds in (("back by an hour", -HOUR), ("ahead by a day", DAY))
    ],
)
def test_a_clock_that_is_set(command: Command, screen: Path, clock: Clock, seconds: int) -> None:
    process = command.begin("fit", screen, "--draws", "100")
    command.wait_for_run(process)
    clock.set_by(seconds)
    done = command.end(process)
    (run,) = runs_in(command.folder)
    assert run.info.status == "FINISHED"
    assert abs((run.info.end_time - run.info.start_time) / 1000 - seconds) < PATIENCE
    stages = {name: value for name, value in run.data.metrics.items() if "seconds" in name}
    assert stages and all(0 <= value <= done.seconds for value in stages.values()), stages


@fault(
    Area.MACHINE,
    "the clock was never set",
    made="the clock of all its processes, by a preloaded library, twenty years behind",
    code=VERDICT_FAIL,
    told=("Tracked as run",),
    left=Left.WHOLE,
)
def test_a_clock_that_was_never_set(command: Command, screen: Path, clock: Clock) -> None:
    clock.set_by(-YEARS)
    command("fit", screen, "--draws", "100")
    (run,) = runs_in(command.folder)
    assert run.info.start_time / 1000 < time.time() - YEARS + DAY
