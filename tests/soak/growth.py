"""Whether memory and seconds grow over the refreshes of a soak: slopes outliers do not move."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import pandas as pd
from scipy.stats import theilslopes

CONFIDENCE = 0.95
MOST_GROWTH = 10.0
"""A slope that is with certainty steeper than so many MB in 100 refreshes is a leak."""
MOST_HANDLES = 10.0
"""The same of open files and of threads."""
MOST_SECONDS = 2.0
"""The same of the seconds of a refresh."""
LIMITS = {
    "memory_mb": MOST_GROWTH,
    "files": MOST_HANDLES,
    "threads": MOST_HANDLES,
    "seconds": MOST_SECONDS,
}


@dataclass(frozen=True)
class Slope:
    """Growth in 100 refreshes, and the interval it lies in.

    The median of the slopes between all pairs of samples (Theil and Sen).
    """

    of: str
    quantity: str
    n: int
    largest: float
    last: float
    per_100: float
    low: float
    high: float

    @property
    def grows(self) -> bool:
        """Whether it is steeper than may be, by the lower end of its interval."""
        return self.low > LIMITS[self.quantity]


def slopes(samples: pd.DataFrame, n_refreshes: int) -> list[Slope]:
    """Slopes over the second half, in which every server is one process; columns of Sample."""
    return list(_slopes(samples, n_refreshes))


def _slopes(samples: pd.DataFrame, n_refreshes: int) -> Iterator[Slope]:
    second = samples[samples["refresh"] > n_refreshes / 2]
    for server, of_server in second.groupby("server", sort=True):
        # One that was started again has forgotten what it held: only the last is followed.
        followed = of_server[of_server["pid"] == of_server["pid"].iloc[-1]]
        for quantity in ("memory_mb", "files", "threads"):
            yield _slope(str(server), quantity, followed)
    # One that failed has no time of its own.
    each = second.drop_duplicates("refresh").dropna(subset=["seconds"])
    yield _slope("refresh", "seconds", each)


def _slope(of: str, quantity: str, rows: pd.DataFrame) -> Slope:
    values = rows[quantity].astype(float)
    found = theilslopes(values, rows["refresh"].astype(float), CONFIDENCE)
    return Slope(
        of,
        quantity,
        len(rows),
        float(values.max()),
        float(values.iloc[-1]),
        *(100 * float(each) for each in (found.slope, found.low_slope, found.high_slope)),
    )


def growing(found: Sequence[Slope]) -> list[str]:
    """What grows, a line each."""
    return [
        f"{one.of}: {one.quantity} grows by {one.per_100:.2f} in 100 refreshes "
        f"({one.low:.2f} to {one.high:.2f})"
        for one in found
        if one.grows
    ]
