"""Settings and options that cannot be used: nothing of them is begun."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from deployments.exit_codes import TROUBLE
from tests.faults.catalogue import Area, Left, fault
from tests.faults.commands import InThisProcess
from tests.faults.texts import LAUGHS, NAMED, bad

SETTINGS: tuple[tuple[str, str, tuple[str, ...]], ...] = (
    (
        "an unknown setting",
        "sampling: {drawz: 100}",
        ("there is no such setting; did you mean draws?",),
    ),
    (
        "a setting of the wrong type",
        "sampling: {draws: many}",
        ("--draws: should be a valid integer",),
    ),
    ("draws without end", "sampling: {draws: 1000000000000}", ("less than or equal to 1000000",)),
    (
        "a negative number of draws",
        "sampling: {draws: -5}",
        ("greater than or equal to 50, got -5",),
    ),
    ("infinitely many draws", "sampling: {draws: .inf}", ("--draws: should be a finite number",)),
    (
        "a limit that is no number",
        "preparation: {min_rna_sd: .nan}",
        ("min_rna_sd: should be", "nan"),
    ),
    (
        "an infinite limit of logFC",
        "contract: {max_abs_logfc: .inf}",
        ("max_abs_logfc: should be a finite",),
    ),
    (
        "a prior in parts",
        "priors: {mu_beta: {family: Normal, arguments: [0, .inf]}}",
        ("expected Normal(mean, sd)",),
    ),
    (
        "a section that is a number",
        "sampling: 3",
        ("sampling: expected `name: value` lines, got 3",),
    ),
    ("a list for settings", "- a", ("expected `name: value` lines in",)),
    ("settings that are not YAML", "'x", ("expected YAML, got on line 1",)),
    (
        "settings that would run code",
        "a: !!python/name:os.system",
        ("could not determine a constructor",),
    ),
    ("settings that unpack to gigabytes", LAUGHS, (NAMED,)),
    ("a setting written twice", "seed: 1\nseed: 2", ("the key 'seed' twice",)),
    ("settings without end of brackets", "[" * 5000, ("levels",)),
    ("a prior with a negative SD", "priors: {mu_beta: 'Normal(0, -1)'}", ("the last above zero",)),
    (
        "a prior that is code",
        "priors: {mu_beta: \"__import__('os')\"}",
        ("priors.mu_beta: expected Normal",),
    ),
    (
        "a prior of a family that is not there",
        "priors: {mu_beta: 'Cauchy(0, 1)'}",
        ("expected Normal(mean, sd)",),
    ),
    (
        "a prior on both sides of zero for an SD",
        "priors: {sigma: 'Normal(0, 1)'}",
        ("a standard deviation takes",),
    ),
    ("a prior of no number", "priors: {mu_beta: 'Normal(nan, 1)'}", ("expected finite numbers",)),
    ("a model that is not there", "model: m5", ("'m4', 'm4_zero_mean' or 'm4_nested', got 'm5'",)),
    ("genes of no name", "filters: {genes: ['']}", ("filters.genes.0",)),
    ("a seed below zero", "seed: -1", ("--seed: should be greater than or equal to 0",)),
)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(
            text,
            marks=bad(what, f"`--parameters` with `{text[:60].splitlines()[0]}`", *told),
            id=what,
        )
        for what, text, told in SETTINGS
    ],
)
def test_settings_that_cannot_be_used(text: str, screen: Path, at_once: InThisProcess) -> None:
    (at_once.folder / "settings.yaml").write_text(text)
    at_once("validate", screen, "--parameters", at_once.folder / "settings.yaml")


def a_binary(path: Path) -> None:
    path.write_bytes(b"\xff\xfe\0")


@pytest.mark.parametrize(
    "make",
    [
        pytest.param(make, marks=bad(f"{what} for settings", made, *told), id=what)
        for what, made, make, told in (
            ("a folder", "mkdir settings.yaml", Path.mkdir, ("settings.yaml is none",)),
            ("a pipe", "mkfifo settings.yaml", os.mkfifo, ("settings.yaml is none",)),
            ("nothing", "no such file", lambda path: None, ("No such file",)),
            ("a binary", "bytes of no text", a_binary, ("expected text in UTF-8",)),
        )
    ],
)
def test_a_settings_file_that_is_none(
    make: Callable[[Path], object], screen: Path, at_once: InThisProcess
) -> None:
    make(at_once.folder / "settings.yaml")
    assert at_once("validate", screen, "--parameters", "settings.yaml").seconds < 20


@bad("a file for a folder to export into", "`export --out` with a file", "is a file; name another")
def test_an_export_into_a_file(at_once: InThisProcess) -> None:
    (at_once.folder / "file").write_text("mine")
    at_once("export", "latest", "--out", "file")


@bad(
    "a folder that holds something, to export into",
    "`export --out` with a folder of mine",
    "expected an empty folder",
    "holds mine.txt",
)
def test_an_export_over_something(at_once: InThisProcess) -> None:
    (at_once.folder / "folder").mkdir()
    (at_once.folder / "folder" / "mine.txt").write_text("mine")
    at_once("export", "latest", "--out", "folder")


@bad(
    "a folder that holds something, to simulate into",
    "`simulate --out` with a folder of mine",
    "expected an empty folder",
    "holds mine.txt",
)
def test_a_simulation_over_something(at_once: InThisProcess) -> None:
    (at_once.folder / "folder").mkdir()
    (at_once.folder / "folder" / "mine.txt").write_text("mine")
    at_once("simulate", "--out", "folder")


@fault(
    Area.SETTINGS,
    "a folder below a file, for the report of a validation",
    made="`validate --out file/folder`",
    code=TROUBLE,
    told=("Not a directory", "check the path"),
    left=Left.AS_BEFORE,
)
def test_a_report_below_a_file(screen: Path, at_once: InThisProcess) -> None:
    (at_once.folder / "file").write_text("mine")
    at_once("validate", screen, "--out", "file/folder")
