"""Settings and results of a permutation trial: false calls counted on a user's own screen."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from schemas.base import Frozen, Settings
from schemas.parameters import FitParameters, ModelName, Sampling
from schemas.reports import Verdict

Method = Literal["lfsr", "s_value", "regression", "moderated_regression"]
METHODS: dict[Method, str] = {
    "lfsr": "{model}, lfsr",
    "s_value": "{model}, s-value",
    "regression": "regression, BH",
    "moderated_regression": "moderated regression, BH",
}
"""Rules by which genes are called, with their names for people; the first two are the model's. BH:
the false discovery rate of Benjamini and Hochberg."""
MODEL_METHODS: tuple[Method, ...] = ("lfsr", "s_value")

TRIAL_PARAMETERS = FitParameters(sampling=Sampling(draws=500, chains=2))
"""Default parameters of the fits of a trial: counts of calls need fewer draws than a result."""


class TrialSettings(Settings):
    """Share of the genes whose RNA is permuted, and how many times."""

    share: float = Field(0.8, gt=0, lt=1)
    """Share of the genes whose RNA is permuted over the cell lines, so that it has no effect."""
    permutations: int = Field(8, ge=2, le=1000)
    """Number of permuted screens, each of which is fitted once; each permutes other genes."""


class PermutationCounts(Frozen):
    """Calls of one method on one permuted screen."""

    permutation: int
    """Number of the permuted screen, from 0."""
    method: Method
    """Rule by which genes are called."""
    n_false: int
    """Called genes with permuted RNA."""
    n_other: int
    """Called genes with RNA as measured."""


class MethodCalls(Frozen):
    """Calls of one method over all permuted screens."""

    method: Method
    """Rule by which genes are called."""
    n_false: int
    """Called genes with permuted RNA, summed over permutations."""
    n_other: int
    """Called genes with RNA as measured, summed over permutations."""
    false_share: float
    """`n_false` over all calls; NaN without calls."""
    low: float
    """Lower end of its 89 % interval over permutations of this screen."""
    high: float
    """Upper end of this interval."""

    @property
    def n_called(self) -> int:
        """All calls."""
        return self.n_false + self.n_other


class PermutationReport(Frozen):
    """The result of a permutation trial."""

    dataset: str
    release: str
    model: ModelName
    engine: str
    """Engine that computed most of the posteriors."""
    settings: TrialSettings
    level: float
    """Nominal rate of all rules (`calls.error_max`)."""
    n_genes: int
    n_genes_permuted: int
    """Genes of each permuted screen whose RNA is permuted."""
    n_genes_callable: int
    """Genes with enough data for a call; only their calls are counted, by every method."""
    n_cell_lines: int
    n_troubled: int
    """Fits whose engine did not vouch for its result; they are included."""
    methods: tuple[MethodCalls, ...]
    """In the order of METHODS."""
    verdict: Verdict

    @property
    def names(self) -> dict[Method, str]:
        """Names of the methods for people, with the model of this trial."""
        return {method: name.format(model=self.model) for method, name in METHODS.items()}


class TrialEvidence(Frozen):
    """The latest permutation trial of a model on a dataset, as a report of a fit shows it."""

    run_id: str
    verdict: str
    share: float
    """Share of genes with permuted RNA."""
    n_permutations: int
    level: float
    """Nominal rate of the rules."""
    n_false: int
    """Calls by lfsr of genes with permuted RNA."""
    n_called: int
    """All calls by lfsr."""
    low: float
    """Ends of the 89 % interval of the false share."""
    high: float
