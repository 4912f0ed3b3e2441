"""A bucket that is slow, refuses, or changes under the reader. The endpoint is real, as are wires.

What a dataset file in a bucket may name is in `test_bucket_names.py`.
"""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import boto3
import pytest

from deployments.exit_codes import DONE, TROUBLE
from tasks import storage
from tests.faults.catalogue import Area, Left, fault
from tests.faults.commands import Command, InThisProcess
from tests.faults.proxy import Harm, Proxy
from tests.integration.conftest import s3_bucket, s3_endpoint  # noqa: F401  # fixtures

pytestmark = [pytest.mark.integration]

TABLE = "simulated_screen.csv"
IS_VALID = ("is valid: 0 error(s)",)
NOT_READ = f"{TABLE}: "


@pytest.fixture
def proxy(s3_endpoint: str, s3_bucket: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Proxy]:  # noqa: F811
    """A proxy that the environment points to, before a bucket with the simulated screen."""
    with Proxy(s3_endpoint).listening() as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.address)
        monkeypatch.setattr(storage, "READ_TIMEOUT", 1)
        yield proxy


@pytest.fixture
def dataset(s3_endpoint: str, s3_bucket: str, screen: Path) -> str:  # noqa: F811
    """The address of the dataset file in the bucket."""
    client = boto3.client("s3", endpoint_url=s3_endpoint)
    for path in screen.parent.iterdir():
        client.upload_file(str(path), s3_bucket, f"release/{path.name}")
    return f"s3://{s3_bucket}/release/{screen.name}"


def recovers(what: str, made: str) -> pytest.MarkDecorator:
    return fault(Area.BUCKET, what, made=made, code=DONE, told=IS_VALID, left=Left.NO_RUN)


def trouble(what: str, made: str, *told: str) -> pytest.MarkDecorator:
    return fault(Area.BUCKET, what, made=made, code=TROUBLE, told=told, left=Left.AS_BEFORE)


ASKED_TOO_OFTEN = "asked for more than it gives; wait"
NETWORK = "check the network and AWS_ENDPOINT_URL"
HARMS: tuple[tuple[Harm, pytest.MarkDecorator], ...] = (
    (
        Harm(path=TABLE, method="GET", bytes_a_second=20_000),
        recovers("a slow bucket", "the proxy lets 20 KB a second through"),
    ),
    (
        Harm(path=TABLE, method="GET", cut_after=5000, times=1),
        recovers("cut off in the middle of a table, once", "connection closed after 5,000 bytes"),
    ),
    (
        Harm(path=TABLE, reset=True, times=1),
        recovers("a connection that is reset, once", "the proxy resets it"),
    ),
    (
        Harm(path=TABLE, refuse=(503, "SlowDown"), times=1),
        recovers("throttled, once", "503 SlowDown to one request"),
    ),
    (
        Harm(path=TABLE, refuse=(429, "TooManyRequests"), times=1),
        recovers("too many requests, once", "429 to one request"),
    ),
    (
        Harm(refuse=(500, "InternalError"), times=1),
        recovers("an error of the bucket, once", "500 to one request"),
    ),
    (Harm(silent=True), trouble("a silent bucket", "no answer", "Read timeout", NETWORK)),
    (
        Harm(path=TABLE, method="GET", silent=True),
        trouble("a bucket that falls silent", "no answer from the table on", NOT_READ, "timeout"),
    ),
    (
        Harm(path=TABLE, method="GET", cut_after=5000),
        trouble(
            "cut off in the middle of a table, every time",
            "connection closed after 5,000 bytes",
            NOT_READ,
            "received 5000 of",
            NETWORK,
        ),
    ),
    (
        Harm(path=TABLE, method="GET", shorten_by=5000),
        trouble(
            "a table that comes shorter than it is stored",
            "5,000 bytes fewer, and the length says so",
            NOT_READ,
            "checksum",
        ),
    ),
    (
        Harm(path=TABLE, reset=True),
        trouble(
            "connections that are reset, every time", "the proxy resets them", NOT_READ, NETWORK
        ),
    ),
    (
        Harm(path=TABLE, refuse=(503, "SlowDown")),
        trouble("throttled, every time", "503 SlowDown", NOT_READ, ASKED_TOO_OFTEN),
    ),
    (
        Harm(path=TABLE, method="GET", refuse=(503, "SlowDown")),
        trouble("throttled once it is read", "503 SlowDown to GET", NOT_READ, ASKED_TOO_OFTEN),
    ),
    (
        Harm(path=TABLE, refuse=(429, "TooManyRequests")),
        trouble("too many requests, every time", "429", NOT_READ, ASKED_TOO_OFTEN),
    ),
    (
        Harm(refuse=(500, "InternalError")),
        trouble("an error of the bucket, every time", "500", "cannot read", "then run again"),
    ),
    (
        Harm(path=TABLE, method="HEAD", refuse=(301, "PermanentRedirect")),
        trouble("the wrong region", "301, as Amazon's", "AWS_DEFAULT_REGION is the region"),
    ),
    (
        Harm(method="HEAD", refuse=(400, "ExpiredToken")),
        trouble(
            "a token that has expired, where the bucket gives no word",
            "400 to HEAD",
            "AWS_SESSION_TOKEN, if set, has not expired",
        ),
    ),
    (
        Harm(path=TABLE, method="GET", refuse=(403, "ExpiredToken")),
        trouble("a token that expires on the way", "403 to GET", NOT_READ, "get new keys"),
    ),
    (
        Harm(path=TABLE, method="GET", refuse=(403, "RequestTimeTooSkewed")),
        trouble("a clock that is wrong", "403 to GET", "set the clock of this machine"),
    ),
)


