"""The option `--dask`: where a fit is computed, and whether that is possible.

Dask is imported only if needed; workers import this module to report their versions.
"""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from urllib.parse import urlsplit

from model.runtime.executors import Executor, LocalExecutor
from schemas.errors import UserError
from schemas.parameters import EngineName

HERE, LOCAL = "", "local"
CODE = ("model", "schemas")
"""The packages whose functions workers run."""


class ClusterOptionError(UserError):
    """`--dask` is invalid, or does not apply to the engine."""


@contextmanager
def workers_at(where: str) -> Iterator[Executor]:
    """Yield the executor of this process (""), of a temporary cluster (`local`) or at an address.

    On exit, a temporary cluster is stopped; one at an address releases the blocks.

    Raises:
        ClusterOptionError: `where` is none of these.
        ExternalServiceError: no scheduler answers, it has no workers, or they run other versions.
    """
    check_location(where)
    if where == HERE:
        yield LocalExecutor()
        return
    # A fit without Dask should not wait for this import.
    from tasks.dask_executor import existing_cluster, local_cluster

    with local_cluster() if where == LOCAL else existing_cluster(where) as workers:
        yield workers


def check_cluster(where: str, engine: EngineName) -> None:
    """Check the cluster before a fit starts; raise the errors of `workers_at`.

    Connects once to a cluster at an address.
    """
    check_location(where)
    if where != HERE and engine in ("nuts", "gibbs"):
        raise ClusterOptionError(
            f"--dask: expected an engine that can be distributed, got {engine} with --dask {where};"
            " choose --engine exact, or omit --dask: the others run their chains on the cores of "
            "this machine"
        )
    if where not in (HERE, LOCAL):
        with workers_at(where):
            pass


def check_location(where: str) -> None:
    """Raise ClusterOptionError unless `where` is "", `local` or an address."""
    if where in (HERE, LOCAL):
        return
    try:
        parts = urlsplit(where)
        fits = parts.scheme in ("tcp", "tls") and bool(parts.hostname) and bool(parts.port)
    except ValueError:  # invalid port or IPv6 address
        fits = False
    if not fits or parts.path or parts.query or parts.fragment:
        raise ClusterOptionError(
            f"--dask: expected {LOCAL}, or the address of a Dask scheduler such as "
            f"tcp://host:8786 (tls:// if it requires certificates), got {where!r}; the "
            "scheduler prints its address when it starts"
        )


def environment() -> dict[str, str]:
    """Return the versions that must agree between machines for equal results."""
    return {
        "Python": ".".join(platform.python_version_tuple()[:2]),
        **{name: version(name) for name in ("screenbayes", "numpy", "scipy", "distributed")},
        "screenbayes code": _digest_of_code(),
    }


def _digest_of_code() -> str:
    """Return a digest of the code that workers run: one version may have several checkouts."""
    root = Path(__file__).resolve().parents[1]
    digest = hashlib.sha256()
    for package in CODE:
        for path in sorted((root / package).rglob("*.py")):
            digest.update(path.relative_to(root).as_posix().encode())
            digest.update(path.read_bytes())
    return digest.hexdigest()[:8]
