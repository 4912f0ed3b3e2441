"""The memory that this process can get, and refusal of what surely does not fit."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tasks import memory
from tasks.memory import NotEnoughMemory, available_bytes, require_memory

HAS = 8_000_000 * 1024
LIMITED = """
import resource
from tasks.memory import available_bytes, require_memory
taken = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (taken + 200_000_000, resource.RLIM_INFINITY))
assert 0 < available_bytes() <= 200_000_000, available_bytes()
require_memory(200_000_000, "the fit")
require_memory(400_000_000, "the fit")
"""


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """Function that adds files to those of a machine with 8 GB, no group and no limit."""

    def add(files):
        for name, text in files.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)

    add({"proc/meminfo": "MemTotal: 9000000 kB\nMemAvailable: 8000000 kB\nHugePages: 0\n"})
    add({"proc/self/cgroup": "0::/user/fit\n"})
    monkeypatch.setattr(memory, "_PROC", tmp_path / "proc")
    monkeypatch.setattr(memory, "_CGROUP", tmp_path / "cgroup")
    return add


def test_a_real_limit_of_the_address_space_refuses():
    done = subprocess.run([sys.executable, "-c", LIMITED], capture_output=True, text=True)
    assert "NotEnoughMemory: memory: the fit is expected to need about 400 MB more" in done.stderr
    assert "fewer draws" in done.stderr


def group(place):
    return {
        f"{place}/memory.max": "3000000\n",
        f"{place}/memory.current": "2500000\n",
        f"{place}/memory.stat": "anon 5\nactive_file 100000\ninactive_file 200000\n",
    }


@pytest.mark.parametrize(
    ("files", "available"),
    [
        ({}, HAS),
        ({"proc/meminfo": "MemAvailable: 8000000 kB\nSwapFree: 1000 kB\n"}, HAS + 1_024_000),
        (group("cgroup/user/fit"), 800_000),
        (group("cgroup/user"), 800_000),
        (group("cgroup"), 800_000),
        (group("elsewhere"), HAS),
        ({"cgroup/memory.max": "max\n", "cgroup/memory.current": "5\n"}, HAS),
        (
            {
                "proc/self/cgroup": "4:memory:/elsewhere\n",
                "cgroup/memory/memory.limit_in_bytes": "700\n",
                "cgroup/memory/memory.usage_in_bytes": "100\n",
            },
            600,
        ),
        ({"proc/meminfo": ""}, None),
    ],
)
def test_the_least_of_machine_and_control_groups_is_available(machine, files, available):
    machine(files)
    assert available_bytes() == available


def test_only_what_surely_does_not_fit_is_refused(machine):
    require_memory(1.33 * HAS, "the fit")  # an estimate a third too high
    with pytest.raises(NotEnoughMemory, match=r"about 12\.3 GB more, this process can get 8\.2 GB"):
        require_memory(1.5 * HAS, "the fit")
    machine({"proc/meminfo": ""})
    require_memory(1e18, "the fit")
