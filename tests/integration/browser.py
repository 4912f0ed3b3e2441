"""A headless Chromium for the tests, by Playwright; the browser is the one that is installed."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

QUIET = (
    "--no-sandbox",  # Chromium refuses to start as root with it
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
SECONDS = 1000.0
"""Of Playwright, which counts milliseconds."""
expect.set_options(timeout=60 * SECONDS)


@contextmanager
def chromium() -> Iterator[Browser]:
    """Start a browser with a profile of its own; skip where there is none."""
    program = shutil.which("chromium") or shutil.which("google-chrome")
    if program is None:
        pytest.skip("no chromium: install it (Debian: apt-get install chromium)")
    with (
        sync_playwright() as playwright,
        playwright.chromium.launch(executable_path=program, args=QUIET) as browser,
    ):
        yield browser


def shows(page: Page, *texts: str) -> None:
    """Wait until the page shows all of these, whatever blanks are in and between them."""
    for text in texts:
        expect(page.locator("body")).to_contain_text(text, use_inner_text=True)
