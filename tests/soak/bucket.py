"""The bucket of a soak: an S3 endpoint in a process of its own behind a proxy, and its writer.

What is written, and what has to be fitted of it, is `tests.soak.releases`.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import requests

from tests.faults.proxy import Harm, Proxy
from tests.integration.processes import Server, free_port


@dataclass(frozen=True)
class Bucket:
    """Where releases land; who uploads them goes past the proxy, and is never in trouble."""

    proxy: Proxy
    moto: Server
    direct: str
    """Address of the endpoint itself."""

    @contextmanager
    def harmed(self, harm: Harm) -> Iterator[list[str]]:
        """Do this to whoever asks within the block; the list is of the requests that come."""
        before = len(self.proxy.seen)
        came: list[str] = []
        self.proxy.harms.append(harm)
        try:
            yield came
        finally:
            self.proxy.harms.remove(harm)
            came += self.proxy.seen[before:]

    def put(self, bucket: str, key: str, content: bytes, *, in_parts: bool = False) -> None:
        """Upload an object; in parts its ETag is another, whatever its content."""
        s3 = self._client()
        if not in_parts:
            s3.put_object(Bucket=bucket, Key=key, Body=content)
            return
        upload = s3.create_multipart_upload(Bucket=bucket, Key=key)["UploadId"]
        part = s3.upload_part(Bucket=bucket, Key=key, UploadId=upload, PartNumber=1, Body=content)
        s3.complete_multipart_upload(
            Bucket=bucket,
            Key=key,
            UploadId=upload,
            MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]},
        )

    def _client(self) -> Any:
        return boto3.client(
            "s3",
            endpoint_url=self.direct,
            aws_access_key_id="testing",
            aws_secret_access_key="testing",
            region_name="us-east-1",
        )


@contextmanager
def running_bucket(folder: Path) -> Iterator[Bucket]:
    """Bring endpoint and proxy up, and take them down."""
    port = free_port()
    command = [sys.executable, "-m", "moto.server", "--host", "127.0.0.1", "--port", str(port)]
    moto = Server("moto", folder, command, {})
    direct = f"http://127.0.0.1:{port}"
    moto.start(lambda: requests.get(f"{direct}/moto-api/", timeout=5).ok)
    try:
        with Proxy(direct).listening() as proxy:
            yield Bucket(proxy, moto, direct)
    finally:
        moto.stop()
