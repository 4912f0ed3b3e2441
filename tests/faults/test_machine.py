"""Machines that are set up otherwise: clock, limits, homes, locales, terminals, cores."""

from __future__ import annotations

import os
import resource
from pathlib import Path

import pytest

from deployments.exit_codes import DONE, TROUBLE, VERDICT_FAIL
from tests.faults.catalogue import Area, Left, fault
from tests.faults.commands import Command
from tests.integration.runs import artifact, runs_in

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


@fault(
    Area.MACHINE,
    "one core instead of all",
    made="the affinity of the process, and the same fit on every core",
    code=VERDICT_FAIL,
    told=("Tracked as run",),
    left="two whole runs with equal effects, to the last digit",
)
def test_one_core(begun: Command, screen: Path) -> None:
    begun("fit", screen, "--draws", "100")
    process = begun.begin("fit", screen, "--draws", "100")
    os.sched_setaffinity(process.pid, {min(os.sched_getaffinity(0))})
    begun.end(process)
    on_one, on_all = (artifact(run, "gene_effects.csv") for run in runs_in(begun.folder))
    assert on_one.read_bytes() == on_all.read_bytes()


@fault(
    Area.MACHINE,
    "two fits begin at once where there is nothing yet",
    made="two commands in one empty folder",
    code=VERDICT_FAIL,
    told=("Tracked as run",),
    left="two whole runs in one store",
)
def test_two_at_once(begun: Command, screen: Path) -> None:
    other = type(begun)(begun.fault, begun.folder)
    other.environment = dict(begun.environment)
    processes = [one.begin("fit", screen, "--draws", "100") for one in (begun, other)]
    for one, process in zip((begun, other), processes, strict=True):
        one.end(process)
    assert [run.info.status for run in runs_in(begun.folder)] == ["FINISHED"] * 2


GENE = "β-catenin"
SURROUNDINGS = (
    # what happens, how it is made, a gene as it is shown, the variables
    ("no home", "HOME of a folder that is not there", GENE, {"HOME": "/no/such/home"}),
    (
        "a locale of ASCII alone",
        "LC_ALL=C, and Python told to keep to it",
        r"\u03b2-catenin",
        {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
    ),
    ("no compiler, and no other program", "PATH of no folder that is", GENE, {"PATH": "/none"}),
)


@pytest.mark.parametrize(
    "variables",
    [
        pytest.param(
            variables,
            marks=fault(
                Area.MACHINE,
                what,
                made=made,
                code=VERDICT_FAIL,
                told=("Tracked as run", shown),
                left=Left.WHOLE,
            ),
            id=what,
        )
        for what, made, shown, variables in SURROUNDINGS
    ],
)
def test_surroundings(command: Command, screen: Path, variables: dict[str, str]) -> None:
    table = screen.parent / "simulated_screen.csv"
    table.write_text(table.read_text(encoding="utf-8").replace("geneA", GENE), encoding="utf-8")
    command.environment |= variables
    # What compiles is a sampler; all else is tried quicker without.
    engine = ("--engine", "nuts") if "PATH" in variables else ()
    command("fit", screen, "--draws", "100", *engine)
