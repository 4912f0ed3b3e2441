"""Settings and results of a comparison of two fits."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from schemas.base import Frozen, Settings

StepName = Literal["lost", "sequences", "values", "rna", "settings", "gained"]
STEP_WORDS: dict[StepName, str] = {
    "lost": "cell lines and genes only in A",
    "sequences": "other replicates of the same cell lines",
    "values": "new log fold changes of the same replicates",
    "rna": "new RNA or copy number of the same cell lines",
    "settings": "model and priors",
    "gained": "cell lines and genes only in B",
}
"""The steps from A to B, in order."""
OPPOSITE_SIGN = "opposite sign"
"""A hit in both fits whose slopes have opposite signs: the two contradict each other."""


class ComparisonSettings(Settings):
    """Which differences count."""

    practical_difference: float = Field(0.1, gt=0)
    """A slope that moves by more than this, log fold change per SD of RNA, has changed."""
    lfsr_max: float = Field(0.05, gt=0, lt=1)
    """Genes with a local false sign rate of at most this are hits."""
    attribute: bool = True
    """Whether to attribute differences to other cell lines, to new data of the same lines or to the
    settings; this takes up to five more fits."""


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
    """SHA-256 of the draws; empty in runs of earlier versions."""
    n_genes: int
    n_cell_lines: int
    n_measurements: int
    log_evidence: float | None
    """Natural log of the marginal likelihood; only the exact engine has it."""


class ItemChange(Frozen):
    """A sequence, guide, gene or cell line that is fitted in only one of the two."""

    item: str
    """Its label in the fit that has it."""
    cell_line: str = ""
    """Cell line of a sequence."""
    a: str
    """`fitted`, `absent`, or the reason of its exclusion from fit A."""
    b: str
    """The same of fit B."""


class ProfileChange(Frozen):
    """A cell line whose default RNA profile differs."""

    cell_line: str
    a: str
    b: str


class BatchShift(Frozen):
    """Change of the log fold changes of the same sequences, by pDNA batch."""

    pdna_batch: str
    n_cell_lines: int
    """Lines with sequences of the batch whose values have changed."""
    shift: float
    """Mean of B minus A over guides and lines, log2; 0.3 is a third of a doubling."""
    spread: float
    """SD of B minus A over guides around the shift of their line, log2: 0 where all guides changed
    equally, so that only the line's gamma can change."""


class DataChanges(Frozen):
    """Differences between the data of two fits. Genes are joined as in the comparison."""

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
    """Of lines of both: changed quality control, removed sequences."""
    sequences_gained: tuple[ItemChange, ...]
    """Of lines of both."""
    profiles_changed: tuple[ProfileChange, ...]
    """Of lines of both."""
    rna_changed: tuple[str, ...]
    """Lines of both whose RNA differs in genes of both."""
    copy_number_changed: tuple[str, ...] = ()
    """Lines of both whose copy number differs in genes of both."""
    copy_number_in: tuple[Literal["A", "B"], ...] = ()
    """Fits with a copy-number table."""
    values_changed: tuple[str, ...]
    """Lines of both with the same sequences and different log fold changes: reprocessed."""
    batches: tuple[BatchShift, ...]
    """Shifts of the lines of `values_changed`, the largest first."""

    @property
    def nothing(self) -> bool:
        """Whether both were fitted to the same numbers."""
        listed = self.model_dump(
            exclude={"n_cell_lines_joined", "profiles_changed", "batches", "copy_number_in"}
        )
        return len(self.copy_number_in) != 1 and not any(listed.values())


class Step(Frozen):
    """One step from fit A to fit B; the steps of a gene add up to its difference."""

    name: StepName
    mean_abs_difference: float
    """Mean over the joined genes of the absolute change of beta, log fold change per SD of RNA."""
    n_genes_moved: int
    """Genes whose beta changes by more than the practical difference."""
    largest: tuple[str, ...]
    """Genes whose beta changes most, by the label of B."""


class ScalarChange(Frozen):
    """A mean or standard deviation of the model, in both fits; NaN where a model lacks it."""

    parameter: str
    mean_a: float
    sd_a: float
    mean_b: float
    sd_b: float


class CheckChange(Frozen):
    """A predictive check in both fits; NaN where one lacks it."""

    check: str
    p_value_a: float
    n_draws_a: int
    """Draws behind the p-value; 0 where unknown."""
    p_value_b: float
    n_draws_b: int


class Comparison(Frozen):
    """Comparison of two fits; differences are B minus A. Genes and lines are in tables."""

    dataset: str
    a: FitSummary
    b: FitSummary
    same_data: bool
    """Whether the tables of both have the same content."""
    identical: bool
    """Whether the numbers of every gene are equal to the last digit."""
    identical_draws: bool | None = None
    """Whether every draw of every parameter is equal; None where a run has no digest."""
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
    """Hits in A and not in B, by the label of A, without genes lost."""
    hits_gained: tuple[str, ...]
    """Hits in B and not in A, by the label of B."""
    hits_opposite_sign: tuple[str, ...]
    """Hits in both, with opposite signs of beta, by the label of B."""
    beta_correlation: float
    """Correlation of the posterior means of beta over the joined genes; NaN for fewer than two."""
    largest_abs_z: float
    """Largest difference of a beta in combined posterior SDs."""
    log_evidence_difference: float | None
    """B minus A; None unless both have one and are of the same data."""
    elpd_loo_difference: float | None = None
    """Expected log predictive density of a left-out gene-line pair, summed, B minus A (PSIS-LOO);
    None unless both have one and are of the same data."""
    elpd_loo_difference_se: float | None = None
    """Standard error of that difference, from its spread over gene-line pairs."""
    scalars: tuple[ScalarChange, ...] = ()
    """Means and standard deviations of the models."""
    checks: tuple[CheckChange, ...] = ()
    """Posterior predictive checks."""
    data: DataChanges | None = None
    """Differences of the data; None where a run does not contain its data."""
    steps: tuple[Step, ...] = ()
    """Attribution of the differences; empty where nothing was attributed."""
    not_attributed: str = ""
    """Why a requested attribution was not possible."""
