"""Addresses in a bucket that name no table, and rights that are not given.

A dataset file in a bucket may have been put there by anybody who may write to it. What it names is
looked for in buckets and nowhere else, with the keys of whoever reads it: no path in it leads to a
file of this machine, and no address to another service.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
import requests

from deployments.exit_codes import BAD_INPUT, DONE, TROUBLE
from tests.faults.catalogue import Area, Left, fault
from tests.faults.commands import InThisProcess
from tests.integration.conftest import s3_bucket, s3_endpoint  # noqa: F401  # fixtures

pytestmark = [pytest.mark.integration]


@pytest.fixture
def put(s3_endpoint: str, s3_bucket: str, screen: Path) -> str:  # noqa: F811
    """The bucket, with the simulated screen under `release/`."""
    client = boto3.client("s3", endpoint_url=s3_endpoint)
    for path in screen.parent.iterdir():
        client.upload_file(str(path), s3_bucket, f"release/{path.name}")
    return s3_bucket


@pytest.mark.parametrize(
    "named",
    [
        pytest.param(
            named,
            marks=fault(
                Area.BUCKET,
                f"a dataset file in a bucket that names {what}",
                made=f"`logfc: {named}`",
                code=BAD_INPUT,
                told=told,
                left=left,
            ),
            id=what,
        )
        for what, named, told, left in (
            (
                "a file of this machine",
                "/etc/hosts.csv",
                ("missing_file", "/etc/hosts.csv: expected a file, there is none"),
                Left.NO_RUN,
            ),
            (
                "a file of this machine, by going up",
                "../../../../../etc/hosts.csv",
                ("missing_file", "/etc/hosts.csv: expected a file, there is none"),
                Left.NO_RUN,
            ),
            (
                "a file of this machine, as an address",
                "file:///etc/hosts.csv",
                ("expected a path or an s3:// address", "fetch the file first"),
                Left.AS_BEFORE,
            ),
            (
                "a file of the home of whoever reads it",
                "~/a.csv",
                ("missing_file", "/release/~/a.csv: expected a file, there is none"),
                Left.NO_RUN,
            ),
            (
                "another service",
                "http://169.254.169.254/latest/meta-data.csv",
                ("expected a path or an s3:// address", "fetch the file first"),
                Left.AS_BEFORE,
            ),
            (
                "a chain of file systems",
                "simplecache::file:///etc/hosts.csv",
                ("expected a path or an s3:// address",),
                Left.AS_BEFORE,
            ),
            (
                "a bucket that is not there",
                "s3://no-such-bucket-of-ours/a.csv",
                ("missing_file", "expected a file, there is none"),
                Left.NO_RUN,
            ),
            (
                "what no bucket can be called",
                "s3://No_Bucket!/a.csv",
                ("missing_file", "no bucket can have such a name"),
                Left.NO_RUN,
            ),
            ("a folder of the bucket", "sub.csv", ("there is a folder",), Left.NO_RUN),
            ("an object of no bytes", "empty.csv", ("empty_file", "fetch it again"), Left.NO_RUN),
        )
    ],
)
def test_what_a_dataset_file_in_a_bucket_names(
    named: str,
    put: str,
    s3_endpoint: str,  # noqa: F811
    at_once: InThisProcess,
) -> None:
    client = boto3.client("s3", endpoint_url=s3_endpoint)
    client.put_object(Bucket=put, Key="release/sub.csv/marker", Body=b"")
    client.put_object(Bucket=put, Key="release/empty.csv", Body=b"")
    text = f"name: a\nrelease: b\nlibrary: c\nlogfc: '{named}'\n"
    client.put_object(Bucket=put, Key="release/other.yaml", Body=text.encode())
    at_once("validate", f"s3://{put}/release/other.yaml")


@pytest.mark.parametrize(
    "key",
    [
        pytest.param(
            key,
            marks=fault(
                Area.BUCKET,
                f"{what} in place of a dataset file",
                made=f"`validate s3://bucket/{key}`",
                code=BAD_INPUT,
                told=told,
                left=Left.AS_BEFORE,
            ),
            id=what,
        )
        for what, key, told in (
            ("no object", "none.yaml", ("expected a file, there is none", "correct the path")),
            ("a bucket alone", "", ("this is a bucket", "correct the path")),
            ("a folder", "release", ("there is a folder", "correct the path")),
            ("the marker of a folder", "marker/", ("there is a folder", "correct the path")),
            ("an object of no bytes", "empty", ("expected keys and values, got nothing",)),
        )
    ],
)
def test_what_is_no_dataset_file_in_a_bucket(
    key: str,
    put: str,
    s3_endpoint: str,  # noqa: F811
    at_once: InThisProcess,
) -> None:
    client = boto3.client("s3", endpoint_url=s3_endpoint)
    client.put_object(Bucket=put, Key="marker/", Body=b"")
    client.put_object(Bucket=put, Key="empty", Body=b"")
    at_once("validate", f"s3://{put}/{key}")


@fault(
    Area.BUCKET,
    "keys with blanks, percent signs, signs of a query and letters beyond ASCII",
    made="dataset file and table under `a b/ü%20 +&=?#`",
    code=DONE,
    told=("is valid: 0 error(s)",),
    left=Left.NO_RUN,
)
def test_a_key_may_hold_anything(
    put: str,
    s3_endpoint: str,  # noqa: F811
    screen: Path,
    at_once: InThisProcess,
) -> None:
    client = boto3.client("s3", endpoint_url=s3_endpoint)
    odd = "a b/ü%20 +&=?#"
    table = (screen.parent / "simulated_screen.csv").read_bytes()
    client.put_object(Bucket=put, Key=f"{odd}.csv", Body=table)
    text = screen.read_text().replace("simulated_screen.csv", "ü%20 +&=?#.csv")
    client.put_object(
        Bucket=put,
        Key=f"{odd}.yaml",
        Body=text.replace(": ü", ": 'ü").replace("#.csv", "#.csv'").encode(),
    )
    at_once("validate", f"s3://{put}/{odd}.yaml")


# ------------------------------------------------------------------------------------------ rights


@pytest.fixture
def allowed(
    put: str,
    s3_endpoint: str,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Any]:
    """Ask the endpoint for rights, and give those of a policy to the keys in the environment."""
    iam = boto3.client("iam", endpoint_url=s3_endpoint)
    iam.create_user(UserName="reader")
    keys = iam.create_access_key(UserName="reader")["AccessKey"]

    def allow(*statements: tuple[str, str]) -> str:
        policy = {
            "Version": "2012-10-17",
            "Statement": [
                {"Effect": "Allow", "Action": action, "Resource": f"arn:aws:s3:::{put}{resource}"}
                for action, resource in statements
            ],
        }
        iam.put_user_policy(UserName="reader", PolicyName="p", PolicyDocument=json.dumps(policy))
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", keys["AccessKeyId"])
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", keys["SecretAccessKey"])
        requests.post(f"{s3_endpoint}/moto-api/reset-auth", data=b"0", timeout=10)
        return f"s3://{put}/release/simulated_screen.yaml"

    yield allow
    requests.post(f"{s3_endpoint}/moto-api/reset-auth", data=b"inf", timeout=10)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    iam.delete_user_policy(UserName="reader", PolicyName="p")
    iam.delete_access_key(UserName="reader", AccessKeyId=keys["AccessKeyId"])
    iam.delete_user(UserName="reader")


def forbidden(what: str, made: str, *told: str) -> pytest.MarkDecorator:
    return fault(Area.BUCKET, what, made=made, code=TROUBLE, told=told, left=Left.AS_BEFORE)


EVERYTHING = ("s3:*", "/*")


@forbidden("an access key that nobody has", "AWS_ACCESS_KEY_ID of no user", "check that the keys")
def test_a_wrong_key(allowed: Any, at_once: InThisProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    dataset = allowed(EVERYTHING)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE")
    at_once("validate", dataset)


@forbidden("a wrong secret", "AWS_SECRET_ACCESS_KEY with a letter changed", "check that the keys")
def test_a_wrong_secret(
    allowed: Any, at_once: InThisProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset = allowed(EVERYTHING)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
    at_once("validate", dataset)


@forbidden(
    "a table that may not be read",
    "a policy that allows the dataset file alone",
    "cannot read",
    "simulated_screen.csv",
    "are right and may read it",
)
def test_a_table_that_may_not_be_read(allowed: Any, at_once: InThisProcess) -> None:
    at_once("validate", allowed(("s3:GetObject", "/release/simulated_screen.yaml")))


@forbidden(
    "a bucket that may be read and not listed",
    "a policy without s3:ListBucket, and a release folder",
    "cannot read",
    "/release: ",
    "may read it",
)
def test_a_folder_that_may_not_be_listed(
    allowed: Any,
    put: str,
    s3_endpoint: str,  # noqa: F811
    at_once: InThisProcess,
) -> None:
    text = b"name: a\nrelease: b\nlibrary: c\nfolder: release\n"
    boto3.client("s3", endpoint_url=s3_endpoint).put_object(Bucket=put, Key="f.yaml", Body=text)
    allowed(("s3:GetObject", "/*"))
    at_once("validate", f"s3://{put}/f.yaml")


@fault(
    Area.BUCKET,
    "only the rights that are needed",
    made="a policy of s3:GetObject on the tables, and nothing else",
    code=DONE,
    told=("is valid: 0 error(s)",),
    left=Left.NO_RUN,
)
def test_the_rights_that_are_needed_are_enough(allowed: Any, at_once: InThisProcess) -> None:
    at_once("validate", allowed(("s3:GetObject", "/release/*")))
