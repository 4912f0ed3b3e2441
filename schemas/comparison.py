"""What is asked of a comparison of two fits, and what it returns.

Computing it is `model.compare`.
"""

from __future__ import annotations

from pydantic import Field

from schemas.parameters import Settings


class ComparisonSettings(Settings):
    """Which differences count."""

    practical_difference: float = Field(0.1, gt=0)
    """A slope that moves by more than this, log fold change per SD of RNA, has changed."""
    lfsr_max: float = Field(0.05, gt=0, lt=1)
    """Genes with a local false sign rate of at most this are hits."""


class FitSummary(Settings):
    """One of the two fits."""

    run_id: str
    """Run in MLflow."""
    release: str
    model: str
    engine: str
    verdict: str
    data_digest: str
    n_genes: int
    n_cell_lines: int
    n_measurements: int
    log_evidence: float | None
    """Natural log of the marginal likelihood; only the exact engine has it."""


class Comparison(Settings):
    """Two fits side by side; differences are B less A. The genes are a table beside it."""

    dataset: str
    a: FitSummary
    b: FitSummary
    same_data: bool
    """Whether the tables of both have the same content."""
    identical: bool
    """Whether the numbers of every gene are equal to the last digit."""
    changed_parameters: dict[str, tuple[str, str]]
    """Setting: its value in A and in B, where they differ."""
    genes_joined: int
    genes_lost: tuple[str, ...]
    """In A only."""
    genes_gained: tuple[str, ...]
    """In B only."""
    genes_renamed: dict[str, str]
    """Label in A: label in B, of the same Entrez number."""
    hits_lost: tuple[str, ...]
    """Hits in A and not in B, by the label of A; genes lost are not among them."""
    hits_gained: tuple[str, ...]
    """Hits in B and not in A, by the label of B."""
    beta_correlation: float
    """Correlation of the posterior means of beta over the joined genes; NaN of fewer than two."""
    largest_abs_z: float
    """Largest difference of a beta in combined posterior SDs."""
    log_evidence_difference: float | None
    """B less A; None unless both have one and are of the same data."""
