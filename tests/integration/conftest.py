"""Servers of the integration tests, on free ports of this machine: an S3 endpoint, a browser."""

import logging
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import boto3
import pytest
from moto.server import ThreadedMotoServer
from playwright.sync_api import Browser, Page

from tests.integration.browser import SECONDS, chromium
from tests.integration.processes import s3_settings


@pytest.fixture(scope="session")
def s3_endpoint() -> Iterator[str]:
    """Address of a local S3 endpoint, up for the whole session."""
    # A line for each request would hide what a failing test says.
    logging.getLogger("werkzeug").setLevel(logging.WARNING)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def s3_bucket(s3_endpoint: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """Name of an empty bucket, with the environment in which boto3 and s3fs find it."""
    for name, text in s3_settings(s3_endpoint).items():
        monkeypatch.setenv(name, text)
    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    bucket = f"screens-{uuid4().hex[:12]}"
    boto3.client("s3").create_bucket(Bucket=bucket)
    return bucket


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
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    return tmp_path
