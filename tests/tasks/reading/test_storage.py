"""Local files and files in a bucket are opened alike, digested, and fail in two ways only."""

import hashlib
import os
from pathlib import Path

import boto3
import pytest

from tasks.reading import storage
from tasks.reading.storage import StoredFile, find_files, join, list_folder, parent, stamp


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def test_a_file_is_digested_while_it_is_read_through(tmp_path: Path, monkeypatch):
    content = os.urandom(3_000_001)
    (tmp_path / "a").write_bytes(content)
    stored, in_part = StoredFile(str(tmp_path / "a")), StoredFile(str(tmp_path / "a"))
    with stored.open() as stream:
        assert stream.read() == content
    with in_part.open() as stream:
        stream.seek(5)
        assert stream.read() == content[5:]
    assert in_part.sha256 == digest(content)
    monkeypatch.setattr(StoredFile, "open", lambda self: pytest.fail("read a second time"))
    assert stored.sha256 == digest(content)


@pytest.mark.parametrize(
    ("folder", "name", "place"),
    [
        ("/a", "b.csv", "/a/b.csv"),
        ("/a", "/b.csv", "/b.csv"),
        ("/a", "~/b.csv", str(Path.home() / "b.csv")),
        ("s3://bucket/a/", "b/c.csv", "s3://bucket/a/b/c.csv"),
        ("s3://bucket/a", ".", "s3://bucket/a"),
        ("s3://bucket/a/b", "../c.csv", "s3://bucket/a/c.csv"),
        ("s3://bucket", "./a//c.csv", "s3://bucket/a/c.csv"),
        ("s3://bucket/a", "s3://other/c.csv", "s3://other/c.csv"),
    ],
)
def test_names_are_relative_to_a_folder(folder: str, name: str, place: str):
    assert join(folder, name) == place
    assert parent(f"{folder.rstrip('/')}/b.yaml") == folder.rstrip("/")


@pytest.mark.integration
def test_a_bucket_is_connected_to_once_and_never_answers_from_memory(s3_bucket: str):
    client, folder = boto3.client("s3"), f"s3://{s3_bucket}/r"
    for missing in (f"{folder}/none.csv", "s3://nobucket/none.csv"):
        with pytest.raises(FileNotFoundError):
            StoredFile(missing).open()
    place, stamps, connections = f"{folder}/a.csv", [], set()
    for content in (b"first", b"second"):
        client.put_object(Bucket=s3_bucket, Key="r/a.csv", Body=content)
        assert StoredFile(place).sha256 == digest(content)
        stamps.append(stamp(place))
        assert find_files(folder, ".csv", 1) == [place]
        connections.add(id(storage._filesystem(place)))
    assert stamps[0].version != stamps[1].version
    assert stamps[0].is_digest and stamps[0].changed_at <= stamps[1].changed_at
    assert len(connections) == 1
    client.put_object(Bucket=s3_bucket, Key="r/b.csv", Body=b"x")
    assert sorted(list_folder(folder)) == ["a.csv", "b.csv"]
    client.delete_object(Bucket=s3_bucket, Key="r/a.csv")
    with pytest.raises(FileNotFoundError):
        stamp(place)
    assert find_files(folder, ".csv", 1) == [f"{folder}/b.csv"]
