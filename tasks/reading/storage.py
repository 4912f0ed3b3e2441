"""Reads, lists and digests files on local disks and in buckets (`s3://`).

Endpoint and keys of a bucket come from the environment (`AWS_ENDPOINT_URL`, `AWS_ACCESS_KEY_ID`,
`AWS_SECRET_ACCESS_KEY`).
"""

from __future__ import annotations

import errno
import hashlib
import io
import os
import posixpath
import re
import stat
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

import aiohttp
import fsspec
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    NoCredentialsError,
    ParamValidationError,
    SSLError,
)
from s3fs.utils import FileExpired

from schemas.errors import ExternalServiceError

CONNECT_TIMEOUT = 5
"""Seconds to wait for a connection to a bucket."""
READ_TIMEOUT = 15
"""Seconds to wait for its answer."""
ATTEMPTS = 2
"""Attempts of botocore, and of s3fs: by default a silent host takes seven minutes."""

MAX_TEXT_BYTES = 1 << 20
"""Largest dataset file, in bytes; most have 300."""

_CHUNK = 1 << 20


class StorageError(ExternalServiceError):
    """Storage cannot be reached, or denies access."""

    def __init__(self, location: str, cause: Exception) -> None:
        super().__init__(
            f"cannot read {location}: {cause or type(cause).__name__}; {_remedy(cause)}"
        )


class FileReplaced(StorageError):
    """The file changed between reads."""

    def __init__(self, location: str, what: str) -> None:
        ExternalServiceError.__init__(
            self,
            f"{location} was {what} while it was read; run again when nobody writes to it",
        )


class NoSuchFile(FileNotFoundError):
    """There is no such file; `why` says what was found, as the end of a sentence."""

    def __init__(self, location: str, why: str = "there is none") -> None:
        super().__init__(f"no file {location}" + ("" if why == "there is none" else f": {why}"))
        self.why = why


class TextTooLong(ValueError):
    """A text file exceeds MAX_TEXT_BYTES."""


class StoredFile:
    """A stored file; reading it from start to end also computes its digest.

    Raises FileReplaced if its content changes between reads.
    """

    def __init__(self, location: str) -> None:
        self.location = location
        self._sha256: str | None = None
        self._version: str | None = None

    def open(self) -> io.BufferedReader:
        """Open the file; raise NoSuchFile or, also while reading, StorageError."""
        reader = _Reader(self.location, self._remember)
        if self._version is None:
            self._version = reader.version
        elif self._version != reader.version:
            reader.close()
            raise FileReplaced(self.location, "replaced")
        return io.BufferedReader(reader, _CHUNK)

    @property
    def sha256(self) -> str:
        """SHA-256 of the file, in hex."""
        if self._sha256 is None:
            with self.open() as stored:
                while stored.read(_CHUNK):
                    pass
        assert self._sha256 is not None
        return self._sha256

    def _remember(self, sha256: str) -> None:
        self._sha256 = sha256


def read_text(location: str) -> str:
    """Return the content of a small text file.

    Raises NoSuchFile, StorageError, UnicodeDecodeError, or TextTooLong beyond MAX_TEXT_BYTES.
    """
    with StoredFile(location).open() as stored:
        content = stored.read(MAX_TEXT_BYTES + 1)
    if len(content) > MAX_TEXT_BYTES:
        raise TextTooLong(location)
    return content.decode("utf-8-sig")


def list_folder(location: str) -> list[str]:
    """Return the names of the files in a folder; raise FileNotFoundError or StorageError."""
    with _storage_errors(location):
        filesystem = _filesystem(location)
        entries = filesystem.ls(location, detail=True)
    # Links count as files.
    return [Path(entry["name"]).name for entry in entries if entry["type"] != "directory"]


@dataclass(frozen=True)
class Stamp:
    """Version of a file, obtained without reading it."""

    location: str
    version: str
    """Changes with the content: the ETag in a bucket; size, inode and times on a disk."""
    is_digest: bool
    """Whether equal versions in different places mean equal content."""
    changed_at: datetime
    """Time of the last change, by the clock of the storage."""


