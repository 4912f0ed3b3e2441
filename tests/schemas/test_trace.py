"""What a trace says of its origin."""

from __future__ import annotations

from schemas.parameters import FitParameters
from schemas.trace import TraceOrigin

ORIGIN = TraceOrigin(location="a.nc", sha256="0", library="pymc3", version="3.9.3")


def test_a_trace_says_what_sampled_it():
    assert ORIGIN.imported_from == "pymc3 3.9.3"
    assert ORIGIN.model_copy(update={"version": ""}).imported_from == "pymc3"


def test_settings_that_a_trace_does_not_tell_are_left_out():
    flat = FitParameters().flat()
    hidden = {"sampling.sampler", "sampling.target_accept"}
    tuned = ORIGIN.model_copy(update={"tune": 500})
    assert flat.items() - tuned.known(FitParameters()).items() == {
        (name, flat[name]) for name in hidden
    }
    assert flat.keys() - ORIGIN.known(FitParameters()).keys() == {*hidden, "sampling.tune"}
