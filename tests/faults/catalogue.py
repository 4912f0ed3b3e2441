"""The faults that the tests make, and the lists of them in docs/faults.md.

A test carries its fault as a mark: one fault for each class, however many variants are tried.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

import pytest

from deployments.cli import exit_codes
from deployments.cli.exit_codes import BAD_INPUT, DONE, SERVICE_ERROR

PAGE = Path(__file__).resolve().parents[2] / "docs" / "faults.md"
BEGIN = "<!-- generated from the tests by: python -m tests.faults -->"
CODES = {
    code: f"exit code {code} ({name.lower().replace('_', ' ')})"
    for name, code in vars(exit_codes).items()
    if name.isupper() and name != "REFUSED"
}


class Area(StrEnum):
    """Where the fault is; the sections of the page, in this order."""

    BUCKET = "Bucket"
    DISK = "Disk and folders"
    FILES = "Files and names"
    SETTINGS = "Dataset files, settings, options"
    SERVERS = "Prefect, MLflow and their databases"
    PROCESSES = "Interrupted and killed"
    MACHINE = "Memory, clock, cores"
    UNATTENDED = "Deployments"
    EXPORTS = "Runs, exports, names"


class Left(StrEnum):
    """What is there after the fault; `tests.faults.commands` checks each."""

    NO_RUN = "no run in MLflow"
    FAILED = "a FAILED run with the reason"
    KILLED = "a KILLED run with the reason"
    WHOLE = "a complete FINISHED run"
    AS_BEFORE = "nothing changed"


@dataclass(frozen=True)
class Fault:
    """One class of faults, and what it has to lead to."""

    area: Area
    what: str
    left: Left | str
    """A sentence where none of `Left` fits: the test itself checks it."""
    code: int | None = None
    """Exit code of the command; None where a library call or a deployed flow meets the fault."""
    told: tuple[str, ...] = ()
    """Words that each message holds."""


def fault(area: Area, what: str, **others: Any) -> pytest.MarkDecorator:
    return pytest.mark.fault(Fault(area, what, **others))


def marks(area: Area) -> list[Callable[..., pytest.MarkDecorator]]:
    """Return the marks of faults of an area that end well, as bad input, and as trouble."""

    def ending(usual_code: int, usual: Left) -> Callable[..., pytest.MarkDecorator]:
        def mark(what: str, *told: str, left: str = usual, code: int = usual_code):
            return fault(area, what, left=left, code=code, told=told)

        return mark

    ends = ((DONE, Left.NO_RUN), (BAD_INPUT, Left.NO_RUN), (SERVICE_ERROR, Left.AS_BEFORE))
    return [ending(*end) for end in ends]


Classes = Iterable[tuple[pytest.MarkDecorator, Iterable[tuple[Any, ...]]]]


def variants(classes: Classes, n: int = 1) -> list[Any]:
    """Return the parameters of a test: `n` arguments of a variant; the others are words told."""
    return [
        pytest.param(*one[:n], one[n:], marks=mark, id=f"{mark.args[0].what} {number}")
        for mark, ones in classes
        for number, one in enumerate(ones, 1)
    ]


def made_by(items: Iterable[pytest.Item]) -> list[Fault]:
    """Return the faults that tests make, each once, in the order of the tests."""
    marks = (mark for item in items for mark in item.iter_markers("fault"))
    return list(dict.fromkeys(mark.args[0] for mark in marks))


def page(faults: Iterable[Fault]) -> str:
    """Return docs/faults.md with lists of these faults; what is above the lists stays."""
    text = [PAGE.read_text(encoding="utf-8").partition(BEGIN)[0] + BEGIN, ""]
    by_area: dict[str, dict[int | None, list[Fault]]] = {area: {} for area in Area}
    for one in faults:
        by_area[one.area].setdefault(one.code, []).append(one)
    for area, by_code in by_area.items():
        text += [f"## {area}", ""]
        for code in sorted(by_code, key=lambda code: (code is None, code or 0)):
            text += [*_listed(code, by_code[code]), ""]
    return "\n".join(text)


def _listed(code: int | None, faults: list[Fault]) -> Iterator[str]:
    """Yield the list of faults of one exit code; its heading has what is common to them."""
    ((left, times),) = Counter(str(one.left) for one in faults).most_common(1)
    told = faults[0].told if len({one.told for one in faults}) == 1 else ()
    common = [CODES[code]] if code is not None else []
    if shared := len(faults) > 1 and times > 1:
        common.append(left)
    if told and len(faults) > 1:
        common.append(_quoted(told))
    if common:
        heading = ", ".join(common)
        yield f"{heading[0].upper()}{heading[1:]}:\n"
    by_end: dict[str, list[str]] = {}
    for one in faults:
        words = f": {_quoted(one.told)}" if one.told and not (told and len(faults) > 1) else ""
        after = "" if shared and one.left == left else f" → {one.left}"
        by_end.setdefault(f"{words}{after}", []).append(one.what)
    for end, failures in by_end.items():
        yield from [f"- {'; '.join(failures)}{end}"] if end else [f"- {one}" for one in failures]


def _quoted(told: Iterable[str]) -> str:
    return ", ".join(f"`{words}`" for words in told)
