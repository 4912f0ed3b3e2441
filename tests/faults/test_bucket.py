"""Buckets that are slow, refuse, or change under the reader, and what dataset files in them name.

A dataset file in a bucket may have been put there by anybody who may write to it: no path in it
leads to a file of this machine, and no address to another service.
"""

import json
import re
from pathlib import Path
from uuid import uuid4

import boto3
import pytest
import requests
from botocore.exceptions import ClientError
from distributed.security import Security
from mlflow.store.artifact.s3_artifact_repo import S3ArtifactRepository

from tasks.reading import storage
from tasks.reading.storage import find_files, stamp
from tests.faults.catalogue import Area, Classes, marks, variants
from tests.faults.fake_servers import answering
from tests.faults.proxy import Harm, Proxy

pytestmark = [pytest.mark.integration]

TABLE = "simulated_screen.csv"
KEY = f"releases/{TABLE}"


done, bad, trouble = marks(Area.BUCKET)
VALID = "is valid: 0 error(s)"


class Bucket:
    """A bucket with the simulated screen under `releases/`."""

    def __init__(self, name: str, screen: Path) -> None:
        self.name = name
        self.client = boto3.client("s3")
        for path in screen.parent.iterdir():
            self.put(f"releases/{path.name}", path.read_bytes())
        self.dataset = self.at(f"releases/{screen.name}")

    def at(self, key: str) -> str:
        return f"s3://{self.name}/{key}"

    def put(self, key: str, content: bytes = b"") -> None:
        self.client.put_object(Bucket=self.name, Key=key, Body=content)


@pytest.fixture
def bucket(s3_bucket, screen):
    return Bucket(s3_bucket, screen)


@pytest.fixture
def proxy(s3_endpoint, bucket, monkeypatch):
    """A proxy before the bucket, to which the environment points."""
    with Proxy(s3_endpoint).listening() as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.address)
        monkeypatch.setattr(storage, "READ_TIMEOUT", 1)
        yield proxy


def on_get(**harm) -> Harm:
    return Harm(path=TABLE, method="GET", **harm)


NETWORK = "check the network and AWS_ENDPOINT_URL"
TOO_OFTEN = "limits the rate of requests; wait"


def reading(resource: str) -> str:
    """A policy to read this, and no more."""
    allowed = {"Effect": "Allow", "Action": "s3:GetObject", "Resource": f"arn:aws:s3:::{resource}"}
    return json.dumps({"Version": "2012-10-17", "Statement": [allowed]})


