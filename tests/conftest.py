"""Fixtures every folder of tests shares."""

import logging
import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from hypothesis import settings

from deployments.server.environment import prepare_environment
from schemas.dataset import Dataset

prepare_environment()
os.environ.pop("MLFLOW_TRACKING_URI", None)  # tests keep runs in folders of their own

# What a background shell or nohup starts ignores these, and so would every command under test.
if threading.current_thread() is threading.main_thread():
    for sign, usual in (
        (signal.SIGINT, signal.default_int_handler),
        (signal.SIGHUP, signal.SIG_DFL),
    ):
        if signal.getsignal(sign) is signal.SIG_IGN:
            signal.signal(sign, usual)

# The suite tries the same examples every time, however slow the machine; `make fuzz` tries others.
OTHER_EXAMPLES = int(os.environ.get("SCREENBAYES_FUZZ", "1")) > 1
settings.register_profile("suite", deadline=None, derandomize=not OTHER_EXAMPLES, print_blob=True)
settings.load_profile("suite")


@pytest.fixture(scope="session")
def shared() -> Path:
    """Folder with the real sample and the published tables; skip where there is none."""
    beside = Path(__file__).resolve().parents[2] / "shared"
    folder = Path(os.environ.get("SCREENBAYES_SHARED", beside))
    if not folder.is_dir():
        pytest.skip(f"no shared data at {folder}: set SCREENBAYES_SHARED to the folder that has it")
    return folder


@pytest.fixture(scope="session")
def avana(shared: Path) -> Dataset:
    """The real sample as a dataset, without its control genes."""
    folder = shared / "data" / "avana_sample"
    return Dataset(
        name="avana",
        release="sample",
        library="Avana",
        logfc=str(folder / "AvanaLogfoldChange.csv.gz"),
        guide_map=str(folder / "AvanaGuideMap.csv"),
        sequence_map=str(folder / "ScreenSequenceMap.csv"),
        rna=str(folder / "OmicsExpressionProteinCodingGenesTPMLogp1.csv"),
    )


@pytest.fixture(scope="session")
def prefect_server() -> Iterator[None]:
    """A Prefect server of the session's own, with an empty database."""
    from prefect.testing.utilities import prefect_test_harness

    with prefect_test_harness(server_startup_timeout=180):
        yield


@pytest.fixture(scope="session")
def s3_endpoint() -> Iterator[str]:
    """Address of a local S3 endpoint, up for the whole session."""
    from moto.server import ThreadedMotoServer

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
    import boto3

    from tests.integration.processes import s3_settings

    for name, text in s3_settings(s3_endpoint).items():
        monkeypatch.setenv(name, text)
    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    bucket = f"screens-{uuid4().hex[:12]}"
    boto3.client("s3").create_bucket(Bucket=bucket)
    return bucket
