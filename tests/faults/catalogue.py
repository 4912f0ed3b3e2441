"""The faults that the tests make, and the tables of docs/faults.md that list them.

A test carries its fault as a mark: one fault for each class, however many variants are tried.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

import pytest

from deployments import exit_codes
from deployments.exit_codes import BAD_INPUT, DONE, TROUBLE
from tasks.markdown import markdown_row

PAGE = Path(__file__).resolve().parents[2] / "docs" / "faults.md"
BEGIN = "<!-- from the tests; written anew by: python -m tests.faults -->"
HEAD = "| what happens | how the test makes it | exit code | the message has | what is left |"
CODES = {
    code: f"{code} {name.lower().replace('_', ' ')}"
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
    UNATTENDED = "Deployed, with nobody watching"
    EXPORTS = "What is written for others"


class Left(StrEnum):
    """What is there after the fault; `tests.faults.commands` checks each."""

    NO_RUN = "no run in MLflow"
    FAILED = "a run set FAILED, with the reason"
    KILLED = "a run set KILLED, with the reason"
    WHOLE = "a whole run, FINISHED"
    AS_BEFORE = "everything as it was"


@dataclass(frozen=True)
class Fault:
    """One class of faults, how the tests make it, and what it has to lead to."""

    area: Area
    what: str
    made: str
    left: Left | str
    """A sentence where none of `Left` fits: the test itself checks it."""
    code: int | None = None
    """Exit code of the command; None where a library call or a deployed flow meets the fault."""
    told: tuple[str, ...] = ()
    """Words that each message holds."""


def fault(area: Area, what: str, **others: Any) -> pytest.MarkDecorator:
    """Mark a test as making this fault."""
    return pytest.mark.fault(Fault(area, what, **others))


def marks(area: Area) -> list[Callable[..., pytest.MarkDecorator]]:
    """Return the marks of faults of an area that end well, as bad input, and as trouble."""

    def ending(usual_code: int, usual: Left) -> Callable[..., pytest.MarkDecorator]:
        def mark(what: str, made: str, *told: str, left: str = usual, code: int = usual_code):
            return fault(area, what, made=made, left=left, code=code, told=told)

        return mark

    ends = ((DONE, Left.NO_RUN), (BAD_INPUT, Left.NO_RUN), (TROUBLE, Left.AS_BEFORE))
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
    """Return docs/faults.md with tables of these faults; what is above the tables stays."""
    text = [PAGE.read_text(encoding="utf-8").partition(BEGIN)[0] + BEGIN, ""]
    rows: dict[str, list[str]] = {area: [] for area in Area}
    for one in faults:
        words = ", ".join(f"`{told}`" for told in one.told)
        cells = (one.what, one.made, CODES.get(one.code, ""), words, str(one.left))
        rows[one.area].append(markdown_row(cells))
    for area in Area:
        text += [f"## {area}", "", HEAD, "|---|---|---|---|---|", *rows[area], ""]
    return "\n".join(text)