def stamp(location: str) -> Stamp:
    """Return the stamp of a file; raise FileNotFoundError or StorageError."""
    with _storage_errors(location):
        found = _filesystem(location).info(location)
    if location.startswith("s3://"):
        etag = str(found.get("ETag") or "").strip('"')
        version = f"{etag} {found['size']}" if etag else f"{found['LastModified']} {found['size']}"
        return Stamp(location, version, bool(etag), found["LastModified"])
    # The change time of the inode: unlike the modification time, programs cannot set it.
    changed = found["created"]
    version = f"{found['size']} {found['ino']} {found['mtime']!r} {found['created']!r}"
    return Stamp(location, version, False, datetime.fromtimestamp(changed, UTC))


def find_files(folder: str, ending: str, levels: int) -> list[str]:
    """Return the sorted files up to `levels` deep under a folder whose names end with `ending`.

    Raises FileNotFoundError if there is no such folder, or StorageError.
    """
    with _storage_errors(folder):
        filesystem = _filesystem(folder)
        if not filesystem.isdir(folder):
            raise FileNotFoundError(folder)
        found = filesystem.find(folder, maxdepth=levels)
    scheme = "s3://" if folder.startswith("s3://") else ""
    return sorted(f"{scheme}{name}" for name in found if name.endswith(ending))


def join(folder: str, name: str) -> str:
    """Return `name` relative to a folder; absolute paths and addresses are returned unchanged."""
    if "://" in name:
        return name
    if "://" in folder:
        bucket, *path = folder.removeprefix("s3://").rstrip("/").split("/")
        # A bucket has no folders: `.` and `..` would be names.
        return f"s3://{bucket}{posixpath.normpath(posixpath.join('/', *path, name))}"
    return str(Path(folder) / _expand_home(name))


def _expand_home(name: str) -> Path:
    """Return a path with `~` expanded, unless no such user exists."""
    try:
        return Path(name).expanduser()
    except (RuntimeError, ValueError):  # no such user, or an invalid name
        return Path(name)


def parent(location: str) -> str:
    """Return the folder of a file."""
    if "://" in location:
        return location.rsplit("/", 1)[0]
    return str(Path(location).absolute().parent)


def _filesystem(location: str) -> Any:
    if "\0" in location:  # invalid on every system
        raise FileNotFoundError(location)
    if not location.startswith("s3://"):
        return fsspec.filesystem("file")
    endpoint = os.environ.get("AWS_ENDPOINT_URL", "")
    if endpoint and not re.match(r"https?://[^/\s\[]+|https?://\[[^/\s]+\]", endpoint):
        raise ExternalServiceError(
            f"expected AWS_ENDPOINT_URL to be an address such as https://host:port, got "
            f"{endpoint!r}; correct it"
        )
    settings = tuple(sorted(pair for pair in os.environ.items() if pair[0].startswith("AWS_")))
    return _bucket(settings, READ_TIMEOUT, os.getpid(), threading.get_ident())


@lru_cache(maxsize=16)
def _bucket(settings: tuple[tuple[str, str], ...], read_timeout: int, *user: int) -> Any:
    """Return a cached client for these settings, process and thread.

    Creating one takes up to half a second; listing thirty releases needs three hundred requests.
    """
    filesystem = fsspec.filesystem(
        "s3",
        skip_instance_cache=True,  # fsspec's cache ignores the environment
        use_listings_cache=False,  # always list anew
        config_kwargs={
            "connect_timeout": CONNECT_TIMEOUT,
            "read_timeout": read_timeout,
            "retries": {"max_attempts": ATTEMPTS},
        },
    )
    filesystem.retries = ATTEMPTS
    return filesystem


