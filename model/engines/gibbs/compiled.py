"""How the functions of the engine are compiled, and when what was compiled is used again.

Numba keeps compiled code until the file of a function changes, and does not look at the functions
that it calls in other files. Therefore only two kinds of functions are `cached`: those that call
compiled functions of their own file alone, and the one that a chain runs (`sweeps`), which has the
digest of all files in its key. The others are a `part` of that one, which Python cannot call, or
`inlined` where they have a name for the reader alone: compiling is faster with fewer functions.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from numba import njit

from model.likelihood import line_sums, pair_sums, spread_sums

cached = njit(cache=True, nogil=True, error_model="numpy")
part = njit(  # type: ignore[call-overload]  # the last two are missing in its types
    nogil=True, error_model="numpy", no_cpython_wrapper=True, no_cfunc_wrapper=True
)
inlined = njit(nogil=True, error_model="numpy", inline="always")


def sources_digest() -> str:
    """Return the digest of the files that the compiled sweep depends on."""
    sums = (Path(str(module.__file__)) for module in (line_sums, pair_sums, spread_sums))
    files = [*sorted(Path(__file__).parent.glob("*.py")), *sums]
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()
