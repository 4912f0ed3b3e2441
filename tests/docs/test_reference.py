"""The pages say what the code says: generated parts, rules, checks, variables, deployments."""

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

PAGES = {page.name: page.read_text(encoding="utf-8") for page in sorted(ROOT.glob("docs/*.md"))}
SOURCES = {
    path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8")
    for folder in ("schemas", "model", "tasks", "flows", "deployments")
    for path in [*(ROOT / folder).rglob("*.py"), *(ROOT / folder).glob("prefect.yaml")]
}
# Raised where a file is opened, before there is a table that a Rule could check.
FILE_RULES = {
    "missing_file", "missing_table", "unknown_suffix", "empty_file", "html_page", "wrong_format",
    "not_utf8", "damaged_file", "truncated", "too_large", "uneven_rows", "wrong_delimiter",
    "unknown_layout", "duplicate_column", "repeated_header", "not_a_number", "missing_label",
    "duplicate_measurement", "rna_not_constant",
}  # fmt: skip


@pytest.mark.parametrize("page", [name for name, text in PAGES.items() if PLACE.search(text)])
def test_generated_parts_of_a_page_are_current(page):
    assert filled(PAGES[page]) == PAGES[page], "run `make reference`"


def test_every_generated_part_is_in_one_page():
    places = [place[2] for text in PAGES.values() for place in PLACE.finditer(text)]
    assert sorted(places) == sorted(PARTS)


def test_filling_a_page_changes_generated_parts_alone():
    new = filled("by hand\n<!-- generated: checks -->\nold\n<!-- end -->\nby hand\n")
    assert new.startswith("by hand\n<!-- gen") and new.endswith("<!-- end -->\nby hand\n")
    assert "old" not in new and "| `guide_variance` |" in new


def test_every_rule_is_documented_once():
    modules = [f"schemas.{module.name}" for module in pkgutil.iter_modules(schemas.__path__)]
    values = [value for name in modules for value in vars(importlib.import_module(name)).values()]
    rules = {value.name for value in values if isinstance(value, Rule)}
    documented = re.findall(r"^\| `(\w+)`", PAGES["validation.md"], flags=re.MULTILINE)
    assert sorted(documented) == sorted([*rules, *FILE_RULES])
    text = "\n".join(text for path, text in SOURCES.items() if path.startswith(("schemas", "task")))
    assert {rule for rule in FILE_RULES if f'"{rule}"' not in text} == set(), "raised nowhere"


def test_every_check_step_and_deployment_is_documented():
    assert {name for name in QUANTITIES if f"`{name}`" not in PAGES["results.md"]} == set()
    assert {step for step in STEP_WORDS if f"| `{step}` |" not in PAGES["compare.md"]} == set()
    prefect = SOURCES["deployments/prefect.yaml"]
    deployments = re.findall(r"^ *- name: ([a-z-]+)$", prefect, re.MULTILINE)
    assert len(deployments) > 3
    assert [name for name in deployments if f"| `{name}` |" not in PAGES["schedules.md"]] == []


def test_every_variable_of_the_environment_is_documented():
    text = "\n".join(text for path, text in SOURCES.items() if "environment.py" not in path)
    read = set(re.findall(r"\bSCREENBAYES_[A-Z_]+", text))
    assert read == {name for name in VARIABLES if name.startswith("SCREENBAYES_")}


def test_command_line_page_does_not_depend_on_how_python_was_started(monkeypatch):
    monkeypatch.setattr("sys.argv", [os.fspath(ROOT / "anything.py"), "-m"])
    assert "anything" not in PARTS["command_line"]()
