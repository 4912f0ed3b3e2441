"""What stands at the end of a fit on a terminal."""

from __future__ import annotations

from rich.text import Text

from deployments.terminal import verdict_lines
from schemas.reports import Verdict
from tests.tasks.fits import convergence_of


def test_the_verdict_says_how_it_was_computed_before_it_gives_its_reasons():
    verdict = Verdict(status="review", reasons=("[3] draws diverged",), remarks=("Guides differ.",))
    lines = [Text.from_markup(line).plain for line in verdict_lines(verdict, convergence_of())]
    assert lines[0] == "Verdict: review"
    assert lines[1].strip().startswith("nuts: largest R-hat 1.004")
    assert lines[2:] == ["  because [3] draws diverged", "  note Guides differ."]
