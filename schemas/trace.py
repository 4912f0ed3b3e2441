"""A trace sampled by another library: the contents read from its file, and its origin."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from schemas.base import Frozen
from schemas.errors import UserError
from schemas.parameters import FitParameters

if TYPE_CHECKING:
    import xarray as xr

STATISTICS = ("diverging", "energy", "step_size")
"""Sample statistics of NUTS needed for the verdict, one per draw."""
UNKNOWN_SETTINGS = ("sampling.sampler", "sampling.target_accept")
"""Settings of a fit that a trace does not contain."""


class TraceError(UserError):
    """A trace that cannot be imported, or does not belong to this dataset."""


@dataclass(frozen=True, eq=False)
class Trace:
    """The imported groups of an InferenceData, as in the file."""

    posterior: xr.Dataset
    """Variables by chain and draw; further dims of any name, with or without labels."""
    sample_stats: xr.Dataset
    """STATISTICS by chain and draw."""
    observed: np.ndarray
    """Measurements the trace was sampled from, in the order of its own table (N,), log2."""
    left_out: tuple[str, ...] = ()
    """Variables of its posterior that no model here has."""


class TraceOrigin(Frozen):
    """Origin of a trace."""

    location: str
    """Path or s3:// address of its file."""
    sha256: str
    """Digest of the file."""
    library: str
    """Library that sampled it, such as pymc3; `unknown library` where the file has no name."""
    version: str
    """Version of that library, or empty."""
    tune: int | None = None
    """Tuning steps per chain, if in the file."""
    seconds: float | None = None
    """Seconds of sampling, if in the file."""

    @property
    def imported_from(self) -> str:
        """Library and version, such as `pymc3 3.9.3`."""
        return f"{self.library} {self.version}".strip()

    def known(self, parameters: FitParameters) -> dict[str, str | int | float]:
        """Return the flat settings of a fit without those the trace does not contain."""
        unknown = {*UNKNOWN_SETTINGS, *(() if self.tune else ("sampling.tune",))}
        return {name: value for name, value in parameters.flat().items() if name not in unknown}
