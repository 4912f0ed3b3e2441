"""What this process may still take, and refusal of what surely does not fit."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tasks import memory
from tasks.memory import NotEnoughMemory, available_bytes, require_memory

LIMITED = """
import resource, sys
from tasks.memory import available_bytes, require_memory
taken = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (taken + 200_000_000, resource.RLIM_INFINITY))
assert 0 < available_bytes() <= 200_000_000, available_bytes()
require_memory(200_000_000, "the fit")
try:
    require_memory(400_000_000, "the fit")
except Exception as error:
    sys.exit(f"{type(error).__name__}: {error}")
"""


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """A machine of files: 8 GB to be had, no group, no limit."""
    proc, groups = tmp_path / "proc", tmp_path / "cgroup"
    (proc / "self").mkdir(parents=True)
    groups.mkdir()
    (proc / "meminfo").write_text("MemTotal: 9000000 kB\nMemAvailable: 8000000 kB\nHugePages: 0\n")
    (proc / "self" / "cgroup").write_text("0::/user/fit\n")
    monkeypatch.setattr(memory, "_PROC", proc)
    monkeypatch.setattr(memory, "_CGROUP", groups)
    return proc, groups


def test_a_real_limit_of_the_address_space_refuses():
    done = subprocess.run([sys.executable, "-c", LIMITED], capture_output=True, text=True)
    assert "NotEnoughMemory: memory: the fit is expected to need about 400 MB more" in done.stderr
    assert "fewer draws" in done.stderr


def test_the_machine_says_what_it_has(machine):
    assert available_bytes() == 8_000_000 * 1024


def test_swap_is_memory_too(machine):
    with (machine[0] / "meminfo").open("a") as file:
        file.write("SwapFree: 1000 kB\n")
    assert available_bytes() == 8_001_000 * 1024


@pytest.mark.parametrize("place", ["user/fit", "user", ""])
def test_a_control_group_says_less(machine, place):
    folder = machine[1] / place
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "memory.max").write_text("3000000\n")
    (folder / "memory.current").write_text("2500000\n")
    (folder / "memory.stat").write_text("anon 5\nactive_file 100000\ninactive_file 200000\n")
    assert available_bytes() == 800_000


def test_a_control_group_of_the_older_kind(machine):
    (machine[0] / "self" / "cgroup").write_text("4:memory:/elsewhere\n")
    (machine[1] / "memory").mkdir()
    (machine[1] / "memory" / "memory.limit_in_bytes").write_text("700\n")
    (machine[1] / "memory" / "memory.usage_in_bytes").write_text("100\n")
    assert available_bytes() == 600


def test_a_group_without_a_limit_says_nothing(machine):
    (machine[1] / "memory.max").write_text("max\n")
    (machine[1] / "memory.current").write_text("5\n")
    assert available_bytes() == 8_000_000 * 1024


def test_a_machine_that_does_not_say_refuses_nothing(machine):
    (machine[0] / "meminfo").unlink()
    assert available_bytes() is None
    require_memory(1e18, "the fit")


def test_an_estimate_a_third_too_high_refuses_nothing(machine):
    has = 8_000_000 * 1024
    require_memory(1.33 * has, "the fit")
    with pytest.raises(NotEnoughMemory, match=r"about 12\.3 GB more, this process can get 8\.2 GB"):
        require_memory(1.5 * has, "the fit")
