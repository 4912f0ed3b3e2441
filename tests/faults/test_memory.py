"""Memory: less than a fit will need, and none when it is needed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from deployments.exit_codes import TROUBLE
from tests.faults.catalogue import Area, Left, fault
from tests.faults.commands import Command

pytestmark = [pytest.mark.integration, pytest.mark.slow]

GROUPS = (
    # where control groups of memory are, and the name of their limit: version 1, version 2
    (Path("/sys/fs/cgroup/memory"), "memory.limit_in_bytes"),
    (Path("/sys/fs/cgroup"), "memory.max"),
)


@pytest.fixture
def control_group() -> Iterator[Callable[[int, int], None]]:
    """Put a process into a control group of so many MB; skips where none can be made."""
    made: list[Path] = []

    def put(pid: int, megabytes: int) -> None:
        for root, limit in GROUPS:
            group = root / f"screenbayes-test-{pid}"
            try:
                group.mkdir()
                made.append(group)
                (group / limit).write_text(str(megabytes * 1_000_000))
                (group / "cgroup.procs").write_text(str(pid))
            except OSError:
                continue
            return
        pytest.skip("no control group of memory can be made here")

    yield put
    for group in made:
        group.rmdir()


@fault(
    Area.MACHINE,
    "a container has less memory than the fit will need",
    made="a control group of 1 GB, 4 chains of 1,000,000 draws",
    code=TROUBLE,
    told=(
        "memory: the fit is expected to need about",
        "this process can get",
        "fewer draws",
    ),
    left=Left.NO_RUN,
)
def test_a_container_that_is_too_small(
    begun: Command, screen: Path, control_group: Callable[[int, int], None]
) -> None:
    process = begun.begin("fit", screen, "--draws", "1000000")
    control_group(process.pid, 1000)
    begun.end(process)


@fault(
    Area.MACHINE,
    "the memory is gone in the middle of a fit",
    made="RLIMIT_AS set to what the process has, once its run is open",
    code=TROUBLE,
    told=("memory: there was not enough", "fewer draws"),
    left=Left.FAILED,
)
def test_memory_that_is_gone(begun: Command, screen: Path) -> None:
    process = begun.begin("fit", screen, "--draws", "100000")
    begun.wait_for_run(process)
    running = psutil.Process(process.pid)
    running.rlimit(psutil.RLIMIT_AS, (running.memory_info().vms,) * 2)
    begun.end(process)