class _Reader(io.RawIOBase):
    """Raw reader that computes the digest if the file is read sequentially to its end."""

    def __init__(self, location: str, remember: Callable[[str], None]) -> None:
        self._location = location
        self._remember = remember
        self._sha256 = hashlib.sha256()
        self._in_order = True
        with _storage_errors(location):
            if not location.startswith("s3://"):
                _require_plain(location)
            elif not location.removeprefix("s3://").partition("/")[2]:
                raise NoSuchFile(location, "this is a bucket, expected s3://bucket/key")
            self._file = _filesystem(location).open(location, "rb")
            if (
                location.endswith("/")
                or getattr(self._file, "details", {}).get("type") == "directory"
            ):
                raise NoSuchFile(location, "there is a folder")
            self.version = self._version_now()

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        try:
            with _storage_errors(self._location):
                size: int = self._file.readinto(buffer)
                unchanged = size > 0 or self.version == self._version_now()
        except FileNotFoundError as error:  # it existed when opened
            raise FileReplaced(self._location, "deleted") from error
        if not unchanged:
            raise FileReplaced(self._location, "changed")
        if self._in_order:
            if size:
                self._sha256.update(memoryview(buffer)[:size])
            else:
                self._remember(self._sha256.hexdigest())
        return size

    def _version_now(self) -> str:
        """Return a version that changes with the content; buckets refuse to read on in another."""
        if self._location.startswith("s3://"):
            return f"{self._file.details.get('ETag')} {self._file.size}"
        found = Path(self._location).stat()
        return f"{found.st_size} {found.st_mtime_ns} {found.st_ino}"

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._in_order = False
        position: int = self._file.seek(offset, whence)
        return position

    def tell(self) -> int:
        position: int = self._file.tell()
        return position

    def close(self) -> None:
        if not self.closed:
            self._file.close()
        super().close()


@contextmanager
def _storage_errors(location: str) -> Iterator[None]:
    """Convert errors of storage libraries to StorageError, and of missing files to NoSuchFile."""
    try:
        yield
    except NoSuchFile:
        raise
    except (FileNotFoundError, NotADirectoryError) as error:
        raise NoSuchFile(location) from error
    except IsADirectoryError as error:
        raise NoSuchFile(location, "there is a folder") from error
    except ParamValidationError as error:
        raise NoSuchFile(location, "no bucket can have such a name") from error
    except FileExpired as error:
        raise FileReplaced(location, "replaced") from error
    except (OSError, BotoCoreError, ClientError, aiohttp.ClientError) as error:
        raise StorageError(location, error) from error


_KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


def _require_plain(path: str) -> None:
    """Raise NoSuchFile unless `path` is a regular file: pipes block, devices have no end."""
    try:
        mode = Path(path).stat().st_mode
    except ValueError:
        raise NoSuchFile(path, "its name holds a NUL") from None
    except OSError as error:
        why = {errno.ENAMETOOLONG: "its name is too long", errno.ELOOP: "its links run in a circle"}
        if error.errno in why:
            raise NoSuchFile(path, why[error.errno]) from None
        raise
    if not stat.S_ISREG(mode):
        raise NoSuchFile(path, f"there is {_KINDS.get(stat.S_IFMT(mode), 'something else')}")


def _remedy(cause: Exception) -> str:
    if isinstance(cause, NoCredentialsError):
        return "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
    if isinstance(cause, SSLError):
        return "check AWS_ENDPOINT_URL; AWS_CA_BUNDLE names a file of trusted certificates"
    answer = getattr(cause.__cause__, "response", None)
    if isinstance(answer, dict):
        # The first request to a bucket is answered by a status code alone.
        code = str(answer.get("Error", {}).get("Code"))
        if remedy := next((remedy for codes, remedy in _REMEDIES.items() if code in codes), None):
            return remedy
    if isinstance(cause, PermissionError):
        return "check that you may read it"
    return "check the network and AWS_ENDPOINT_URL, then run again"


_REMEDIES = {
    ("403", "AccessDenied", "AllAccessDisabled", "InvalidObjectState"): (
        "check that the keys (AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY) are right and may read it"
    ),
    ("ExpiredToken", "InvalidToken", "TokenRefreshRequired"): (
        "get new keys: AWS_SESSION_TOKEN has expired"
    ),
    ("InvalidAccessKeyId", "SignatureDoesNotMatch"): (
        "check AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
    ),
    ("RequestTimeTooSkewed",): "set the clock of this machine",
    ("429", "503", "SlowDown", "ServiceUnavailable", "TooManyRequests"): (
        "the bucket limits the rate of requests; wait, and run again"
    ),
    ("301", "307", "400", "PermanentRedirect", "AuthorizationHeaderMalformed"): (
        "check that AWS_DEFAULT_REGION is the region of the bucket, AWS_ENDPOINT_URL its endpoint, "
        "and that AWS_SESSION_TOKEN, if set, has not expired"
    ),
}
"""Remedy by the error code of the bucket."""