@pytest.mark.parametrize(
    "harm",
    [
        pytest.param(harm, marks=[mark, *([pytest.mark.slow] if harm.silent else [])], id=str(n))
        for n, (harm, mark) in enumerate(HARMS)
    ],
)
def test_a_bucket_that_does_not_do_its_part(
    harm: Harm, proxy: Proxy, dataset: str, at_once: InThisProcess
) -> None:
    proxy.harms = [harm]
    left = harm.times
    assert at_once("validate", dataset).seconds < 60
    assert harm.times < left or left == float("inf"), "the harm was never done"


# --------------------------------------------------------------------- changed while it is read


@pytest.mark.parametrize(
    ("skip", "deleted"),
    [
        pytest.param(
            skip,
            deleted,
            marks=trouble(
                f"a table that is {done} {when}", made, f"{TABLE} was {done} while it was read"
            ),
            id=f"{done} {when}",
        )
        for skip, deleted, done, when, made in (
            (0, False, "replaced", "before its header is read", "another object, just before GET"),
            (
                1,
                False,
                "replaced",
                "after its header is read",
                "another object, before the 2nd GET",
            ),
            (1, True, "deleted", "after its header is read", "no object, before the 2nd GET"),
        )
    ],
)
def test_a_table_is_of_one_version_or_not_read(
    skip: int,
    deleted: bool,
    proxy: Proxy,
    dataset: str,
    screen: Path,
    s3_bucket: str,  # noqa: F811
    s3_endpoint: str,  # noqa: F811
    at_once: InThisProcess,
) -> None:
    client = boto3.client("s3", endpoint_url=s3_endpoint)
    key = f"release/{TABLE}"
    other = (screen.parent / TABLE).read_bytes().splitlines(keepends=True)

    def change() -> None:
        if deleted:
            client.delete_object(Bucket=s3_bucket, Key=key)
        else:
            client.put_object(Bucket=s3_bucket, Key=key, Body=b"".join(other[:-30]))

    proxy.harms = [Harm(path=TABLE, method="GET", first=change, skip=skip, times=1)]
    at_once("validate", dataset)


