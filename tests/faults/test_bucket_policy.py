"""Keys that may do no more than docs/security.md gives. The endpoint enforces it.

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
from mlflow.store.artifact.s3_artifact_repo import S3ArtifactRepository

from deployments.exit_codes import DONE
from tasks.storage import find_files, stamp
from tests.faults.catalogue import Area, Left, fault
from tests.faults.commands import InThisProcess
from tests.integration.conftest import s3_bucket, s3_endpoint  # noqa: F401  # fixtures

pytestmark = [pytest.mark.integration]

PAGE = Path(__file__).resolve().parents[2] / "docs" / "security.md"
POLICIES = re.findall(r"```json\n(\{.*?\n\})\n```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
OF_WORKERS, OF_MLFLOW = POLICIES

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
        monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)  # it keeps the key of before
        requests.post(enforce, data=b"0", timeout=10)
        return f"s3://{s3_bucket}/releases/{screen.name}"

    yield limit
    requests.post(enforce, data=b"inf", timeout=10)


def refused(what: Callable[[], object]) -> bool:
    """Whether the endpoint knows this key, and refuses it this."""
    try:
        what()
    except ClientError as error:
        return bool(error.response["Error"]["Code"] == "AccessDenied")
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


def test_what_the_mlflow_server_needs(limited: Limited, s3_bucket: str, tmp_path: Path) -> None:  # noqa: F811
    """All that a server does with artifacts it does by a repository as this one."""
    dataset = limited(OF_MLFLOW)
    repository = S3ArtifactRepository(f"s3://{s3_bucket}/mlflow")
    small, large = tmp_path / "small.txt", tmp_path / "large.bin"
    small.write_text("of a run", encoding="utf-8")
    large.write_bytes(b"0" * 20_000_000)  # uploaded in parts
    for path in (small, large):
        repository.log_artifact(str(path), "1/run/artifacts")
    listed = [
        (Path(one.path).name, one.file_size) for one in repository.list_artifacts("1/run/artifacts")
    ]
    assert listed == [("large.bin", 20_000_000), ("small.txt", 8)]
    read = repository.download_artifacts("1/run/artifacts", str(tmp_path))
    assert (Path(read) / "large.bin").read_bytes() == large.read_bytes()
    client, release = boto3.client("s3"), f"releases/{Path(dataset).name}"
    # MLflow deletes many at once: it takes this of each, for which the endpoint asks the bucket.
    client.delete_object(Bucket=s3_bucket, Key="mlflow/1/run/artifacts/large.bin")
    assert [one.path for one in repository.list_artifacts("1/run/artifacts")] == [
        "1/run/artifacts/small.txt"
    ]
    assert refused(lambda: client.get_object(Bucket=s3_bucket, Key=release))
    assert refused(lambda: client.put_object(Bucket=s3_bucket, Key=release, Body=b""))
    assert refused(lambda: client.delete_object(Bucket=s3_bucket, Key=release))
    assert refused(lambda: client.delete_bucket(Bucket=s3_bucket))
