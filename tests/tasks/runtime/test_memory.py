"""The memory that this process can get, and refusal of what surely does not fit."""

import pytest

from tasks.runtime import memory
from tasks.runtime.memory import NotEnoughMemory, available_bytes, require_memory

HAS = 8_000_000 * 1024
OLDER = {
    "proc/self/cgroup": "4:memory:/elsewhere\n",
    "cgroup/memory/memory.limit_in_bytes": "700\n",
    "cgroup/memory/memory.usage_in_bytes": "100\n",
}


def group(place):
    stat = "anon 5\nactive_file 100000\ninactive_file 200000\n"
    files = {"max": "3000000\n", "current": "2500000\n", "stat": stat}
    return {f"{place}/memory.{name}": text for name, text in files.items()}


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


@pytest.mark.parametrize(
    ("files", "available"),
    [
        ({"proc/meminfo": "MemAvailable: 8000000 kB\nSwapFree: 1000 kB\n"}, HAS + 1_024_000),
        (group("cgroup/user/fit"), 800_000),
        (group("cgroup"), 800_000),
        ({"cgroup/memory.max": "max\n", "cgroup/memory.current": "5\n"}, HAS),
        (OLDER, 600),
        ({"proc/meminfo": ""}, None),
    ],
)
def test_the_least_of_machine_and_control_groups_is_available(machine, files, available):
    machine(files)
    assert available_bytes() == available


def test_the_limit_of_the_address_space_leaves_what_is_not_taken(machine, monkeypatch):
    machine({"proc/self/status": "Name: python\nVmSize: 1000 kB\n"})
    monkeypatch.setattr(memory.resource, "getrlimit", lambda kind: (5_000_000, -1))
    assert available_bytes() == 5_000_000 - 1000 * 1024


def test_only_what_surely_does_not_fit_is_refused(machine):
    require_memory(1.33 * HAS, "the fit")  # an estimate a third too high
    expected = r"the fit is .* about 12\.3 GB more, this process can get 8\.2 GB; .*fewer draws"
    with pytest.raises(NotEnoughMemory, match=expected):
        require_memory(1.5 * HAS, "the fit")
    machine({"proc/meminfo": ""})
    require_memory(1e18, "the fit")
