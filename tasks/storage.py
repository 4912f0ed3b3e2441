"""Opening stored bytes, on a local disk and in a bucket (`s3://`) alike, and their digest.

What the bytes mean belongs in the readers. Endpoint and keys of a bucket come from the environment
alone (`AWS_ENDPOINT_URL`, `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`).
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

from schemas.errors import EnvironmentTrouble

CONNECT_TIMEOUT = 5
"""Seconds to wait for a bucket to take the connection."""
READ_TIMEOUT = 15
"""Seconds to wait for its answer."""
ATTEMPTS = 2
"""Tries of botocore, and of s3fs around it: by default a silent host takes seven minutes."""

MOST_TEXT = 1 << 20
"""Bytes of a dataset file, at most; most have 300."""

_CHUNK = 1 << 20


class StorageError(EnvironmentTrouble):
    """Storage that cannot be reached or may not be read: trouble of the place, not of the data."""

    def __init__(self, location: str, cause: Exception) -> None:
        super().__init__(f"cannot read {location}: {cause or type(cause).__name__}; {_mend(cause)}")


class FileReplaced(StorageError):
    """A file that is another one than when it was first opened: what was read would be of two."""

    def __init__(self, location: str, what: str) -> None:
        EnvironmentTrouble.__init__(
            self,
            f"{location} was {what} while it was read, and what was read is thrown away; run again "
            "when nobody writes to it",
        )


class NoSuchFile(FileNotFoundError):
    """No file of this name; `why` says what is there instead, as the end of a sentence."""

    def __init__(self, location: str, why: str = "there is none") -> None:
        super().__init__(f"no file {location}" + ("" if why == "there is none" else f": {why}"))
        self.why = why


class TextTooLong(ValueError):
    """A text file that is larger than any dataset file."""


class StoredFile:
    """One file where it is stored; its digest is taken along whenever it is read through.

    However often it is opened and read, it is of one version, or FileReplaced is raised.
    """

    def __init__(self, location: str) -> None:
        self.location = location
        self._sha256: str | None = None
        self._version: str | None = None

    def open(self) -> io.BufferedReader:
        """Open the stored bytes; raise NoSuchFile or, on reading too, StorageError."""
        reader = _Reader(self.location, self._remember)
        if self._version is None:
            self._version = reader.version
        elif self._version != reader.version:
            reader.close()
            raise FileReplaced(self.location, "replaced")
        return io.BufferedReader(reader, _CHUNK)

    @property
    def sha256(self) -> str:
        """SHA-256 of the stored bytes, in hex."""
        if self._sha256 is None:
            with self.open() as stored:
                while stored.read(_CHUNK):
                    pass
        assert self._sha256 is not None
        return self._sha256

    def _remember(self, sha256: str) -> None:
        self._sha256 = sha256


def read_text(location: str) -> str:
    """Return a small text file.

    Raises NoSuchFile, StorageError, UnicodeDecodeError, or TextTooLong beyond MOST_TEXT.
    """
    with StoredFile(location).open() as stored:
        content = stored.read(MOST_TEXT + 1)
    if len(content) > MOST_TEXT:
        raise TextTooLong(location)
    return content.decode("utf-8-sig")


def list_folder(location: str) -> list[str]:
    """Return the names of the files in a folder; raise FileNotFoundError or StorageError."""
    with _storage_errors(location):
        filesystem = _filesystem(location)
        entries = filesystem.ls(location, detail=True)
    # A link to a table is one too.
    return [Path(entry["name"]).name for entry in entries if entry["type"] != "directory"]


@dataclass(frozen=True)
class Stamp:
    """What tells, without reading a file, whether it is the same as before."""

    location: str
    version: str
    """Changes whenever the content does. In a bucket the ETag, which is of the content; on a disk
    size, inode and times."""
    is_of_content: bool
    """Whether equal versions of files in other places mean equal content."""
    changed_at: datetime
    """When it last changed, by the clock of the storage."""


def stamp(location: str) -> Stamp:
    """Return the stamp of a file; raise FileNotFoundError or StorageError."""
    with _storage_errors(location):
        found = _filesystem(location).info(location)
    if location.startswith("s3://"):
        etag = str(found.get("ETag") or "").strip('"')
        version = f"{etag} {found['size']}" if etag else f"{found['LastModified']} {found['size']}"
        return Stamp(location, version, bool(etag), found["LastModified"])
    # When the inode changed last: nobody can set it, as one can the time of the content, which may
    # be long ago or, where the clock of another machine was wrong, still to come.
    changed = found["created"]
    version = f"{found['size']} {found['ino']} {found['mtime']!r} {found['created']!r}"
    return Stamp(location, version, False, datetime.fromtimestamp(changed, UTC))


def find_files(folder: str, ending: str, levels: int) -> list[str]:
    """Return the files under a folder, so many levels deep, whose names have this ending.

    Sorted. Raises FileNotFoundError where there is no such folder, or StorageError.
    """
    with _storage_errors(folder):
        filesystem = _filesystem(folder)
        if not filesystem.isdir(folder):
            raise FileNotFoundError(folder)
        found = filesystem.find(folder, maxdepth=levels)
    scheme = "s3://" if folder.startswith("s3://") else ""
    return sorted(f"{scheme}{name}" for name in found if name.endswith(ending))


def join(folder: str, name: str) -> str:
    """Return where a name is, seen from a folder: absolute paths and addresses stay as they are."""
    if "://" in name:
        return name
    if "://" in folder:
        bucket, *path = folder.removeprefix("s3://").rstrip("/").split("/")
        # A bucket has no folders: `.` and `..` would be taken for names.
        return f"s3://{bucket}{posixpath.normpath(posixpath.join('/', *path, name))}"
    return str(Path(folder) / _at_home(name))


def _at_home(name: str) -> Path:
    """Return a path with `~` filled in; a file may be called so, too."""
    try:
        return Path(name).expanduser()
    except (RuntimeError, ValueError):  # nobody of this name has a home, or it is no name
        return Path(name)


def parent(location: str) -> str:
    """Return the folder a file is in."""
    if "://" in location:
        return location.rsplit("/", 1)[0]
    return str(Path(location).absolute().parent)


def _filesystem(location: str) -> Any:
    if "\0" in location:  # no name of a file on any system
        raise FileNotFoundError(location)
    if not location.startswith("s3://"):
        return fsspec.filesystem("file")
    endpoint = os.environ.get("AWS_ENDPOINT_URL", "")
    if endpoint and not re.match(r"https?://[^/\s\[]+|https?://\[[^/\s]+\]", endpoint):
        raise EnvironmentTrouble(
            f"expected AWS_ENDPOINT_URL to be an address, as https://host:port, got {endpoint!r}; "
            "correct it"
        )
    settings = tuple(sorted(pair for pair in os.environ.items() if pair[0].startswith("AWS_")))
    return _bucket(settings, READ_TIMEOUT, os.getpid(), threading.get_ident())


@lru_cache(maxsize=16)
def _bucket(settings: tuple[tuple[str, str], ...], read_timeout: int, *user: int) -> Any:
    """Return the client of a process, a thread and its settings, which s3fs takes on connecting.

    Making one takes up to half a second, and a look at thirty releases asks three hundred times.
    """
    filesystem = fsspec.filesystem(
        "s3",
        skip_instance_cache=True,  # fsspec's goes by arguments, and does not see the settings
        use_listings_cache=False,  # or it would answer from listings made earlier
        config_kwargs={
            "connect_timeout": CONNECT_TIMEOUT,
            "read_timeout": read_timeout,
            "retries": {"max_attempts": ATTEMPTS},
        },
    )
    filesystem.retries = ATTEMPTS
    return filesystem


class _Reader(io.RawIOBase):
    """Stored bytes; read from end to end without a jump, they are digested on the way."""

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
        except FileNotFoundError as error:  # it was there to be opened
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
        """Return what tells two contents apart; a bucket itself refuses to read on in another."""
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
    """Turn the many ways in which storage fails into StorageError; a missing file is none."""
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
    """Raise NoSuchFile unless there is a file: a pipe would be waited for, a device has no end."""
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


def _mend(cause: Exception) -> str:
    if isinstance(cause, NoCredentialsError):
        return "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
    if isinstance(cause, SSLError):
        return "check AWS_ENDPOINT_URL; AWS_CA_BUNDLE names a file of the certificates to trust"
    answer = getattr(cause.__cause__, "response", None)
    if isinstance(answer, dict):
        # What is asked of a bucket first is answered by the number alone, without words.
        code = str(answer.get("Error", {}).get("Code"))
        if mend := next((mend for codes, mend in _MENDS.items() if code in codes), None):
            return mend
    if isinstance(cause, PermissionError):
        return "check that you may read it"
    return "check the network and AWS_ENDPOINT_URL, then run again"


_MENDS = {
    ("403", "AccessDenied", "AllAccessDisabled", "InvalidObjectState"): (
        "check that the keys (AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY) are right and may read it"
    ),
    ("ExpiredToken", "InvalidToken", "TokenRefreshRequired"): (
        "get new keys: AWS_SESSION_TOKEN is no longer taken"
    ),
    ("InvalidAccessKeyId", "SignatureDoesNotMatch"): (
        "check AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
    ),
    ("RequestTimeTooSkewed",): "set the clock of this machine",
    ("429", "503", "SlowDown", "ServiceUnavailable", "TooManyRequests"): (
        "the bucket is asked for more than it gives; wait, and run again"
    ),
    ("301", "307", "400", "PermanentRedirect", "AuthorizationHeaderMalformed"): (
        "check that AWS_DEFAULT_REGION is the region of the bucket, AWS_ENDPOINT_URL its endpoint, "
        "and that AWS_SESSION_TOKEN, if set, has not expired"
    ),
}
"""What to do about what a bucket answers, by its code."""
