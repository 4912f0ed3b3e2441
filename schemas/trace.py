"""A trace that was sampled elsewhere: what is read of its file, and what is known of its origin.

Reading is `tasks.read_trace`; what makes it a posterior of ours is `model.imported`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import xarray as xr

from schemas.errors import UserError
from schemas.frozen import Frozen
from schemas.parameters import FitParameters

STATISTICS = ("diverging", "energy", "step_size")
"""What a sampler of NUTS has to have said of every draw, for the trace to be judged."""
UNTOLD_SETTINGS = ("sampling.sampler", "sampling.target_accept")
"""Settings of a fit that a trace does not tell."""


class TraceError(UserError):
    """A trace that cannot be imported, or not as one of this dataset."""


@dataclass(frozen=True, eq=False)
class Trace:
    """The groups of an InferenceData that are taken over, as they stand in the file."""

    posterior: xr.Dataset
    """Variables by chain and draw; further dims with or without labels, under any name."""
    sample_stats: xr.Dataset
    """STATISTICS by chain and draw."""
    observed: np.ndarray
    """Measurements the trace was sampled from, in the order of its own table (N,), log2."""
    left_out: tuple[str, ...] = ()
    """Variables of its posterior that no model of ours has."""


class TraceOrigin(Frozen):
    """Where a trace comes from."""

    location: str
    """Path or s3:// address of its file."""
    sha256: str
    """Digest of the file."""
    library: str
    """Library that sampled it, such as pymc3; `unknown library` where the file does not say."""
    version: str
    """Version of that library, or nothing."""
    tune: int | None = None
    """Tuning steps a chain, where the file says."""
    seconds: float | None = None
    """Seconds the sampling took, where the file says."""

    @property
    def imported_from(self) -> str:
        """Library and version in words, `pymc3 3.9.3`."""
        return f"{self.library} {self.version}".strip()

    def known(self, parameters: FitParameters) -> dict[str, str | int | float]:
        """Return the flat settings of a fit without those the trace does not tell."""
        hidden = {*UNTOLD_SETTINGS, *(() if self.tune else ("sampling.tune",))}
        return {name: value for name, value in parameters.flat().items() if name not in hidden}
