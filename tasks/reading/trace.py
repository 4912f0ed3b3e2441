"""Reads a trace from a netCDF file, safely: only numbers and labels stored in the file itself.

A file may come from an untrusted source. NetCDF-4 is HDF5, which contains no code, but a file can
link to other files and declare sizes beyond its content.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, BinaryIO, get_args

import h5py
import numpy as np
import xarray as xr

from schemas.model_spec import MODEL_SPECS
from schemas.parameters import LinearModelName
from schemas.trace import STATISTICS, Trace, TraceError, TraceOrigin
from tasks.reading.hdf5 import own_dataset
from tasks.reading.storage import NoSuchFile, StoredFile

GROUPS = ("posterior", "sample_stats", "observed_data")
VARIABLES = {name for model in get_args(LinearModelName) for name in MODEL_SPECS[model].variables}
MAX_BYTES = 4 << 30
"""Largest trace in memory; 8,000 draws of a release take 2.4 GB."""
HDF5_SIGNATURE = b"\x89HDF\r\n\x1a\n"
MAX_CHARACTERS = 100
"""Longest name of a library."""
REMEDY = "save the trace whole, with `to_netcdf` of ArviZ"


def read_trace(location: str) -> tuple[Trace, TraceOrigin]:
    """Read an InferenceData saved by ArviZ, from a path or an s3:// address.

    Raises:
        TraceError: no file, not netCDF-4, a missing group or statistic, values that are not
            numbers, links to other files, or more than MAX_BYTES.
        StorageError: the storage cannot be reached.
    """
    stored = StoredFile(location)
    try:
        with stored.open() as file:
            if file.peek(len(HDF5_SIGNATURE))[: len(HDF5_SIGNATURE)] != HDF5_SIGNATURE:
                raise TraceError(f"expected a netCDF-4 file, {location} is not; {REMEDY}")
            with _damage_errors(location):
                _check_file(location, file)
                trace, attributes = _read(location, file)
    except NoSuchFile as error:
        if error.why == "there is a folder":
            raise TraceError(
                f"expected a netCDF-4 file, {location} is a folder, as Zarr writes; open it with "
                f"`from_zarr` of ArviZ, and {REMEDY}"
            ) from None
        problem = f"there is no {location}" if error.why == "there is none" else str(error)
        raise TraceError(f"expected a file, {problem}; correct the path") from None
    tune = _number(attributes.get("tuning_steps"))
    return trace, TraceOrigin(
        location=location,
        sha256=stored.sha256,
        library=str(attributes.get("inference_library", "unknown library"))[:MAX_CHARACTERS],
        version=str(attributes.get("inference_library_version", ""))[:MAX_CHARACTERS],
        tune=int(tune) if tune else None,
        seconds=_number(attributes.get("sampling_time")),
    )


def _check_file(location: str, file: BinaryIO) -> None:
    """Check the groups before reading: all present, and their values stored in the file."""
    with h5py.File(file, "r") as whole:
        for name in GROUPS:
            if not isinstance(whole.get(name, getlink=True), h5py.HardLink):
                raise TraceError(
                    f"expected the groups {', '.join(GROUPS)} in {location}, there is no {name}; "
                    f"{REMEDY}"
                )
            for key in whole[name]:
                if own_dataset(whole[name], key) is None:
                    raise TraceError(
                        f"expected numbers and labels in {location}, {name}/{key} is a group or "
                        f"stored in another file; {REMEDY}"
                    )


def _read(location: str, file: BinaryIO) -> tuple[Trace, dict[str, Any]]:
    """Return the trace and the attributes of its posterior."""
    posterior, statistics, observed = (
        # Decoding times would interpret arbitrary units.
        xr.open_dataset(
            file, group=name, engine="h5netcdf", decode_times=False, phony_dims="access"
        )
        for name in GROUPS
    )
    missing = [name for name in STATISTICS if name not in statistics]
    if missing:
        raise TraceError(
            f"expected {', '.join(STATISTICS)} of the sampler in {location}, sample_stats has no "
            f"{', '.join(missing)}; import a trace that NUTS sampled, saved whole"
        )
    if len(observed.data_vars) != 1:
        raise TraceError(
            f"expected one variable in observed_data of {location}, got "
            f"{', '.join(map(str, observed.data_vars)) or 'none'}; keep only the log fold change"
        )
    left_out = [str(name) for name in posterior.data_vars if name not in VARIABLES]
    posterior, statistics = posterior.drop_vars(left_out), statistics[list(STATISTICS)]
    groups = (posterior, statistics, observed)
    for variable in (one for group in groups for one in group.data_vars.values()):
        if variable.dtype.kind not in "biuf":
            raise TraceError(
                f"expected numbers in {location}, {variable.name} has {variable.dtype}; {REMEDY}"
            )
    size = sum(group.nbytes for group in groups)
    if size > MAX_BYTES:
        raise TraceError(
            f"expected at most {MAX_BYTES / 1e9:.1f} GB of draws, {location} has "
            f"{size / 1e9:,.1f} GB; leave out draws (`posterior.isel(draw=slice(None, None, 2))`)"
        )
    (measured,) = observed.data_vars.values()
    trace = Trace(
        posterior.load(),
        statistics.load(),
        measured.to_numpy().astype(np.float64).ravel(),
        tuple(left_out),
    )
    return trace, dict(posterior.attrs)


def _number(value: Any) -> float | None:
    """Return an attribute as a number; None unless it is finite and not negative."""
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return number if np.isfinite(number) and number >= 0 else None


@contextmanager
def _damage_errors(location: str) -> Iterator[None]:
    try:
        yield
    except TraceError:
        raise
    except (OSError, ValueError, KeyError, TypeError, RuntimeError, AttributeError) as error:
        raise TraceError(
            f"expected a whole netCDF-4 file, {location} cannot be read: "
            f"{' '.join(str(error).split())[:300]}; fetch it again, or {REMEDY}"
        ) from error
