"""Engines with a mistake each, for calibrations that should find it."""

from __future__ import annotations

import xarray as xr

from model.engines.run import run_engine


def _changed(tree, change):
    posterior = change(tree["posterior"].dataset.copy())
    changed = xr.DataTree.from_dict(
        {"posterior": posterior, "sample_stats": tree["sample_stats"].dataset}
    )
    changed.attrs = dict(tree.attrs)
    return changed


def too_narrow(design, parameters):
    """Return sigma a tenth too small."""
    return _changed(run_engine(design, parameters), lambda it: it.assign(sigma=0.9 * it["sigma"]))


def flipped(design, parameters):
    """Return the slopes with the wrong sign."""
    return _changed(run_engine(design, parameters), lambda it: it.assign(beta_g=-it["beta_g"]))
