"""Pages that are kept as files in `kept_pages/`; SCREENBAYES_WRITE_PAGES=1 writes them again."""

import os
from pathlib import Path

FOLDER = Path(__file__).with_name("kept_pages")


def require_page(name: str, text: str) -> None:
    """Fail unless a page is the one that is kept."""
    path = FOLDER / name
    if os.environ.get("SCREENBAYES_WRITE_PAGES"):
        path.write_text(text, encoding="utf-8")
    assert text == path.read_text(encoding="utf-8")
