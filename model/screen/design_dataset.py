"""Conversion of a design to an xarray Dataset and back, to store it in a run."""

from __future__ import annotations

from typing import Any

import xarray as xr

from model.screen.design import ScreenDesign

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
    """Return all arrays of a design with their labels, without single measurements."""
    coords: dict[str, object] = {dim: list(labels) for dim, labels in design.labels.items()}
    if design.lineage is not None:
        coords["lineage"] = ("cell_line", list(design.lineage))
    return xr.Dataset(
        {name: (dims, getattr(design, name)) for name, dims in _DIMS.items()}
        | {name: (_DIMS["rna"], values) for name, values in design.covariates.items()}
        | {f"{name}_mean": (_DIMS["rna_mean"], of) for name, of in design.covariate_means.items()},
        coords=coords,
        attrs={"rna_is_log2": int(design.rna_is_log2)},
    )


def design_of(dataset: xr.Dataset) -> ScreenDesign:
    """Return the design of a `design_dataset`, without single measurements.

    Raises KeyError where the dataset is incomplete.
    """

    def labels(name: str) -> tuple[str, ...]:
        return tuple(map(str, dataset[name].to_numpy()))

    arrays: dict[str, Any] = {name: dataset[name].to_numpy() for name in _DIMS}
    others = {str(name): dataset[name].to_numpy() for name in set(dataset.data_vars) - set(_DIMS)}
    return ScreenDesign(
        genes=labels("gene"),
        cell_lines=labels("cell_line"),
        guides=labels("guide"),
        rna_is_log2=bool(dataset.attrs["rna_is_log2"]),
        lineage=labels("lineage") if "lineage" in dataset.coords else None,
        covariates={name: values for name, values in others.items() if values.ndim == 2},
        covariate_means={
            name.removesuffix("_mean"): means for name, means in others.items() if means.ndim == 1
        },
        **arrays,
    )
