"""Keys that may do no more than docs/security.md gives to workers. The endpoint enforces it.

It holds actions and resources against the policy of a key; conditions it does not look at.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import uuid4

import boto3
import pytest
import requests
from botocore.exceptions import ClientError

from deployments.exit_codes import DONE
from tasks.storage import find_files, stamp
from tests.faults.catalogue import Area, Left, fault
from tests.faults.commands import InThisProcess
from tests.integration.conftest import s3_bucket, s3_endpoint  # noqa: F401  # fixtures

pytestmark = [pytest.mark.integration]

PAGE = Path(__file__).resolve().parents[2] / "docs" / "security.md"
POLICIES = re.findall(r"```json\n(\{.*?\n\})\n```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
OF_WORKERS, _ = POLICIES

Limited = Callable[[str], str]


@pytest.fixture
def limited(
    s3_endpoint: str,  # noqa: F811
    s3_bucket: str,  # noqa: F811
    screen: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Limited]:
    """Let the environment have a key of this policy; return the dataset file in the bucket."""
    client = boto3.client("s3")
    for folder in ("releases", "others"):
        for path in screen.parent.iterdir():
            client.upload_file(str(path), s3_bucket, f"{folder}/{path.name}")
    enforce = f"{s3_endpoint}/moto-api/reset-auth"

    def limit(policy: str) -> str:
        iam = boto3.client("iam", endpoint_url=s3_endpoint)
        user = f"user-{uuid4().hex}"
        iam.create_user(UserName=user)
        text = policy.replace("BUCKET", s3_bucket)
        iam.put_user_policy(UserName=user, PolicyName="ours", PolicyDocument=text)
        key = iam.create_access_key(UserName=user)["AccessKey"]
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", key["AccessKeyId"])
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", key["SecretAccessKey"])
        requests.post(enforce, data=b"0", timeout=10)
        return f"s3://{s3_bucket}/releases/{screen.name}"

    yield limit
    requests.post(enforce, data=b"inf", timeout=10)


def refused(what: Callable[[], object]) -> bool:
    """Whether the endpoint refuses it to this key."""
    try:
        what()
    except ClientError as error:
        return bool(error.response["ResponseMetadata"]["HTTPStatusCode"] == 403)
    return False


@fault(
    Area.BUCKET,
    "keys that may do no more than the page on security gives to workers",
    made="that policy, at an endpoint that enforces it",
    code=DONE,
    told=("is valid: 0 error(s)",),
    left=Left.NO_RUN,
)
def test_what_workers_need(limited: Limited, at_once: InThisProcess, s3_bucket: str) -> None:  # noqa: F811
    dataset = limited(OF_WORKERS)
    at_once("validate", dataset)
    assert find_files(f"s3://{s3_bucket}/releases", ".yaml", 2) == [dataset]
    assert stamp(dataset).is_of_content
    client = boto3.client("s3")
    assert refused(lambda: client.put_object(Bucket=s3_bucket, Key="releases/a", Body=b""))
    assert refused(lambda: client.delete_object(Bucket=s3_bucket, Key="releases/a"))
    assert refused(lambda: client.get_object(Bucket=s3_bucket, Key=f"others/{Path(dataset).name}"))