@pytest.mark.slow
@fault(
    Area.BUCKET,
    "a table that is replaced while a fit reads it",
    made="another object between the header and the rows",
    code=TROUBLE,
    told=(f"{TABLE} was replaced while it was read", "run again"),
    left=Left.NO_RUN,
)
def test_no_fit_is_of_two_tables(
    proxy: Proxy,
    dataset: str,
    screen: Path,
    s3_bucket: str,  # noqa: F811
    s3_endpoint: str,  # noqa: F811
    command: Command,
) -> None:
    client = boto3.client("s3", endpoint_url=s3_endpoint)
    rows = (screen.parent / TABLE).read_bytes().splitlines(keepends=True)
    proxy.harms = [
        Harm(
            path=TABLE,
            method="GET",
            skip=1,
            times=1,
            first=lambda: client.put_object(
                Bucket=s3_bucket, Key=f"release/{TABLE}", Body=b"".join(rows[:-30])
            ),
        )
    ]
    command("fit", dataset, AWS_ENDPOINT_URL=proxy.address)


@pytest.mark.slow
@fault(
    Area.BUCKET,
    "a bucket that cuts every table off, during a fit",
    made="connection closed after 5,000 bytes",
    code=TROUBLE,
    told=("cannot read", TABLE, NETWORK),
    left=Left.NO_RUN,
)
def test_no_fit_is_of_a_part(proxy: Proxy, dataset: str, command: Command) -> None:
    proxy.harms = [Harm(path=TABLE, method="GET", cut_after=5000)]
    command("fit", dataset, AWS_ENDPOINT_URL=proxy.address)


# ------------------------------------------------------------------------------- not even reached


@trouble(
    "a name of the endpoint that nobody knows",
    "AWS_ENDPOINT_URL with a name under .invalid",
    "Could not connect",
    NETWORK,
)
def test_a_name_that_does_not_resolve(
    dataset: str, at_once: InThisProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://bucket.invalid")
    at_once("validate", dataset)


@pytest.mark.parametrize(
    "address",
    [
        pytest.param(
            address,
            marks=trouble(
                f"an endpoint that is {what}",
                f"AWS_ENDPOINT_URL={address}",
                "expected AWS_ENDPOINT_URL to be an address",
            ),
            id=what,
        )
        for what, address in (
            ("no address", "bucket one"),
            ("no address of the web", "ftp://host"),
            ("half an address", "http://[::1"),
        )
    ],
)
def test_an_endpoint_that_is_no_address(
    address: str, dataset: str, at_once: InThisProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", address)
    at_once("validate", dataset)


@trouble("no keys", "no AWS_ACCESS_KEY_ID", "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY")
def test_no_keys(
    dataset: str, at_once: InThisProcess, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    at_once("validate", dataset)


def certificate(folder: Path) -> Path:
    """A certificate for 127.0.0.1 that nobody has signed but itself, with its key."""
    from ipaddress import ip_address

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    signed = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False
        )
        .sign(key, hashes.SHA256())
    )
    path = folder / "certificate.pem"
    path.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        + signed.public_bytes(serialization.Encoding.PEM)
    )
    return path


@trouble(
    "a certificate that nobody knows",
    "an endpoint with TLS whose certificate has signed itself",
    "SSL validation failed",
    "AWS_CA_BUNDLE",
)
def test_a_certificate_nobody_knows(
    dataset: str, tmp_path: Path, at_once: InThisProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate(tmp_path))
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def shake_hands() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                try:
                    context.wrap_socket(connection, server_side=True).close()
                except OSError:
                    connection.close()

        threading.Thread(target=shake_hands, daemon=True).start()
        address = f"https://127.0.0.1:{listener.getsockname()[1]}"
        monkeypatch.setenv("AWS_ENDPOINT_URL", address)
        at_once("validate", dataset)
        listener.shutdown(socket.SHUT_RDWR)
