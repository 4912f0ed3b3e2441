"""What a dataset file says: which tables make one release of one screen, and where they are.

Settings of the fit belong in `schemas.parameters`; reading the file belongs in `tasks`.
"""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import StringConstraints, model_validator

from schemas.frozen import Frozen

Location = Annotated[str, StringConstraints(min_length=1, strip_whitespace=True)]
Label = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9 _.+-]*$", max_length=100)]


class Controls(Frozen):
    """Gene lists with a known answer, one column `Gene`, `SYMBOL (ENTREZ)`."""

    essential: Location | None = None
    """Common essential genes: path or s3:// address."""
    nonessential: Location | None = None
    """Non-essential genes: path or s3:// address."""
    expression_addictions: Location | None = None
    """Genes known to be needed more where they are expressed more: path or s3:// address."""


class Dataset(Frozen):
    """One release of one screen. Paths are local or `s3://`, relative to the dataset file."""

    name: Label
    """Name of the screen; the MLflow experiment bears it."""
    release: Label
    """Release of the data, such as `24Q4`."""
    library: Label
    """Guide library, as the sequence map names it: Avana, KY, Humagne-CD, Brunello, TKOv3."""
    folder: Location | None = None
    """Release folder in which the tables are found by their known names; a table given wins."""
    logfc: Location | None = None
    """Log fold changes: guides x sequences, or a long table."""
    guide_map: Location | None = None
    """Which guide targets which gene."""
    sequence_map: Location | None = None
    """Which sequence (replicate) is of which cell line, and its quality control."""
    rna: Location | None = None
    """RNA expression: cell lines x genes."""
    model_table: Location | None = None
    """Cell lines and their lineages (optional)."""
    controls: Controls = Controls()
    """Control genes (optional)."""
    rna_units: Literal["log2_tpm", "z_score"] = "log2_tpm"
    """Unit of the RNA values: `log2_tpm` is z-scored by gene; `z_score` is used as it is."""

    @model_validator(mode="after")
    def _tables_are_named(self) -> Self:
        if self.logfc is None and self.folder is None:
            raise ValueError(
                "expected `logfc` (a table) or `folder` (a release folder), got neither"
            )
        return self
