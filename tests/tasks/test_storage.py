"""Local files and buckets are opened alike, digested on the way, and fail in two ways only."""

from __future__ import annotations

import hashlib
import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tasks import storage
from tasks.read_dataset import load_dataset
from tasks.read_tables import read_screen
from tasks.storage import (
    StorageError,
    StoredFile,
    find_files,
    join,
    list_folder,
    parent,
    stamp,
)


def test_a_file_read_through_is_digested_on_the_way(tmp_path: Path, monkeypatch):
    content = os.urandom(3_000_001)
    (tmp_path / "a").write_bytes(content)
    stored = StoredFile(str(tmp_path / "a"))
    with stored.open() as stream:
        assert stream.read() == content
    monkeypatch.setattr(StoredFile, "open", lambda self: pytest.fail("read a second time"))
    assert stored.sha256 == hashlib.sha256(content).hexdigest()


def test_a_file_read_in_part_or_out_of_order_is_digested_whole(tmp_path: Path):
    (tmp_path / "a").write_bytes(b"0123456789")
    stored = StoredFile(str(tmp_path / "a"))
    with stored.open() as stream:
        stream.seek(5)
        assert stream.read() == b"56789"
    with stored.open() as stream:
        assert stream.read(2) == b"01"
    assert stored.sha256 == hashlib.sha256(b"0123456789").hexdigest()


@pytest.mark.parametrize("name", ["none", "file/none", "folder"])
def test_a_missing_file_stays_a_missing_file(tmp_path: Path, name: str):
    (tmp_path / "file").touch()
    (tmp_path / "folder").mkdir()
    with pytest.raises(FileNotFoundError):
        StoredFile(str(tmp_path / name)).open()


def test_trouble_of_the_storage_has_location_and_mend(monkeypatch, tmp_path: Path):
    def refuse(location: str) -> None:
        raise PermissionError(13, "Permission denied")

    (tmp_path / "secret").touch()
    monkeypatch.setattr(storage, "_filesystem", refuse)
    with pytest.raises(StorageError, match=r"cannot read .*secret.*check that you may read it"):
        StoredFile(str(tmp_path / "secret")).open()


def test_trouble_on_the_way_is_a_storage_error_too(monkeypatch, tmp_path: Path):
    (tmp_path / "a").write_bytes(b"abc")
    stream = StoredFile(str(tmp_path / "a")).open()

    class Broken:
        def readinto(self, buffer: object) -> int:
            raise OSError("connection reset")

        def close(self) -> None:
            pass

    monkeypatch.setattr(stream.raw, "_file", Broken())
    with pytest.raises(StorageError, match="connection reset"):
        stream.read()


def test_places_are_seen_from_a_folder():
    assert join("/a", "b.csv") == "/a/b.csv"
    assert join("/a", "/b.csv") == "/b.csv"
    assert join("/a", "~/b.csv") == str(Path.home() / "b.csv")
    assert join("s3://bucket/a/", "b/c.csv") == "s3://bucket/a/b/c.csv"
    assert join("s3://bucket/a", ".") == "s3://bucket/a"
    assert join("s3://bucket/a/b", "../c.csv") == "s3://bucket/a/c.csv"
    assert join("s3://bucket", "./a//c.csv") == "s3://bucket/a/c.csv"
    assert join("s3://bucket/a", "s3://other/c.csv") == "s3://other/c.csv"
    assert parent("s3://bucket/a/b.yaml") == "s3://bucket/a"
    assert parent("/a/b.yaml") == "/a"


# ------------------------------------------------------------------------------------- a bucket


@pytest.fixture
def bucket(monkeypatch) -> Iterator[object]:
    import boto3
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(port=0)
    server.start()
    host, port = server.get_host_and_port()
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    client = boto3.client("s3")
    client.create_bucket(Bucket="screens")
    yield client
    server.stop()


@pytest.mark.integration
def test_a_dataset_in_a_bucket_is_read_as_on_disk(bucket, shared: Path, tmp_path: Path):
    sample = shared / "data/avana_sample"
    for file in sample.iterdir():
        bucket.upload_file(str(file), "screens", f"24Q4/{file.name}")
    text = "name: s\nrelease: sample\nlibrary: Avana\nfolder: "
    bucket.put_object(Bucket="screens", Key="s.yaml", Body=(text + "24Q4\n").encode())
    (tmp_path / "s.yaml").write_text(f"{text}{sample}\n")
    remote = read_screen(load_dataset("s3://screens/s.yaml"))
    local = read_screen(load_dataset(str(tmp_path / "s.yaml")))
    assert remote.logfc is not None and local.logfc is not None
    assert remote.unreadable == ()
    assert remote.logfc.source.location == "s3://screens/24Q4/AvanaLogfoldChange.csv.gz"
    assert remote.logfc.source.sha256 == local.logfc.source.sha256
    assert sum(len(block.guides) for block in remote.logfc.blocks()) == 3474
    assert remote.rna is not None and local.rna is not None
    assert remote.rna.values.equals(local.rna.values)


@pytest.mark.integration
def test_a_bucket_tells_missing_from_new_and_changed(bucket):
    with pytest.raises(FileNotFoundError):
        StoredFile("s3://screens/none.csv").open()
    with pytest.raises(FileNotFoundError):
        StoredFile("s3://nobucket/none.csv").open()
    for content in (b"first", b"second"):  # listings and handles made earlier must not be asked
        bucket.put_object(Bucket="screens", Key="r/a.csv", Body=content)
        assert StoredFile("s3://screens/r/a.csv").sha256 == hashlib.sha256(content).hexdigest()
    bucket.put_object(Bucket="screens", Key="r/b.csv", Body=b"x")
    assert sorted(list_folder("s3://screens/r")) == ["a.csv", "b.csv"]


@pytest.mark.integration
def test_a_bucket_is_connected_to_once_and_never_answers_from_memory(bucket):
    bucket.put_object(Bucket="screens", Key="once/a.csv", Body=b"first")
    first = storage._filesystem("s3://screens/once/a.csv")
    before = stamp("s3://screens/once/a.csv"), find_files("s3://screens/once", ".csv", 1)
    bucket.put_object(Bucket="screens", Key="once/a.csv", Body=b"second")
    bucket.put_object(Bucket="screens", Key="once/b.csv", Body=b"new")
    assert storage._filesystem("s3://screens/once/b.csv") is first
    assert stamp("s3://screens/once/a.csv").version != before[0].version
    assert len(find_files("s3://screens/once", ".csv", 1)) == len(before[1]) + 1
    bucket.delete_object(Bucket="screens", Key="once/a.csv")
    with pytest.raises(FileNotFoundError):
        stamp("s3://screens/once/a.csv")


@pytest.mark.integration
def test_a_refused_connection_is_a_storage_error(monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    with pytest.raises(StorageError, match="check the network and AWS_ENDPOINT_URL"):
        StoredFile("s3://screens/a.csv").open()


@pytest.mark.integration
def test_a_silent_host_is_given_up_soon(monkeypatch):
    monkeypatch.setattr(storage, "READ_TIMEOUT", 1)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{silent.getsockname()[1]}")
        start = time.monotonic()
        with pytest.raises(StorageError):
            StoredFile("s3://screens/a.csv").open()
        assert time.monotonic() - start < 60
