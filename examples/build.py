"""Writes the notebooks of this folder from their text: `python -m examples.build`.

The text is Python in the percent format, which Jupytext and editors know: `# %%` begins a cell of
code, `# %% [markdown]` one of text.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent
NOTEBOOKS = ("original", "release")


def cells_of(text: str) -> list[tuple[str, str]]:
    """Return the kind of each cell, `code` or `markdown`, and its source."""
    cells = []
    for part in re.split(r"^# %%", text, flags=re.M)[1:]:
        head, _, body = part.partition("\n")
        kind = "markdown" if "[markdown]" in head else "code"
        if kind == "markdown":
            body = re.sub(r"^# ?", "", body, flags=re.M)
        cells.append((kind, body.strip("\n")))
    return cells


def notebook_of(text: str) -> str:
    """Return a notebook without outputs, as JSON in nbformat 4.5."""
    cells: list[dict[str, Any]] = []
    for number, (kind, source) in enumerate(cells_of(text)):
        cell: dict[str, Any] = {"cell_type": kind, "id": f"cell-{number}", "metadata": {}}
        if kind == "code":
            cell |= {"execution_count": None, "outputs": []}
        cells.append({**cell, "source": source.splitlines(keepends=True)})
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    metadata = {"kernelspec": kernel, "language_info": {"name": "python"}}
    content = {"cells": cells, "metadata": metadata, "nbformat": 4, "nbformat_minor": 5}
    return json.dumps(content, indent=1, ensure_ascii=False) + "\n"


def main() -> None:
    """Write every notebook beside its text."""
    for name in NOTEBOOKS:
        text = (FOLDER / f"{name}.py").read_text(encoding="utf-8")
        (FOLDER / f"{name}.ipynb").write_text(notebook_of(text), encoding="utf-8")


if __name__ == "__main__":
    main()
