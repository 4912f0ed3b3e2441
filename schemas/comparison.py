"""What is asked of a comparison of two fits, and what it returns.

The columns of the tables that go with it are `schemas.columns`.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from schemas.frozen import Frozen
from schemas.parameters import Settings

StepName = Literal["lost", "sequences", "values", "rna", "settings", "gained"]
STEP_WORDS: dict[StepName, str] = {
    "lost": "cell lines and genes only in A",
    "sequences": "other replicates of the same cell lines",
    "values": "new log fold changes of the same replicates",
    "rna": "new RNA of the same cell lines",
    "settings": "model and priors",
    "gained": "cell lines and genes only in B",
}
"""The steps from A to B, in the order in which they are taken."""


class ComparisonSettings(Settings):
    """Which differences count."""

    practical_difference: float = Field(0.1, gt=0)
    """A slope that moves by more than this, log fold change per SD of RNA, has changed."""
    lfsr_max: float = Field(0.05, gt=0, lt=1)
    """Genes with a local false sign rate of at most this are hits."""
    attribute: bool = True
    """Whether to fit what both have in common (up to five more fits), to say whether a difference
    comes from other cell lines, from new data of the same lines, or from the settings."""


class FitSummary(Frozen):
    """One of the two fits."""

    run_id: str
    """Run in MLflow."""
    release: str
    model: str
    engine: str
    verdict: str
    data_digest: str
    posterior_digest: str = ""
    """SHA-256 of the draws. Empty in runs from before it was kept."""
    n_genes: int
    n_cell_lines: int
    n_measurements: int
    log_evidence: float | None
    """Natural log of the marginal likelihood; only the exact engine has it."""


class ItemChange(Frozen):
    """A sequence, guide, gene or cell line that is fitted in one of the two only."""

    item: str
    """Its label, that of the fit that has it."""
    cell_line: str = ""
    """Whose it is, of a sequence."""
    a: str
    """`fitted`, `not there`, or why it is not in fit A."""
    b: str
    """The same of fit B."""


class ProfileChange(Frozen):
    """A cell line whose default RNA profile is another one."""

    cell_line: str
    a: str
    b: str


class BatchShift(Frozen):
    """How far the log fold changes of the same sequences have moved, by pDNA batch."""

    pdna_batch: str
    n_cell_lines: int
    """Lines with sequences of the batch whose values have changed."""
    shift: float
    """Mean of B less A over guides and lines, log2; 0.3 is a third of a doubling."""
    spread: float
    """SD of B less A over guides around the shift of their line, log2: 0 where all guides moved
    alike, and only the line's gamma can move."""


class DataChanges(Frozen):
    """What differs between what two fits were fitted to. Genes are joined as in the comparison."""

    n_cell_lines_joined: int
    cell_lines_lost: tuple[ItemChange, ...]
    cell_lines_gained: tuple[ItemChange, ...]
    genes_lost: tuple[ItemChange, ...]
    genes_gained: tuple[ItemChange, ...]
    guides_lost: tuple[ItemChange, ...]
    """Of genes of both."""
    guides_gained: tuple[ItemChange, ...]
    """Of genes of both."""
    sequences_lost: tuple[ItemChange, ...]
    """Of lines of both: quality control that flipped, sequences that are not there any more."""
    sequences_gained: tuple[ItemChange, ...]
    """Of lines of both."""
    profiles_changed: tuple[ProfileChange, ...]
    """Of lines of both."""
    rna_changed: tuple[str, ...]
    """Lines of both whose RNA has other values in genes of both."""
    values_changed: tuple[str, ...]
    """Lines of both with the same sequences and other log fold changes: processed anew."""
    batches: tuple[BatchShift, ...]
    """What the lines of `values_changed` have moved by, the largest shift first."""

    @property
    def nothing(self) -> bool:
        """Whether both were fitted to the very same numbers."""
        listed = self.model_dump(exclude={"n_cell_lines_joined", "profiles_changed", "batches"})
        return not any(listed.values())


class Step(Frozen):
    """One part of the way from fit A to fit B; the parts of a gene add up to its difference."""

    name: StepName
    mean_abs_difference: float
    """Mean over the joined genes of how far the step moves beta, log fold change per SD of RNA."""
    n_genes_moved: int
    """Genes it moves by more than the practical difference."""
    largest: tuple[str, ...]
    """Genes it moves most, by the label of B."""


class ScalarChange(Frozen):
    """A mean or standard deviation of the model, in both fits; NaN where a model has none."""

    parameter: str
    mean_a: float
    sd_a: float
    mean_b: float
    sd_b: float


class CheckChange(Frozen):
    """A predictive check in both fits; NaN where one has none."""

    check: str
    p_value_a: float
    n_draws_a: int
    """Draws that the p-value is a share of; 0 where that is not known."""
    p_value_b: float
    n_draws_b: int


class Comparison(Frozen):
    """Two fits side by side; differences are B less A. Genes and lines are tables beside it."""

    dataset: str
    a: FitSummary
    b: FitSummary
    same_data: bool
    """Whether the tables of both have the same content."""
    identical: bool
    """Whether the numbers of every gene are equal to the last digit."""
    identical_draws: bool | None = None
    """Whether every draw of every parameter is; None where a run does not say."""
    changed_parameters: dict[str, tuple[str, str]]
    """Setting: its value in A and in B, where they differ."""
    n_genes_joined: int
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
    elpd_loo_difference: float | None = None
    """Expected log predictive density of a gene-line cell left out, summed, B less A (PSIS-LOO);
    None unless both have one and are of the same data."""
    elpd_loo_difference_se: float | None = None
    """Standard error of that difference, from its spread over cells."""
    scalars: tuple[ScalarChange, ...] = ()
    """Means and standard deviations of the models."""
    checks: tuple[CheckChange, ...] = ()
    """Posterior predictive checks."""
    data: DataChanges | None = None
    """What differs in the data; None where a run does not hold what it was fitted to."""
    steps: tuple[Step, ...] = ()
    """What the differences are due to; empty where nothing was to be told apart."""
    not_attributed: str = ""
    """Why they were not told apart, where they should have been."""