NO_ADDRESS = "expected AWS_ENDPOINT_URL to be an address"
NO_KEYS = {"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""}
NO_KEYS |= {"AWS_SHARED_CREDENTIALS_FILE": "none", "AWS_EC2_METADATA_DISABLED": "true"}
NO_FILE = "expected a file, there is none"
NOT_FETCHED = "expected a path or an s3:// address"
SECURITY = Path(__file__).resolve().parents[2] / "docs" / "security.md"
OF_WORKERS, OF_MLFLOW = re.findall(r"```json\n(\{.*?\n\})\n```", SECURITY.read_text(), re.DOTALL)
# fmt: off
HARMS = (
    (done("a slow bucket", VALID), (
        (on_get(bytes_a_second=20_000),),)),
    (done("a bucket that fails once", VALID), (
        (on_get(cut_after=5000, times=1),),
        (Harm(path=TABLE, reset=True, times=1),),
        (Harm(path=TABLE, refuse=(503, "SlowDown"), times=1),),
        (Harm(path=TABLE, refuse=(429, "TooManyRequests"), times=1),),
        (Harm(refuse=(500, "InternalError"), times=1),))),
    (trouble("the bucket stops answering", TABLE), (
        (on_get(silent=True), "timeout"),)),
    (trouble("every read of a table is cut off", TABLE), (
        (on_get(cut_after=5000), "received 5000 of", NETWORK),)),
    (trouble("a table arrives shorter than stored", TABLE), (
        (on_get(shorten_by=5000), "checksum"),)),
    (trouble("every connection is reset", TABLE), (
        (Harm(path=TABLE, reset=True), NETWORK),)),
    (trouble("too many requests", TABLE, TOO_OFTEN), (
        (Harm(path=TABLE, refuse=(503, "SlowDown")),),
        (Harm(path=TABLE, refuse=(429, "TooManyRequests")),),
        (on_get(refuse=(503, "SlowDown")),))),
    (trouble("the bucket returns errors", "then run again"), (
        (Harm(refuse=(500, "InternalError")), "cannot read"),)),
    (trouble("the wrong region", "AWS_DEFAULT_REGION is the region"), (
        (Harm(path=TABLE, method="HEAD", refuse=(301, "PermanentRedirect")),),)),
    (trouble("an expired token", "AWS_SESSION_TOKEN"), (
        (Harm(method="HEAD", refuse=(400, "ExpiredToken")), "has not expired"),
        (on_get(refuse=(403, "ExpiredToken")), "get new keys"))),
    (trouble("the clock is wrong", "set the clock of this machine"), (
        (on_get(refuse=(403, "RequestTimeTooSkewed")),),)),
)
ENVIRONMENTS = (
    (trouble("an unknown endpoint", NETWORK), (
        ({"AWS_ENDPOINT_URL": "http://bucket.invalid"}, "Could not connect"),)),
    (trouble("an invalid endpoint", NO_ADDRESS), (
        ({"AWS_ENDPOINT_URL": "bucket one"},), ({"AWS_ENDPOINT_URL": "ftp://host"},),
        ({"AWS_ENDPOINT_URL": "http://[::1"},))),
    (trouble("no keys", "set AWS_ACCESS_KEY_ID"), (
        (NO_KEYS, "AWS_SECRET_ACCESS_KEY"),)),
)
NAMES = (
    # `logfc:` of a dataset file in the bucket; or the address itself
    (bad("a dataset file in a bucket names a local file"), (
        ("/etc/hosts.csv", f"/etc/hosts.csv: {NO_FILE}"),
        ("../../../../../etc/hosts.csv", f"/etc/hosts.csv: {NO_FILE}"),
        ("~/a.csv", f"/releases/~/a.csv: {NO_FILE}"),
        ("file:///etc/hosts.csv", NOT_FETCHED),
        ("simplecache::file:///etc/hosts.csv", NOT_FETCHED))),
    (bad("a dataset file in a bucket names another service",
             NOT_FETCHED), (("http://169.254.169.254/a.csv", "fetch the file first"),)),
    (bad("a dataset file in a bucket names no table"), (
        ("s3://no-such-bucket-of-ours/a.csv", NO_FILE),
        ("s3://No_Bucket!/a.csv", "no bucket can have such a name"),
        ("sub.csv", "there is a folder"),
        ("empty.csv", "fetch it again"))),
    (bad("not a dataset file in a bucket"), (
        ("BUCKET/none.yaml", f"{NO_FILE}; correct the path"),
        ("BUCKET/", "this is a bucket"),
        ("BUCKET/releases", "there is a folder; correct the path"),
        ("BUCKET/marker/", "there is a folder; correct the path"),
        ("BUCKET/releases/empty.csv", "expected keys and values, got nothing"))),
)
RIGHTS: Classes = (
    (trouble("wrong keys", "check that the keys"), (
        (OF_WORKERS, "folder: .", {"AWS_ACCESS_KEY_ID": "AKIAIOSFODNN7EXAMPLE"}),
        (OF_WORKERS, "folder: .", {"AWS_SECRET_ACCESS_KEY": "wrong"}))),
    (trouble("missing rights", "may read it"), (
        (reading("*/*.yaml"), f"logfc: {TABLE}", {}, "cannot read", TABLE),
        (reading("*"), "folder: .", {}, "cannot read", "/releases: "))),
)
# fmt: on


@pytest.mark.parametrize(("harm", "told"), variants(HARMS))
def test_a_bucket_that_fails(harm, told, proxy, bucket, command):
    proxy.harms = [harm]
    left = harm.times
    command("validate", bucket.dataset, told=told)
    assert harm.times < left or left == float("inf"), "the harm was never done"


@trouble("a table changes while it is read", TABLE)
@pytest.mark.parametrize(("skip", "change"), [(0, "replaced"), (1, "replaced"), (1, "deleted")])
def test_a_table_is_of_one_version_or_not_read(skip, change, proxy, bucket, screen, command):
    def do() -> None:
        if change == "deleted":
            bucket.client.delete_object(Bucket=bucket.name, Key=KEY)
        else:
            bucket.put(KEY, (screen.parent / TABLE).read_bytes()[:-999])

    proxy.harms = [on_get(first=do, skip=skip, times=1)]
    command("validate", bucket.dataset, told=(f"was {change} while it was read",))


@pytest.mark.parametrize(("environment", "told"), variants(ENVIRONMENTS))
def test_a_bucket_that_is_not_reached(environment, told, bucket, command):
    command("validate", bucket.dataset, told=told, **environment)


@trouble("an untrusted certificate", "AWS_CA_BUNDLE")
def test_a_certificate_that_is_not_trusted(bucket, tmp_path, command):
    own = Security.temporary()
    pem = tmp_path / "certificate.pem"
    pem.write_text(own.tls_scheduler_key + own.tls_scheduler_cert)
    with answering(200, "", pem) as address:
        told = ("SSL validation failed",)
        command("validate", bucket.dataset, told=told, AWS_ENDPOINT_URL=address)


@pytest.mark.parametrize(("named", "told"), variants(NAMES))
def test_a_name_in_a_bucket_that_is_refused(named, told, bucket, command):
    for key in ("releases/sub.csv/marker", "releases/empty.csv", "marker/"):
        bucket.put(key)
    text = f"name: a\nrelease: b\nlibrary: c\nlogfc: '{named}'\n"
    bucket.put("releases/other.yaml", text.encode())
    address = named if "BUCKET" in named else "BUCKET/releases/other.yaml"
    command("validate", address.replace("BUCKET", f"s3://{bucket.name}"), told=told)


@done("a key with blanks, query signs, non-ASCII letters", VALID)
def test_a_key_may_hold_anything(bucket, screen, command):
    odd = "a b/ü%20 +&=?#"
    bucket.put(f"{odd}.csv", (screen.parent / TABLE).read_bytes())
    bucket.put(f"{odd}.yaml", screen.read_text().replace(TABLE, "'ü%20 +&=?#.csv'").encode())
    command("validate", bucket.at(f"{odd}.yaml"))


@pytest.fixture
def limit(bucket, s3_endpoint, monkeypatch):
    """Let the environment have a key of a policy, which the endpoint enforces."""
    iam = boto3.client("iam")

    def limit(policy: str) -> None:
        user = f"user-{uuid4().hex}"
        iam.create_user(UserName=user)
        text = policy.replace("BUCKET", bucket.name)
        iam.put_user_policy(UserName=user, PolicyName="ours", PolicyDocument=text)
        key = iam.create_access_key(UserName=user)["AccessKey"]
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", key["AccessKeyId"])
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", key["SecretAccessKey"])
        monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)  # it keeps the key of before
        requests.post(f"{s3_endpoint}/moto-api/reset-auth", data=b"0", timeout=10)

    yield limit
    requests.post(f"{s3_endpoint}/moto-api/reset-auth", data=b"inf", timeout=10)


