"""Memory available to this process, and a check that a computation fits into it."""

from __future__ import annotations

import resource
from collections.abc import Iterator
from pathlib import Path

from model.engines.memory import format_bytes
from schemas.errors import MEMORY_REMEDIES, ExternalServiceError

CERTAIN_SHARE = 0.7
"""Share of an estimate that is surely needed: estimates may be a third too high."""

_PROC = Path("/proc")
_CGROUP = Path("/sys/fs/cgroup")


class NotEnoughMemory(ExternalServiceError):
    """The computation needs more memory than is available."""


def require_memory(needed: float, what: str) -> None:
    """Raise NotEnoughMemory if this process surely cannot get `needed` bytes.

    `what` names the computation in the message, such as `the fit`. Passes if the available memory
    is unknown.
    """
    available = available_bytes()
    if available is not None and needed * CERTAIN_SHARE > available:
        raise NotEnoughMemory(
            f"memory: {what} is expected to need about {format_bytes(needed)} more, this process "
            f"can get {format_bytes(available)}; {MEMORY_REMEDIES}"
        )


def available_bytes() -> int | None:
    """Return the bytes this process can still allocate; None if unknown.

    The minimum of free memory and swap of the machine, of the limits of its control groups, and of
    the limit of its address space.
    """
    return min(
        (
            *_machine_bytes(),
            *_cgroup_bytes("memory.max", "memory.current"),
            *_cgroup_v1_bytes(),
            *_address_space_bytes(),
        ),
        default=None,
    )


def _fields(path: Path) -> dict[str, int]:
    """Return the numbers, in bytes, of a file with lines `name: number kB`."""
    try:
        lines = path.read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        return {}
    pairs = (line.split()[:2] for line in lines if len(line.split()) > 2)
    return {name.rstrip(":"): 1024 * int(number) for name, number in pairs if number.isdecimal()}


def _machine_bytes() -> Iterator[int]:
    found = _fields(_PROC / "meminfo")
    if "MemAvailable" in found:
        yield found["MemAvailable"] + found.get("SwapFree", 0)


def _number(path: Path) -> int | None:
    try:
        text = path.read_text(encoding="ascii").strip()
    except OSError:
        return None
    return int(text) if text.isdecimal() else None  # "max": no limit


def _cgroup_folders(controller: str) -> Iterator[Path]:
    """Yield the folders of this process's control group and of its parents."""
    try:
        lines = (_PROC / "self/cgroup").read_text(encoding="utf-8").splitlines()
    except OSError:
        return
    for line in lines:
        _, names, path = line.split(":", 2)
        if controller in names.split(",") or (not controller and not names):
            root = _CGROUP / controller if controller else _CGROUP
            # In a container the path is that of the host, and the group is mounted as the root.
            inside = root / path.lstrip("/")
            yield from (place for place in (inside, *inside.parents) if place.is_relative_to(root))


def _cgroup_bytes(limit: str, used: str, controller: str = "") -> Iterator[int]:
    for place in _cgroup_folders(controller):
        most, now = _number(place / limit), _number(place / used)
        if most is not None and now is not None:
            yield max(0, most - now + _reclaimable(place))


def _cgroup_v1_bytes() -> Iterator[int]:
    yield from _cgroup_bytes("memory.limit_in_bytes", "memory.usage_in_bytes", "memory")


def _reclaimable(place: Path) -> int:
    """Return the bytes of a group that are file cache, which the kernel can reclaim."""
    try:
        lines = (place / "memory.stat").read_text(encoding="ascii").splitlines()
    except OSError:
        return 0
    found = dict(line.split()[:2] for line in lines)
    return sum(int(found.get(name, 0)) for name in ("inactive_file", "active_file"))


def _address_space_bytes() -> Iterator[int]:
    most, _ = resource.getrlimit(resource.RLIMIT_AS)
    taken = _fields(_PROC / "self/status").get("VmSize")
    if most != resource.RLIM_INFINITY and taken is not None:
        yield max(0, most - taken)
