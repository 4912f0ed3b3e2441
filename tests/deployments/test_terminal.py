"""What stands at the end of a fit on a terminal."""

from __future__ import annotations

import io

import numpy as np
from rich.console import Console
from rich.text import Text

from deployments.command_line import _told_kindly
from deployments.exit_codes import TROUBLE
from deployments.terminal import verdict_lines
from schemas.reports import Verdict
from tests.tasks.fits import convergence_of


def test_the_verdict_says_how_it_was_computed_before_it_gives_its_reasons():
    verdict = Verdict(status="review", reasons=("[3] draws diverged",), remarks=("Guides differ.",))
    lines = [Text.from_markup(line).plain for line in verdict_lines(verdict, convergence_of())]
    assert lines[0] == "Verdict: review"
    assert lines[1].strip().startswith("nuts: largest R-hat 1.004")
    assert lines[2:] == ["  because [3] draws diverged", "  note Guides differ."]


def test_memory_that_ran_out_is_told_with_the_mend():
    console = Console(file=io.StringIO(), width=500)
    with _told_kindly(console) as codes:
        np.empty(1 << 60, dtype=np.uint8)  # more than any machine has
    said = console.file.getvalue()
    assert codes[-1] == TROUBLE
    assert "there was not enough" in said and "--draws" in said and "Traceback" not in said
