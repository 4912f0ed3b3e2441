"""Documentation holds what the code says: every rule of validation, with what it asks."""

from __future__ import annotations

import importlib
import pkgutil
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import BaseModel

import schemas
from model.checks import QUANTITIES
from model.effects import COLUMNS
from schemas.comparison import STEP_WORDS
from schemas.findings import Rule
from schemas.parameters import Distribution, FitParameters, Settings
from schemas.reports import KnownGenes
from tests.faults.catalogue import PAGE as FAULTS_PAGE
from tests.faults.catalogue import page as faults_page

ROOT = Path(__file__).resolve().parents[1]
# Raised where a file is opened, before there is a table to hold against a Rule.
FILE_RULES = (
    "missing_file", "missing_table", "unknown_suffix", "empty_file", "html_page", "wrong_format",
    "not_utf8", "damaged_file", "truncated", "too_large", "uneven_rows", "wrong_delimiter",
    "unknown_layout", "duplicate_column", "repeated_header", "not_a_number", "missing_label",
    "duplicate_measurement", "rna_not_constant",
)  # fmt: skip


def rules() -> dict[str, Rule]:
    """Every rule of every module of `schemas`, by name."""
    modules = [
        importlib.import_module(f"schemas.{module.name}")
        for module in pkgutil.iter_modules(schemas.__path__)
    ]
    return {
        rule.name: rule
        for module in modules
        for rule in vars(module).values()
        if isinstance(rule, Rule)
    }


def documented(rule: Rule) -> str:
    """The row of docs/validation.md for a rule."""
    expected = re.sub(r"\{(\w+)[^}]*\}", r"*\1*", rule.expected)
    return f"| `{rule.name}` | {rule.severity} | {expected} | {rule.mend} |"


def settings(model: type[BaseModel] = FitParameters, prefix: str = "") -> Iterator[str]:
    """The rows of docs/settings.md: every setting of a fit, its default and its text."""
    for name, field in model.model_fields.items():
        value = field.default
        if isinstance(value, Settings) and not isinstance(value, Distribution):
            yield from settings(type(value), f"{prefix}{name}.")
        else:
            shown = "everything" if value == () else value
            yield f"| `{prefix}{name}` | {shown} | {' '.join(str(field.description).split())} |"


def test_every_setting_is_documented_as_it_is():
    page = (ROOT / "docs" / "settings.md").read_text(encoding="utf-8")
    rows = [line for line in page.splitlines() if line.startswith("| `")]
    assert rows == list(settings())


@pytest.mark.parametrize("name", [*COLUMNS, *QUANTITIES, *KnownGenes.model_fields])
def test_what_a_run_says_is_documented(name):
    """Columns of the table of genes, predictive checks, agreement with known genes."""
    assert f"`{name}`" in (ROOT / "docs" / "results.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("step", STEP_WORDS)
def test_every_step_of_a_comparison_is_documented(step):
    assert f"| `{step}` |" in (ROOT / "docs" / "compare.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def page() -> str:
    return (ROOT / "docs" / "validation.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("rule", rules().values(), ids=lambda rule: rule.name)
def test_every_rule_is_documented_as_it_is(rule, page):
    assert documented(rule) in page.splitlines()


def test_no_rule_is_documented_that_is_not(page):
    named = set(re.findall(r"^\| `(\w+)`", page, flags=re.MULTILINE))
    assert named == set(rules()) | set(FILE_RULES)


@pytest.mark.parametrize("rule", FILE_RULES)
def test_rules_of_files_are_raised_somewhere(rule):
    sources = [
        path.read_text(encoding="utf-8")
        for name in ("schemas", "tasks")
        for path in (ROOT / name).glob("*.py")
    ]
    assert any(f'"{rule}"' in source for source in sources)


@pytest.mark.parametrize(
    "path", [ROOT / "README.md", ROOT / "ARCHITECTURE.md", *(ROOT / "docs").glob("*.md")]
)
def test_links_lead_somewhere(path):
    for target in re.findall(r"\]\(([^)#]+)", path.read_text(encoding="utf-8")):
        if "://" not in target:
            assert (path.parent / target).exists(), target


def test_every_fault_is_documented_as_its_test_makes_it(all_faults):
    stale = "written anew by: python -m tests.faults"
    assert FAULTS_PAGE.read_text(encoding="utf-8") == faults_page(all_faults), stale
