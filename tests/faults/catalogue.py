"""What a fault is to the tests, and the table of all of them that docs/faults.md shows.

A test that makes a fault carries it as a mark, and holds what happens against it: the table says
what the tests have seen. How commands are held against their fault is `tests.faults.commands`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import pytest

from deployments.exit_codes import (
    BAD_INPUT,
    DONE,
    HUNG_UP,
    INTERRUPTED,
    NOT_READ,
    TERMINATED,
    TROUBLE,
    VERDICT_FAIL,
)
from tasks.markdown import markdown_row

PAGE = Path(__file__).resolve().parents[2] / "docs" / "faults.md"
BEGIN = "<!-- from the tests; written anew by: python -m tests.faults -->"

HEAD = "| what happens | how the test makes it | exit code | the message has | what is left |"
WORDS_OF_CODES = {
    DONE: "0 done",
    BAD_INPUT: "2 bad input",
    TROUBLE: "3 trouble",
    INTERRUPTED: "130 interrupted",
    TERMINATED: "143 terminated",
    HUNG_UP: "129 hung up",
    NOT_READ: "141 not read to the end",
    VERDICT_FAIL: "1 verdict fail",
    -9: "killed",
    None: "",
}


class Area(StrEnum):
    """The part of the surroundings a fault is of; the sections of the page, in this order."""

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
    """What is there after the fault. `tests.faults.commands` looks for each."""

    NO_RUN = "no run in MLflow"
    FAILED = "a run set FAILED, with the reason"
    KILLED = "a run set KILLED, with the reason"
    WHOLE = "a whole run, FINISHED"
    AS_BEFORE = "everything as it was"


@dataclass(frozen=True)
class Fault:
    """One fault: how the test makes it, and what has to come of it."""

    area: Area
    what: str
    """What happens, in the reader's words."""
    made: str
    """How the test really makes it."""
    code: int | None
    """Exit code of the command; None where a library call or a deployed flow meets the fault."""
    told: tuple[str, ...]
    """Words that the message must hold."""
    left: Left | str
    """What is there afterwards. A sentence where none of `Left` fits: the test looks itself."""

    @property
    def row(self) -> str:
        """The fault as a row of the table."""
        told = ", ".join(f"`{words}`" for words in self.told)
        return markdown_row((self.what, self.made, WORDS_OF_CODES[self.code], told, str(self.left)))


def fault(
    area: Area,
    what: str,
    *,
    made: str,
    left: Left | str,
    code: int | None = None,
    told: tuple[str, ...] = (),
) -> pytest.MarkDecorator:
    """Mark a test, or one of its parameters, as making this fault."""
    return pytest.mark.fault(Fault(area, what, made, code, told, left))


def tables(faults: Iterable[Fault]) -> str:
    """Return the faults as Markdown: a section an area, a row a fault."""
    unique = list(dict.fromkeys(faults))
    text = []
    for area in Area:
        rows = [one.row for one in unique if one.area is area]
        if rows:
            text += [f"## {area}", "", HEAD, "|---|---|---|---|---|", *rows, ""]
    return "\n".join(text)


def made_by(items: Iterable[pytest.Item]) -> list[Fault]:
    """Return the faults that tests make, in the order of the tests."""
    marks = (item.get_closest_marker("fault") for item in items)
    return [mark.args[0] for mark in marks if mark is not None]


def page(faults: Iterable[Fault]) -> str:
    """Return docs/faults.md with its tables made of these faults; what stands above them stays."""
    above = PAGE.read_text(encoding="utf-8").partition(BEGIN)[0]
    return f"{above}{BEGIN}\n\n{tables(faults)}"
