"""Reads a page of documentation: its commands, files, snippets and output.

In a page, an indented block or one fenced as `sh` is commands; `text` after commands is what they
print. A block whose first line is `# NAME.yaml` (or another suffix) is that file.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Block:
    language: str
    """The language of its fence; empty for an indented block."""
    text: str
    line: int
    """Its first line in the page, from 1."""

    @property
    def file(self) -> str:
        """The name of the file it shows; empty if it shows none."""
        named = re.match(r"# ([\w.-]+\.(?:yaml|json|py))$", self.text.partition("\n")[0])
        return named[1] if named else ""

    @property
    def commands(self) -> list[str]:
        """Its commands, continued lines joined, comments removed."""
        if self.language not in ("", "sh"):
            return []
        lines = re.sub(r" *\\\n\s*", " ", self.text).splitlines()
        return [command for line in lines if (command := re.sub(r"(^|\s+)#.*$", "", line).strip())]


def blocks(page: str) -> Iterator[Block]:
    """Yield the blocks of code in the text of a page.

    Indentation is relative to the surrounding text: inside a list item a block is deeper.
    """
    lines = page.splitlines()
    number, margin = 0, 0
    while number < len(lines):
        line = lines[number]
        indent = _indent(line)
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
