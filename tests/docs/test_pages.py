"""The pages themselves: every command accounted for, every page reached, every snippet whole."""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path

import pytest
import yaml

from tests.docs.pages import ROOT, blocks, name_of, pages
from tests.docs.walks import NOT_RUN, WALKS, in_place, not_run, server

LANGUAGES = {"", "sh", "text", "formula", "yaml", "json", "python"}
TEXTS = {name_of(page): page.read_text(encoding="utf-8") for page in pages()}
COMMANDS = [
    (page, command)
    for page, text in TEXTS.items()
    for block in blocks(text)
    for command in block.commands
]


def test_every_command_is_run_or_told_why_not():
    forgotten = [
        f"{page}: {command}"
        for page, command in COMMANDS
        if page not in WALKS and not not_run(page, command)
    ]
    assert not forgotten


def test_nothing_is_excused_that_is_not_there():
    assert set(NOT_RUN) <= {command for _, command in COMMANDS}
    assert set(WALKS) <= {page for page, _ in COMMANDS}


@pytest.mark.parametrize("page", TEXTS)
def test_every_block_says_what_it_is(page):
    """Formulas and output are fenced, so that an indented block is always commands."""
    for block in blocks(TEXTS[page]):
        assert block.language in LANGUAGES, f"{page}:{block.line}"
        for command in block.commands:
            assert re.match(r"[\w./~-]+( |$)|\w+=", command), f"{page}:{block.line}: {command}"


@pytest.mark.parametrize("page", TEXTS)
def test_files_and_snippets_can_be_read(page):
    for block in blocks(TEXTS[page]):
        if block.language == "python":
            ast.parse(block.text)
        elif block.language == "yaml":
            assert yaml.safe_load(block.text)
        elif block.language == "json" and block.text.startswith(("{", "[")):
            assert json.loads(block.text)


@pytest.mark.parametrize("page", TEXTS)
def test_links_lead_somewhere(page):
    text = re.sub(r"(`+).*?\1", "", TEXTS[page])  # what is shown as code is no link
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
    return {
        re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings
    }


def test_every_page_is_reached_from_the_index():
    index = TEXTS["docs/README.md"]
    linked = set(re.findall(r"\]\(([\w-]+\.md)", index))
    assert linked == {page.name for page in ROOT.glob("docs/*.md")} - {"README.md"}
    assert "](docs/README.md)" in TEXTS["README.md"]


# ---- the reader of pages


PAGE = """# Title

    one --flag   # a comment
    two \\
        --more

1. An item:

       three

   ```yaml
   # name.yaml
   a: 1
   ```

prose, then a table cell with `code`

```text
what is printed
```
"""


def test_blocks_of_every_kind_are_found():
    found = [(block.language, block.commands, block.file) for block in blocks(PAGE)]
    assert found == [
        ("", ["one --flag", "two --more"], ""),
        ("", ["three"], ""),
        ("yaml", [], "name.yaml"),
        ("text", [], ""),
    ]


def test_a_line_that_goes_on_is_no_block():
    assert not list(blocks("* an item whose text\n    goes on\n"))


def test_a_command_that_nobody_knows_is_forgotten():
    assert not not_run("docs/new.md", "screenbayes conquer")
    assert "docs/new.md" not in WALKS


def test_places_and_servers():
    places = {"data": "/tmp/d", "mlflow": 1, "prefect": 2, "postgres": 3, "dask": 4, "workbench": 5}
    assert in_place("serve --prefix /data/depmap/24Q4", places) == "serve --prefix /tmp/d/24Q4"
    assert server(".venv/bin/mlflow ui") and not server("screenbayes fit avana.yaml")
