"""Writes into the pages what the code says: settings, rules, columns, metrics, command line.

A page has the places marked, `<!-- generated: NAME -->` to `<!-- end -->`; what stands between is
written anew by `make reference`, and a test fails where it is not what the code says. Everything
else in a page is written by hand.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import chain
from pathlib import Path

from pydantic import BaseModel

from deployments.command_line import app
from deployments.environment import VARIABLES
from model.checks import QUANTITIES
from schemas.columns import COMPARISON_TABLES, TABLES, Columns
from schemas.findings import Rule
from schemas.parameters import Distribution, FitParameters, Settings
from schemas.tracked import CALIBRATION_METRICS, COMPARISON_METRICS, FIT_METRICS, TAGS, Metric
from tasks.markdown import markdown_row

ROOT = Path(__file__).resolve().parents[1]
RULES = ("tables", "rna_rules", "logfc_rules", "rules", "coverage_rules")
"""Modules of rules; a rule that several import is told where it comes first."""
PLACE = re.compile(r"(<!-- generated: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)


def table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """Return a table in Markdown."""
    head = list(head)
    return "\n".join([markdown_row(head), f"|{'---|' * len(head)}", *map(markdown_row, rows)])


def settings(model: type[BaseModel] = FitParameters, prefix: str = "") -> Iterator[list[str]]:
    """Yield every setting of a fit, its default and its text."""
    for name, field in model.model_fields.items():
        value = field.default
        if isinstance(value, Settings) and not isinstance(value, Distribution):
            yield from settings(type(value), f"{prefix}{name}.")
        else:
            shown = "none given" if value == () else str(value)
            yield [f"`{prefix}{name}`", shown, " ".join(str(field.description).split())]


def rules(module: str) -> Iterator[list[str]]:
    """Yield every rule of a module of `schemas`, but those of modules before it in RULES."""
    earlier = [
        rule
        for name in RULES[: RULES.index(module)]
        for rule in vars(importlib.import_module(f"schemas.{name}")).values()
        if isinstance(rule, Rule)
    ]
    for rule in vars(importlib.import_module(f"schemas.{module}")).values():
        if isinstance(rule, Rule) and not any(rule is one for one in earlier):
            expected = re.sub(r"\{(\w+)[^}]*\}", r"*\1*", rule.expected)
            yield [f"`{rule.name}`", rule.severity, expected, rule.mend]


def _rules(*modules: str) -> Callable[[], str]:
    head = ("rule", "severity", "expected", "what to do")
    return lambda: table(head, chain.from_iterable(map(rules, modules)))


def _columns(columns: Columns) -> str:
    return table(("column", "meaning"), ([f"`{name}`", text] for name, text in columns.items()))


def _tables(tables: Mapping[str, Columns]) -> str:
    parts = []
    for files, columns in tables.items():
        names = ", ".join(f"`{name}`" for name in files.split(", "))
        parts.append(f"### {names}\n\n{_columns(columns)}")
    return "\n\n".join(parts)


def _metrics(metrics: Mapping[str, Metric]) -> str:
    return table(
        ("metric", "meaning", "there where"),
        ([f"`{name}`", one.meaning, one.of or "always"] for name, one in metrics.items()),
    )


def _checks() -> str:
    bears = {True: "decides: `review`", False: "note"}
    return table(
        ("check", "quantity, and what it shows", "outside its limits"),
        (
            [f"`{name}`", one.description, bears[one.bears_on_beta]]
            for name, one in QUANTITIES.items()
        ),
    )


def _tags() -> str:
    rows = ([f"`{name}`", tag.meaning, ", ".join(tag.kinds)] for name, tag in TAGS.items())
    return table(("tag", "meaning", "runs"), rows)


def _command_line() -> str:
    text = app.generate_docs(heading_level=2, max_heading_level=3)
    text = text[text.index("**Commands**") :]
    # How Python was started is no part of a command.
    text = re.sub(r"^(screenbayes [\w-]+) -m \S+", r"\1", text, flags=re.MULTILINE)
    return text.replace("```console", "```text").strip()


PARTS: dict[str, Callable[[], str]] = {
    "settings": lambda: table(("setting", "default", "meaning"), settings()),
    "rules_of_one_table": _rules("tables"),
    "rules_of_rna": _rules("rna_rules"),
    "rules_of_logfc": _rules("logfc_rules"),
    "rules_across_tables": _rules("rules", "coverage_rules"),
    "gene_effects": lambda: _columns(next(iter(TABLES.values()))),
    "tables": lambda: _tables(TABLES),
    "comparison_tables": lambda: _tables(COMPARISON_TABLES),
    "fit_metrics": lambda: _metrics(FIT_METRICS),
    "comparison_metrics": lambda: _metrics(COMPARISON_METRICS),
    "calibration_metrics": lambda: _metrics(CALIBRATION_METRICS),
    "checks": _checks,
    "tags": _tags,
    "command_line": _command_line,
    "environment": lambda: table(
        ("variable", "meaning"), ([f"`{name}`", text] for name, text in VARIABLES.items())
    ),
}


def filled(page: str) -> str:
    """Return a page with every marked place as the code has it now."""
    return PLACE.sub(lambda place: f"{place[1]}{PARTS[place[2]]()}\n{place[3]}", page)


def main() -> None:
    """Write every page anew that has marked places."""
    for page in sorted(ROOT.joinpath("docs").glob("*.md")):
        before = page.read_text(encoding="utf-8")
        after = filled(before)
        if after != before:
            page.write_text(after, encoding="utf-8")


if __name__ == "__main__":
    main()
