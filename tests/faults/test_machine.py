"""Machines that are set up otherwise: clock, limits, homes, locales, terminals, cores."""

from __future__ import annotations

import resource
from pathlib import Path

import pytest

from deployments.exit_codes import DONE, TROUBLE, VERDICT_FAIL
from tests.faults.catalogue import Area, Left, fault
from tests.faults.commands import Command

pytestmark = [pytest.mark.integration, pytest.mark.slow]


@fault(
    Area.MACHINE,
    "few files may be open",
    made="RLIMIT_NOFILE of 40",
    code=VERDICT_FAIL,
    told=("Tracked as run",),
    left=Left.WHOLE,
)
def test_few_open_files(begun: Command, screen: Path) -> None:
    limits = {resource.RLIMIT_NOFILE: 40}
    begun.end(begun.begin("fit", screen, "--draws", "100", limits=limits))


TERMINALS = (
    ("a terminal that is 40 columns wide", "COLUMNS=40", {"COLUMNS": "40"}),
    ("a terminal that can do nothing", "TERM=dumb, NO_COLOR", {"TERM": "dumb", "NO_COLOR": "1"}),
    ("a time zone that is none", "TZ=Nowhere/Land", {"TZ": "Nowhere/Land"}),
)


@pytest.mark.parametrize(
    "environment",
    [
        pytest.param(
            environment,
            marks=fault(
                Area.MACHINE,
                what,
                made=made,
                code=DONE,
                told=("valid",),
                left="validation.json",
            ),
            id=what,
        )
        for what, made, environment in TERMINALS
    ],
)
def test_terminals(begun: Command, screen: Path, environment: dict[str, str]) -> None:
    done = begun("validate", screen, **environment)
    assert "\x1b[" not in done.out
    assert (begun.folder / "validation.json").exists()


@fault(
    Area.MACHINE,
    "what is printed goes to a full disk",
    made="stdout to /dev/full",
    code=TROUBLE,
    told=("No space left on device", "make room there"),
    left="no validation.json",
)
def test_a_full_standard_output(begun: Command, screen: Path) -> None:
    begun.standard_output = "/dev/full"
    begun("validate", screen)
    assert not (begun.folder / "validation.json").exists()


@fault(
    Area.MACHINE,
    "what is printed goes nowhere",
    made="stdout closed",
    code=DONE,
    left="validation.json",
)
def test_a_closed_standard_output(begun: Command, screen: Path) -> None:
    begun.standard_output = ""
    begun("validate", screen)
    assert (begun.folder / "validation.json").exists()
