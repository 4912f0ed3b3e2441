"""Contents of a dataset file: the tables of one release of one screen, and their locations."""

from __future__ import annotations

from collections import Counter
from typing import Annotated, Literal, Self

from pydantic import StringConstraints, model_validator

from schemas.base import Frozen

Location = Annotated[str, StringConstraints(min_length=1, strip_whitespace=True)]
Label = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9 _.+-]*$", max_length=100)]
CopyNumberUnits = Literal["log2_ratio_plus_1", "ratio"]


class Controls(Frozen):
    """Lists of control genes, one column `Gene`, `SYMBOL (ENTREZ)`."""

    essential: Location | None = None
    """Common essential genes: path or s3:// address."""
    nonessential: Location | None = None
    """Non-essential genes: path or s3:// address."""
    expression_addictions: Location | None = None
    """Genes known to be needed more where they are expressed more: path or s3:// address."""


ColumnName = Annotated[str, StringConstraints(min_length=1)]


class Columns(Frozen):
    """Columns of a logFC table of one's own; those with usual names need not be named."""

    gene: ColumnName | None = None
    """Gene: symbol, Entrez number or `SYMBOL (ENTREZ)`."""
    cell_line: ColumnName | None = None
    """Cell line, as in the table of RNA."""
    guide: ColumnName | None = None
    """Guide; the column of genes where the table has one value per gene and line."""
    logfc: ColumnName | None = None
    """Log2 fold change."""
    replicate: ColumnName | None = None
    """Replicate of the cell line."""
    rna: ColumnName | None = None
    """RNA of the gene in the cell line."""

    @property
    def named(self) -> dict[str, str]:
        """Column by role, of those that are named."""
        return self.model_dump(exclude_none=True)

    @model_validator(mode="after")
    def _are_different(self) -> Self:
        by_gene = self.guide == self.gene
        names = [name for role, name in self.named.items() if not (by_gene and role == "guide")]
        if twice := [name for name, count in Counter(names).items() if count > 1]:
            raise ValueError(f"expected a column of its own for each, got {twice[0]!r} twice")
        return self


class Dataset(Frozen):
    """One release of one screen. Paths are local or `s3://`, relative to the dataset file."""

    name: Label
    """Name of the screen, and of the MLflow experiment."""
    release: Label
    """Release of the data, such as `24Q4`."""
    library: Label = "unknown"
    """Guide library, as named in the sequence map: Avana, KY, Humagne-CD, Brunello, TKOv3. A long
    table needs none."""
    folder: Location | None = None
    """Release folder with tables under their known names; a table given here takes precedence."""
    logfc: Location | None = None
    """Log fold changes: guides x sequences, or a long table."""
    columns: Columns = Columns()
    """Names of the columns of a logFC table of one's own (optional)."""
    guide_map: Location | None = None
    """Target gene of each guide."""
    sequence_map: Location | None = None
    """Cell line and quality control of each sequence (replicate)."""
    rna: Location | None = None
    """RNA expression: cell lines x genes."""
    copy_number: Location | None = None
    """Copy number relative to the ploidy of the line: cell lines x genes (optional)."""
    model_table: Location | None = None
    """Names and lineages of cell lines (optional)."""
    controls: Controls = Controls()
    """Control genes (optional)."""
    rna_units: Literal["log2_tpm", "z_score"] = "log2_tpm"
    """Unit of the RNA values: `log2_tpm` is z-scored by gene; `z_score` is used as it is."""

    copy_number_units: CopyNumberUnits = "log2_ratio_plus_1"
    """Unit of the copy numbers: `log2_ratio_plus_1`, or `ratio`, which is converted to it."""

    @model_validator(mode="after")
    def _tables_are_named(self) -> Self:
        if self.logfc is None and self.folder is None:
            raise ValueError(
                "expected `logfc` (a table) or `folder` (a release folder), got neither"
            )
        if self.folder is not None and "library" not in self.model_fields_set:
            raise ValueError(
                "expected `library` beside `folder`, such as Avana, after which its files are named"
            )
        return self
