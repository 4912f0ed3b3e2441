"""A trace that ArviZ wrote is read, and any other file is refused."""

import hashlib

import h5py
import numpy as np
import pytest
import xarray as xr

from schemas.trace import TraceError
from tasks.reading.trace import read_trace
from tests.faults.catalogue import Area, fault

ATTRIBUTES = {
    "inference_library": "pymc3",
    "inference_library_version": "3.9.3",
    "sampling_time": 12.5,
    "tuning_steps": 700,
}


def groups():
    """The groups of a short trace as ArviZ 0.10 wrote them, and some that are not needed."""
    random = np.random.default_rng(1)
    draws = {"sigma": (("chain", "draw"), random.random((2, 60)))}
    draws["alpha_g"] = (("chain", "draw", "alpha_g_dim_0"), random.random((2, 60, 3)))
    draws["mu_gc"] = (("chain", "draw", "mu_gc_dim_0"), random.random((2, 60, 9)))
    coords = {"chain": [0, 1], "draw": np.arange(60), "alpha_g_dim_0": np.arange(3)}
    by_draw = {
        "diverging": (("chain", "draw"), np.zeros((2, 60), bool)),
        "energy": (("chain", "draw"), random.random((2, 60))),
        "step_size": (("chain", "draw"), random.random((2, 60))),
        "lp": (("chain", "draw"), random.random((2, 60))),
    }
    return {
        "posterior": xr.Dataset(draws, coords, ATTRIBUTES),
        "sample_stats": xr.Dataset(by_draw),
        "observed_data": xr.Dataset({"logfc": ("logfc_dim_0", random.random(9))}),
        "prior": xr.Dataset(draws),
    }


@pytest.fixture
def written(tmp_path):
    """Write groups, some of them changed, and return the path."""

    def write(**changes):
        path = tmp_path / "trace.nc"
        xr.DataTree.from_dict(groups() | changes).to_netcdf(path, engine="h5netcdf")
        return path

    return write


def test_only_what_is_needed_is_read(written):
    expected = groups()
    labels = ["SOX10", "MYB", "IRF4"]
    path = written(posterior=expected["posterior"].assign_coords(alpha_g_dim_0=labels))
    trace, origin = read_trace(str(path))
    posterior = expected["posterior"].drop_vars("mu_gc").assign_coords(alpha_g_dim_0=labels)
    xr.testing.assert_equal(trace.posterior, posterior)
    assert trace.left_out == ("mu_gc",)
    assert list(trace.sample_stats.data_vars) == ["diverging", "energy", "step_size"]
    assert trace.sample_stats["diverging"].dtype == bool
    np.testing.assert_array_equal(trace.observed, expected["observed_data"]["logfc"])
    assert origin.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert (origin.imported_from, origin.tune, origin.seconds) == ("pymc3 3.9.3", 700, 12.5)


@pytest.mark.parametrize(
    "attributes", [{"tuning_steps": "many", "sampling_time": [1.0, 2.0]}, {"sampling_time": np.nan}]
)
def test_what_the_file_does_not_say_is_unknown(written, attributes):
    posterior = groups()["posterior"]
    posterior.attrs = attributes
    _, origin = read_trace(str(written(posterior=posterior)))
    assert (origin.imported_from, origin.tune, origin.seconds) == ("unknown library", None, None)


LEFT = "nothing read; the command exits with 2"
SIGMA = "posterior/sigma"


def nothing(file, name, there):
    pass


def these(values):
    return lambda file, name, there: file.create_dataset(name, data=values)


def link(file, name, there):
    file[name] = h5py.ExternalLink(there, name)


def storage(file, name, there):
    file.create_dataset(name, (2, 60), "f8", external=[(there, 0, h5py.h5f.UNLIMITED)])


def virtual(file, name, there):
    layout = h5py.VirtualLayout((2, 60), "f8")
    layout[:] = h5py.VirtualSource(there, name, (2, 60))
    file.create_virtual_dataset(name, layout)


def cases(what: str, told: str, *changes):
    """The parts of a fault: what is replaced, what is put there, the words of the refusal."""
    mark = fault(Area.FILES, what, told=(told,), left=LEFT)
    return [pytest.param(*change, marks=mark) for change in changes]


INCOMPLETE = cases(
    "a trace without a required group or statistic",
    "there is no posterior",
    ("posterior", nothing, "there is no posterior"),
    ("sample_stats", nothing, "there is no sample_stats"),
    ("observed_data", nothing, "there is no observed_data"),
    ("sample_stats/energy", nothing, "no energy; import a trace that NUTS sampled"),
    ("observed_data/rna", these(np.ones(9)), "got logfc, rna; keep only the log fold change"),
    (SIGMA, these(np.full((2, 60), b"a")), "expected numbers"),
)
ELSEWHERE = cases(
    "a trace with values in another file",
    "stored in another file",
    *((SIGMA, put, "stored in another file") for put in (link, storage, virtual)),
    ("sample_stats", link, "there is no sample_stats"),
)
TOO_LARGE = cases(
    "a trace that declares 8 TB",
    "expected at most 4.3 GB of draws",
    (
        "observed_data/logfc",
        lambda file, name, _: file.create_dataset(name, (10**12,), "f8", chunks=(10**6,)),
        "at most 4.3 GB of draws, .* has 8,000.0 GB",
    ),
)


@pytest.mark.parametrize(("name", "put", "words"), [*INCOMPLETE, *ELSEWHERE, *TOO_LARGE])
def test_a_trace_without_its_own_numbers_is_refused(written, tmp_path, name, put, words):
    path = written()
    (tmp_path / "other.nc").write_bytes(path.read_bytes())
    with h5py.File(path, "r+") as file:
        if name in file:
            del file[name]
        put(file, name, str(tmp_path / "other.nc"))
    with pytest.raises(TraceError, match=words):
        read_trace(str(path))


@fault(
    Area.FILES,
    "a trace that is not netCDF",
    told=("expected a netCDF-4 file",),
    left=LEFT,
)
@pytest.mark.parametrize("content", [b"", b"<html>", b"CDF\x01 of netCDF 3", b"\x80\x04 a pickle"])
def test_a_file_that_is_no_netcdf_is_refused(tmp_path, content):
    path = tmp_path / "trace.nc"
    with pytest.raises(TraceError, match="is a folder, as Zarr writes"):
        read_trace(str(tmp_path))
    with pytest.raises(TraceError, match="expected a file, there is no"):
        read_trace(str(path))
    path.write_bytes(content)
    with pytest.raises(TraceError, match="expected a netCDF-4 file"):
        read_trace(str(path))


@fault(
    Area.FILES,
    "a truncated trace",
    told=("cannot be read",),
    left=LEFT,
)
@pytest.mark.parametrize("share", [0.1, 0.5, 0.97])
def test_a_truncated_file_is_refused(written, share):
    path = written()
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(TraceError, match="cannot be read"):
        read_trace(str(path))
