"""Keys by which equal columns of a table are found without comparing each with each."""

from __future__ import annotations

import numpy as np


def column_keys(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return the key of each column of float64 values (rows, columns), equal for equal columns.

    The bits of each value times the random number of its row (uint64), summed modulo 2^64: exact,
    and keys of parts of the rows add up to that of all.
    """
    bits = np.ascontiguousarray(values).view(np.uint64)
    # The product modulo 2^64 of the sign, the highest bit, depends only on the weight's parity.
    bits = bits ^ (bits >> np.uint64(32))
    keys: np.ndarray = np.einsum("rc,r->c", bits, weights)
    return keys