@pytest.mark.parametrize(("policy", "named", "keys", "told"), variants(RIGHTS, 3))
def test_rights_that_are_not_enough(policy, named, keys, told, limit, bucket, command):
    bucket.put("releases/other.yaml", f"name: a\nrelease: b\nlibrary: c\n{named}\n".encode())
    limit(policy)
    command("validate", bucket.at("releases/other.yaml"), told=told, **keys)


def denied(what, **arguments) -> bool:
    try:
        what(**arguments)
    except ClientError as error:
        return bool(error.response["Error"]["Code"] == "AccessDenied")
    return False


@done(
    "keys with [minimal rights](security.md#the-bucket)",
    VALID,
)
def test_the_rights_of_workers_are_enough(limit, bucket, command):
    bucket.put("others/a.csv")
    limit(OF_WORKERS)
    command("validate", bucket.dataset)
    assert find_files(bucket.at("releases"), ".yaml", 2) == [bucket.dataset]
    assert stamp(bucket.dataset).is_digest
    client = boto3.client("s3")
    assert denied(client.put_object, Bucket=bucket.name, Key="releases/a", Body=b"")
    assert denied(client.delete_object, Bucket=bucket.name, Key=KEY)
    assert denied(client.get_object, Bucket=bucket.name, Key="others/a.csv")


def test_the_rights_of_the_mlflow_server_are_enough(limit, bucket, tmp_path):
    """All that a server does with artifacts it does by a repository as this one."""
    limit(OF_MLFLOW)
    repository = S3ArtifactRepository(bucket.at("mlflow"))
    for name, size in (("large.bin", 20_000_000), ("small.txt", 8)):  # one is uploaded in parts
        (tmp_path / name).write_bytes(b"0" * size)
        repository.log_artifact(str(tmp_path / name), "1/run")
    listed = [(one.path, one.file_size) for one in repository.list_artifacts("1/run")]
    assert listed == [("1/run/large.bin", 20_000_000), ("1/run/small.txt", 8)]
    (tmp_path / "read").mkdir()
    read = Path(repository.download_artifacts("1/run", str(tmp_path / "read")))
    assert (read / "large.bin").read_bytes() == b"0" * 20_000_000
    # MLflow deletes many at once: it takes this of each, for which the endpoint asks the bucket.
    client = boto3.client("s3")
    client.delete_object(Bucket=bucket.name, Key="mlflow/1/run/large.bin")
    assert len(repository.list_artifacts("1/run")) == 1
    assert denied(client.get_object, Bucket=bucket.name, Key=KEY)
    assert denied(client.put_object, Bucket=bucket.name, Key=KEY, Body=b"")
    assert denied(client.delete_object, Bucket=bucket.name, Key=KEY)
    assert denied(client.delete_bucket, Bucket=bucket.name)
