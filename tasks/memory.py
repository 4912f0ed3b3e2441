"""What memory this process may still take, and whether what is to come fits into it.

How much that is, is `model.memory`.
"""

from __future__ import annotations

import resource
from collections.abc import Iterator
from pathlib import Path

from model.memory import in_words
from schemas.errors import MEMORY_MENDS, EnvironmentTrouble

CERTAIN = 0.7
"""Share of an expected need that is surely needed: an estimate a third too high refuses nothing
that would have worked."""

_PROC = Path("/proc")
_CGROUP = Path("/sys/fs/cgroup")


class NotEnoughMemory(EnvironmentTrouble):
    """A machine too small for what is to be computed on it."""


def require_memory(needed: float, what: str) -> None:
    """Raise NotEnoughMemory where so many bytes are surely more than this process can get.

    `what` is what they are for, in words: `the fit`. Nothing is asked where the machine does not
    say what it has.
    """
    available = available_bytes()
    if available is not None and needed * CERTAIN > available:
        raise NotEnoughMemory(
            f"memory: {what} is expected to need about {in_words(needed)} more, this process can "
            f"get {in_words(available)}; {MEMORY_MENDS}"
        )


def available_bytes() -> int | None:
    """Return the bytes this process may still take; None where the machine does not say.

    The least of what the machine has (memory and swap), what its control group leaves, and what
    the limit of its address space leaves.
    """
    return min(
        (*_of_machine(), *_of_group("memory.max", "memory.current"), *_of_group_v1(), *_of_limit()),
        default=None,
    )


def _fields(path: Path) -> dict[str, int]:
    """Return the numbers of a file of lines `name: number kB`, bytes."""
    try:
        lines = path.read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        return {}
    pairs = (line.split()[:2] for line in lines if len(line.split()) > 2)
    return {name.rstrip(":"): 1024 * int(number) for name, number in pairs if number.isdecimal()}


def _of_machine() -> Iterator[int]:
    found = _fields(_PROC / "meminfo")
    if "MemAvailable" in found:
        yield found["MemAvailable"] + found.get("SwapFree", 0)


def _number(path: Path) -> int | None:
    try:
        text = path.read_text(encoding="ascii").strip()
    except OSError:
        return None
    return int(text) if text.isdecimal() else None  # "max": no limit


def _places(controller: str) -> Iterator[Path]:
    """Return the folders of this process's control group, its own and those it is in."""
    try:
        lines = (_PROC / "self/cgroup").read_text(encoding="utf-8").splitlines()
    except OSError:
        return
    for line in lines:
        _, names, path = line.split(":", 2)
        if controller in names.split(",") or (not controller and not names):
            root = _CGROUP / controller if controller else _CGROUP
            # In a container the path is of the host, and the group is mounted as the root.
            inside = root / path.lstrip("/")
            yield from (place for place in (inside, *inside.parents) if place.is_relative_to(root))


def _of_group(limit: str, used: str, controller: str = "") -> Iterator[int]:
    for place in _places(controller):
        most, now = _number(place / limit), _number(place / used)
        if most is not None and now is not None:
            yield max(0, most - now + _reclaimable(place))


def _of_group_v1() -> Iterator[int]:
    yield from _of_group("memory.limit_in_bytes", "memory.usage_in_bytes", "memory")


def _reclaimable(place: Path) -> int:
    """Return what of a group's memory are files kept for speed, given up when asked for."""
    try:
        lines = (place / "memory.stat").read_text(encoding="ascii").splitlines()
    except OSError:
        return 0
    found = dict(line.split()[:2] for line in lines)
    return sum(int(found.get(name, 0)) for name in ("inactive_file", "active_file"))


def _of_limit() -> Iterator[int]:
    most, _ = resource.getrlimit(resource.RLIMIT_AS)
    taken = _fields(_PROC / "self/status").get("VmSize")
    if most != resource.RLIM_INFINITY and taken is not None:
        yield max(0, most - taken)
