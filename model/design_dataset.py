"""A design as an xarray Dataset and back, so that it can be kept with the run fitted to it.

Writing and reading the file is in `tasks`; what a design is, `model.design`.
"""

from __future__ import annotations

from typing import Any

import xarray as xr

from model.design import ScreenDesign

_DIMS: dict[str, tuple[str, ...]] = {
    "guide_gene": ("guide",),
    "rna": ("gene", "cell_line"),
    "rna_mean": ("gene",),
    "rna_sd": ("gene",),
    "count": ("guide", "cell_line"),
    "total": ("guide", "cell_line"),
    "sum_of_squares": ("gene", "cell_line"),
}


def design_dataset(design: ScreenDesign) -> xr.Dataset:
    """Return all arrays of a design with their labels; single measurements are left out."""
    coords: dict[str, object] = {dim: list(labels) for dim, labels in design.labels.items()}
    if design.lineage is not None:
        coords["lineage"] = ("cell_line", list(design.lineage))
    return xr.Dataset(
        {name: (dims, getattr(design, name)) for name, dims in _DIMS.items()},
        coords=coords,
        attrs={"rna_is_log2": int(design.rna_is_log2)},
    )


def design_of(dataset: xr.Dataset) -> ScreenDesign:
    """Return the design that `design_dataset` was made of, without its single measurements.

    Raises KeyError where the dataset lacks a part of it.
    """

    def labels(name: str) -> tuple[str, ...]:
        return tuple(map(str, dataset[name].to_numpy()))

    arrays: dict[str, Any] = {name: dataset[name].to_numpy() for name in _DIMS}
    return ScreenDesign(
        genes=labels("gene"),
        cell_lines=labels("cell_line"),
        guides=labels("guide"),
        rna_is_log2=bool(dataset.attrs["rna_is_log2"]),
        lineage=labels("lineage") if "lineage" in dataset.coords else None,
        **arrays,
    )
