"""What the pages say of the code is what the code says, and runs are described by it."""

from __future__ import annotations

import importlib
import os
import pkgutil
import re

import pytest

import schemas
from deployments.environment import VARIABLES
from docs.reference import PARTS, PLACE, filled
from model.checks import QUANTITIES
from schemas.comparison import STEP_WORDS
from schemas.findings import Rule
from tests.docs.pages import ROOT

PAGES = sorted((ROOT / "docs").glob("*.md"))
# Raised where a file is opened, before there is a table to hold against a Rule.
FILE_RULES = (
    "missing_file", "missing_table", "unknown_suffix", "empty_file", "html_page", "wrong_format",
    "not_utf8", "damaged_file", "truncated", "too_large", "uneven_rows", "wrong_delimiter",
    "unknown_layout", "duplicate_column", "repeated_header", "not_a_number", "missing_label",
    "duplicate_measurement", "rna_not_constant",
)  # fmt: skip


def text_of(page: str) -> str:
    return (ROOT / "docs" / page).read_text(encoding="utf-8")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_no_page_is_stale(page):
    text = page.read_text(encoding="utf-8")
    assert filled(text) == text, "run `make reference`"


def test_every_part_stands_in_a_page():
    places = [place[2] for page in PAGES for place in PLACE.finditer(page.read_text("utf-8"))]
    assert sorted(places) == sorted(PARTS)


def test_a_stale_place_is_filled_and_the_rest_is_left():
    page = "by hand\n<!-- generated: checks -->\nold\n<!-- end -->\nby hand\n"
    new = filled(page)
    assert new.startswith("by hand\n<!-- gen") and new.endswith("<!-- end -->\nby hand\n")
    assert "old" not in new and "| `guide_variance` |" in new


def rules() -> set[str]:
    """Every rule of every module of `schemas`, by name."""
    modules = [
        importlib.import_module(f"schemas.{module.name}")
        for module in pkgutil.iter_modules(schemas.__path__)
    ]
    return {
        rule.name for module in modules for rule in vars(module).values() if isinstance(rule, Rule)
    }


def test_every_rule_is_documented_once():
    documented = re.findall(r"^\| `(\w+)`", text_of("validation.md"), flags=re.MULTILINE)
    assert sorted(documented) == sorted([*rules(), *FILE_RULES])


@pytest.mark.parametrize("rule", FILE_RULES)
def test_rules_of_files_are_raised_somewhere(rule):
    sources = [
        path.read_text(encoding="utf-8")
        for name in ("schemas", "tasks")
        for path in (ROOT / name).glob("*.py")
    ]
    assert any(f'"{rule}"' in source for source in sources)


@pytest.mark.parametrize("name", QUANTITIES)
def test_every_check_is_explained(name):
    assert f"`{name}`" in text_of("results.md")


@pytest.mark.parametrize("step", STEP_WORDS)
def test_every_step_of_a_comparison_is_explained(step):
    assert f"| `{step}` |" in text_of("compare.md")


def test_every_variable_of_the_environment_is_documented():
    sources = [
        path.read_text(encoding="utf-8")
        for folder in ("deployments", "flows", "tasks", "model", "schemas")
        for path in [*(ROOT / folder).rglob("*.py"), *(ROOT / folder).glob("prefect.yaml")]
        if path.name != "environment.py"
    ]
    read = set(re.findall(r"\bSCREENBAYES_[A-Z_]+", "\n".join(sources)))
    assert read == {name for name in VARIABLES if name.startswith("SCREENBAYES_")}


def test_the_command_line_is_told_alike_wherever_it_is_asked(monkeypatch):
    """Cyclopts names the program as it was started."""
    monkeypatch.setattr("sys.argv", [os.fspath(ROOT / "anything.py"), "-m"])
    assert "anything" not in PARTS["command_line"]()
