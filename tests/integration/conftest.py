"""A browser and a working folder for the integration tests."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page

from tests.integration.browser import SECONDS, chromium


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A headless Chromium; skips where there is none. Its event loop ends with the module."""
    with chromium() as browser:
        yield browser


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A tab, large enough for MLflow's tables."""
    page = browser.new_page(viewport={"width": 2400, "height": 1300})
    page.set_default_timeout(60 * SECONDS)
    yield page
    page.close()


@pytest.fixture
def working_folder(prefect_server: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working folder, in which MLflow keeps its store, and a Prefect server."""
    monkeypatch.chdir(tmp_path)
    return tmp_path
