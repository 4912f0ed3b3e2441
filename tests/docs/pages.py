"""What is written in a page of documentation: its commands, its files, its snippets, its output.

Convention of the pages: an indented block, or one fenced as `sh`, is commands. Anything else is
fenced with its language; `text` after commands is what they print, `formula` is not. A block whose
first line is `# NAME.yaml` (or another suffix) is that file. What is done with them is
`tests.docs.walks`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
GENERATED = re.compile(r"<!-- generated.*?<!-- end -->", re.DOTALL)
COMMANDS = ("", "sh")
FILE_NAME = re.compile(r"# ([\w.-]+\.(?:yaml|json|py))$")


@dataclass(frozen=True)
class Block:
    """A block of code of a page."""

    language: str
    """As its fence says; empty of an indented one."""
    text: str
    line: int
    """Of the page, from 1."""

    @property
    def file(self) -> str:
        """The file it is, where it says so."""
        named = FILE_NAME.match(self.text.partition("\n")[0])
        return named[1] if named else ""

    @property
    def commands(self) -> list[str]:
        """Its commands, lines that go on joined, comments left out."""
        if self.language not in COMMANDS:
            return []
        lines = re.sub(r" *\\\n\s*", " ", self.text).splitlines()
        return [command for line in lines if (command := re.sub(r"(^|\s+)#.*$", "", line).strip())]


def pages() -> list[Path]:
    """Every page that a reader follows."""
    return [
        *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "ARCHITECTURE.md")),
        *sorted((ROOT / "docs").glob("*.md")),
        ROOT / "benchmarks" / "README.md",
    ]


def name_of(page: Path) -> str:
    """The page as it is called here: `docs/results.md`."""
    return page.relative_to(ROOT).as_posix()


def blocks(page: str) -> Iterator[Block]:
    """Yield the blocks of code of a page, its text given.

    Indentation is counted from the text around it: in an item of a list a block stands deeper.
    """
    lines = page.splitlines()
    number, margin = 0, 0
    while number < len(lines):
        line = lines[number]
        indent = len(line) - len(line.lstrip())
        if fence := re.match(r"( *)```(\w*)$", line):
            end = next(n for n in range(number + 1, len(lines)) if lines[n].strip() == "```")
            inside = [text.removeprefix(fence[1]) for text in lines[number + 1 : end]]
            yield Block(fence[2] or "none", "\n".join(inside), number + 1)
            number = end + 1
        elif line.strip() and indent >= margin + 4 and not (number and lines[number - 1].strip()):
            end = number
            while end < len(lines) and (not lines[end].strip() or _indent(lines[end]) >= indent):
                end += 1
            inside = [text[indent:] for text in lines[number:end]]
            yield Block("", "\n".join(inside).rstrip(), number + 1)
            number = end
        else:
            if item := re.match(r"(\d+\.|-) +", line):
                margin = len(item[0])
            elif line.strip() and indent == 0:
                margin = 0
            number += 1


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())
