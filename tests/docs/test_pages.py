"""The pages of documentation: every command is run or excused, every link and snippet is valid."""

import ast
import json
import re
from pathlib import Path

import pytest
import yaml

from tests.docs.pages import ROOT, blocks
from tests.docs.walks import NOT_RUN, WALKS, not_run

LANGUAGES = {"", "sh", "text", "formula", "yaml", "json", "python", "ini"}
TEXTS = {
    page.relative_to(ROOT).as_posix(): page.read_text(encoding="utf-8")
    for pattern in ("[ACR]*.md", "docs/*.md", "benchmarks/README.md")
    for page in sorted(ROOT.glob(pattern))
}
COMMANDS = [
    (page, command)
    for page, text in TEXTS.items()
    for block in blocks(text)
    for command in block.commands
]


def test_every_command_is_run_or_excused():
    assert len(COMMANDS) > 80
    forgotten = [
        f"{page}: {command}"
        for page, command in COMMANDS
        if page not in WALKS and not not_run(page, command)
    ]
    assert forgotten == []
    assert set(NOT_RUN) - {command for _, command in COMMANDS} == set(), "excused, but in no page"
    assert set(WALKS) - {page for page, _ in COMMANDS} == set(), "a walk without commands"


@pytest.mark.parametrize("page", TEXTS)
def test_every_block_has_a_language_and_is_valid_in_it(page):
    for block in blocks(TEXTS[page]):
        where = f"{page}:{block.line}"
        assert block.language in LANGUAGES, where
        for command in block.commands:  # an indented formula or output would be none
            assert re.match(r"[\w./~-]+( |$)|\w+=", command), f"{where}: {command}"
        if block.language == "python":
            ast.parse(block.text, where)
        elif block.language == "yaml":
            assert yaml.safe_load(block.text), where
        elif block.language == "json" and block.text.startswith(("{", "[")):
            assert json.loads(block.text), where


@pytest.mark.parametrize("page", TEXTS)
def test_every_link_has_a_target(page):
    text = re.sub(r"(`+).*?\1", "", TEXTS[page])  # code holds no links
    for target, anchor in re.findall(r"\]\(([^)#\s]*)(?:#([^)]+))?\)", text):
        if "://" in target:
            continue
        path = (ROOT / page).parent / target if target else ROOT / page
        assert path.exists(), target
        if anchor and path.suffix == ".md":
            assert anchor in anchors(path), f"{target}#{anchor}"


def anchors(page: Path) -> set[str]:
    """The headings of a page as links name them."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", one.lower()).strip().replace(" ", "-") for one in headings}


def test_index_links_to_every_page():
    linked = set(re.findall(r"\]\(([\w-]+\.md)", TEXTS["docs/README.md"]))
    assert linked == {page.name for page in ROOT.glob("docs/*.md")} - {"README.md"}
    assert "](docs/README.md)" in TEXTS["README.md"]
