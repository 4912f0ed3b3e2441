"""Where a fit is computed, in the words of `--dask`, and whether it can be computed there.

Light on purpose: Dask is loaded only by who asks for it, and workers load this module to say what
they run. What is done with a cluster once it is there is `tasks.dask_workers`.
"""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from urllib.parse import urlsplit

from model.exact.workers import ThisProcess, Workers
from schemas.errors import UserError
from schemas.parameters import EngineName

HERE, LOCAL = "", "local"
CODE = ("model", "schemas")
"""The packages whose functions workers run."""


class ClusterOptionError(UserError):
    """`--dask` names no place where the fit can be computed."""


@contextmanager
def workers_at(where: str) -> Iterator[Workers]:
    """Hand out workers: of this process (""), of a temporary cluster (`local`), or at an address.

    On leaving, a temporary cluster is stopped; one at an address forgets what it was sent.

    Raises:
        ClusterOptionError: `where` is none of these.
        EnvironmentTrouble: Nobody answers at the address, no worker is there, or the workers run
            other versions.
    """
    check_words(where)
    if where == HERE:
        yield ThisProcess()
        return
    # Here and not above: a fit without Dask should not wait for it.
    from tasks.dask_workers import existing_cluster, local_cluster

    with local_cluster() if where == LOCAL else existing_cluster(where) as workers:
        yield workers


def check_cluster(where: str, engine: EngineName) -> None:
    """Refuse, with the errors of `workers_at`, what a fit would come to refuse later.

    Goes to the cluster at an address once, so that nothing is read or begun in vain.
    """
    check_words(where)
    if where != HERE and engine == "nuts":
        raise ClusterOptionError(
            f"--dask: expected an engine whose work can be spread, got nuts with --dask {where}; "
            "choose --engine exact, or leave --dask out: NUTS spreads its chains over the cores "
            "of this machine"
        )
    if where not in (HERE, LOCAL):
        with workers_at(where):
            pass


def check_words(where: str) -> None:
    """Raise ClusterOptionError where `where` is not "", `local` or an address."""
    if where in (HERE, LOCAL):
        return
    try:
        parts = urlsplit(where)
        fits = parts.scheme in ("tcp", "tls") and bool(parts.hostname) and bool(parts.port)
    except ValueError:  # a port that is no number, or an IPv6 address cut short
        fits = False
    if not fits or parts.path or parts.query or parts.fragment:
        raise ClusterOptionError(
            f"--dask: expected {LOCAL}, or the address of a Dask scheduler such as "
            f"tcp://host:8786 (tls:// where it asks for certificates), got {where!r}; the "
            "scheduler prints its address when it starts"
        )


def environment() -> dict[str, str]:
    """Return what must be the same on all machines for the numbers to be."""
    return {
        "Python": ".".join(platform.python_version_tuple()[:2]),
        **{name: version(name) for name in ("screenbayes", "numpy", "scipy", "distributed")},
        "screenbayes code": _digest_of_code(),
    }


def _digest_of_code() -> str:
    """Return a digest of the functions workers run: checkouts differ within one version."""
    root = Path(__file__).resolve().parents[1]
    digest = hashlib.sha256()
    for package in CODE:
        for path in sorted((root / package).rglob("*.py")):
            digest.update(path.relative_to(root).as_posix().encode())
            digest.update(path.read_bytes())
    return digest.hexdigest()[:8]
