"""Writes into the pages what the code says: settings, rules, columns, metrics, command line.

A page has the places marked, `<!-- generated: NAME -->` to `<!-- end -->`; what stands between is
written anew by `make reference`, and a test fails where it is not what the code says. Everything
else in a page is written by hand.
"""

from __future__ import annotations

import importlib
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import chain, groupby
from operator import itemgetter
from pathlib import Path

from pydantic import BaseModel

from deployments.cli.app import app
from deployments.server.environment import VARIABLES
from model.prediction.checks import QUANTITIES
from schemas.base import Settings
from schemas.column_catalog import COMPARISON_TABLES, RUNS, TABLES, Columns
from schemas.parameters import Distribution, FitParameters
from schemas.run_catalog import (
    ALL_KINDS,
    CALIBRATION_METRICS,
    COMPARISON_METRICS,
    FIT_METRICS,
    TAGS,
    TRIAL_METRICS,
    Metric,
)
from schemas.tables.rule import Rule
from tasks.reports.markdown import markdown_row

ROOT = Path(__file__).resolve().parents[1]
RULES = (
    "maps",
    "profiles",
    "rna",
    "rna_values",
    "copy_number",
    "logfc",
    "logfc_values",
    "matching",
    "labels",
    "relations",
    "coverage",
)
"""Modules of rules; a rule that several import is described where it first appears."""
FLAGS = re.MULTILINE | re.DOTALL
SHORT = 100
"""Characters of an option of two commands up to which both describe it."""
PLACE = re.compile(r"(<!-- generated: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)


def table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """Return a table in Markdown."""
    head = list(head)
    return "\n".join([markdown_row(head), f"|{'---|' * len(head)}", *map(markdown_row, rows)])


def settings(model: type[BaseModel] = FitParameters, prefix: str = "") -> Iterator[str]:
    """Yield every setting of a fit as a line of a list: its default and its text."""
    for name, field in model.model_fields.items():
        value = field.default
        if isinstance(value, Settings) and not isinstance(value, Distribution):
            yield from settings(type(value), f"{prefix}{name}.")
        else:
            shown = "none" if value in ((), None) else str(value)
            yield f"- `{prefix}{name}` ({shown}): {' '.join(str(field.description).split())}"


def rules(module: str) -> Iterator[list[str]]:
    """Yield every rule of a module of `schemas.tables`, but those of modules before it in RULES."""
    earlier = [
        rule
        for name in RULES[: RULES.index(module)]
        for rule in vars(importlib.import_module(f"schemas.tables.{name}")).values()
        if isinstance(rule, Rule)
    ]
    for rule in vars(importlib.import_module(f"schemas.tables.{module}")).values():
        if isinstance(rule, Rule) and not any(rule is one for one in earlier):
            expected = re.sub(r"\{(\w+)[^}]*\}", r"*\1*", rule.expected)
            warning = " (warning)" if rule.severity == "warning" else ""
            yield [f"`{rule.name}`{warning}", expected]


def _rules(*modules: str) -> Callable[[], str]:
    head = ("rule", "expected")
    return lambda: table(head, chain.from_iterable(map(rules, modules)))


def _list(meanings: Iterable[tuple[str, str]]) -> str:
    """Return a list in Markdown; names in sequence with the same meaning share a line."""
    lines = []
    for meaning, group in groupby(meanings, key=itemgetter(1)):
        names = ", ".join(f"`{name}`" for name, _ in group)
        lines.append(f"- {names}: {meaning}")
    return "\n".join(lines)


def _grouped(parts: Iterable[tuple[str, str, str]]) -> str:
    """Return a list for each group of (group, name, meaning), below the words of the group."""
    groups: dict[str, list[tuple[str, str]]] = {}
    for group, name, meaning in parts:
        groups.setdefault(group, []).append((name, meaning))
    lists = [(group, _list(meanings)) for group, meanings in groups.items()]
    return "\n\n".join(f"{group}:\n\n{text}" if group else text for group, text in lists)


def _tables(tables: Mapping[str, Columns]) -> str:
    """Return a list of columns for each table; columns that several tables share come first."""
    times = Counter(column for columns in tables.values() for column in columns.items())
    shared = [column for column, n in times.items() if n > 1]
    parts = [f"Columns of several tables:\n\n{_list(shared)}"] if shared else []
    for files, columns in tables.items():
        heading = " and ".join(f"`{name}`" for name in files.split(", "))
        own = _list(column for column in columns.items() if column not in shared)
        above = ", ".join(f"`{name}`" for name, text in columns.items() if (name, text) in shared)
        lines = [f"- {above} (above)" if above else "", own]
        parts.append(f"### {heading}\n\n" + "\n".join(filter(None, lines)))
    return "\n\n".join(parts)


def _metrics(metrics: Mapping[str, Metric]) -> str:
    return _grouped(
        (f"Only if {one.of}" if one.of else "", name, one.meaning) for name, one in metrics.items()
    )


def _checks() -> str:
    groups = {
        True: "Outside its limits, the verdict is `review`",
        False: "Outside its limits, a note",
    }
    return _grouped(
        (groups[one.bears_on_beta], name, one.description) for name, one in QUANTITIES.items()
    )


def _tags() -> str:
    kinds = {tag.kinds: ", ".join(tag.kinds).capitalize() for tag in TAGS.values()}
    kinds[ALL_KINDS] = "All runs"
    return _grouped((kinds[tag.kinds], name, tag.meaning) for name, tag in TAGS.items())


def _command_line() -> str:
    """Return the help of all commands; an option that commands share is described once."""
    text = app.generate_docs(heading_level=2, max_heading_level=3)
    # How Python was started is no part of a command.
    text = re.sub(r"^(screenbayes [\w-]+) -m \S+", r"\1", text, flags=re.MULTILINE)
    text = text.replace("```console", "```text").replace("**Parameters**:\n\n", "")
    commands = dict(re.findall(r"^### (screenbayes [\w-]+)\n(.*?)(?=^### |\Z)", text, FLAGS))
    parts: list[str] = []
    described: dict[str, str] = {}
    for command in sorted(commands, key=lambda name: (name != "screenbayes fit", name)):
        body, above = commands[command].strip(), defaultdict(list)
        for option in re.findall(r"^\* .*(?:\n +\S.*)*", body, re.MULTILINE):
            origin = described.setdefault(option, command)
            if origin != command:
                above[origin].append(option)
        links = []
        for origin, options in above.items():
            if len(options) > 1 or len(options[0]) > SHORT:
                flags = ", ".join(f"{re.split('[ ,]', one)[1]}`" for one in options)
                links.append(f"* {flags}: see [{origin}](#{origin.replace(' ', '-')})")
                for option in options:
                    body = body.replace(f"\n{option}", "")
        separator = "\n" if "\n* " in body else "\n\n"
        parts += [f"### {command}", separator.join([body.strip(), "\n".join(links)]).strip()]
    return "\n\n".join(parts)


PARTS: dict[str, Callable[[], str]] = {
    "settings": lambda: "\n".join(settings()),
    "rules_of_one_table": _rules("maps"),
    "rules_of_rna": _rules("profiles", "rna", "rna_values"),
    "rules_of_copy_number": _rules("copy_number"),
    "rules_of_logfc": _rules("logfc", "logfc_values"),
    "rules_across_tables": _rules("matching", "labels", "relations", "coverage"),
    "tables": lambda: _tables(TABLES),
    "comparison_tables": lambda: _tables(COMPARISON_TABLES),
    "runs": lambda: _list(RUNS.items()),
    "fit_metrics": lambda: _metrics(FIT_METRICS),
    "comparison_metrics": lambda: _metrics(COMPARISON_METRICS),
    "calibration_metrics": lambda: _metrics(CALIBRATION_METRICS),
    "trial_metrics": lambda: _metrics(TRIAL_METRICS),
    "checks": _checks,
    "tags": _tags,
    "command_line": _command_line,
    "environment": lambda: _list(VARIABLES.items()),
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
