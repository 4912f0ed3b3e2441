"""Settings of a simulated screen: its size, its model and its true population values."""

from __future__ import annotations

from pydantic import Field

from schemas.base import Settings
from schemas.parameters import ModelName


class TrueValues(Settings):
    """Population values a screen is drawn from; the defaults are those of a real screen.

    They are lme4's estimates of `m4_nested` on a sample of DepMap's Avana screen (105 genes, 41
    cell lines): SDs by restricted maximum likelihood, mu_beta the mean of its slopes; mu_alpha is
    the mean of the sample's log fold changes. Of `m4_screen` they are posterior means on the sample
    (`of_real_screen`), but genes and lines are two thirds as unequal: log-normal factors of 18,000
    genes and 1,100 lines would give log fold changes of 40. The sample is of chosen genes, so that
    it does not tell the share of slopes that are not 0.
    """

    mu_alpha: float = Field(-0.3, allow_inf_nan=False)
    """Mean over genes of the log fold change at average RNA, log2."""
    mu_gamma: float = Field(0.0, allow_inf_nan=False)
    """Mean over cell lines of the line effect, log2; 0 in `m4_zero_mean`."""
    mu_beta: float = Field(-0.14, allow_inf_nan=False)
    """Mean over genes of the slope on RNA, log2 per SD of RNA."""
    sigma_alpha: float = Field(0.22, ge=0, allow_inf_nan=False)
    """SD over genes of alpha, log2."""
    sigma_gamma: float = Field(0.41, ge=0, allow_inf_nan=False)
    """SD over cell lines of gamma, log2."""
    sigma_beta: float = Field(0.16, ge=0, allow_inf_nan=False)
    """SD over genes of beta, log2 per SD of RNA."""
    sigma: float = Field(0.55, gt=0, allow_inf_nan=False)
    """SD of one measurement around its mean, log2."""
    sigma_guide: float = Field(0.30, ge=0, allow_inf_nan=False)
    """SD over the guides of a gene of delta, log2 (`m4_nested`, `m4_screen`)."""
    sigma_gene_line: float = Field(0.34, ge=0, allow_inf_nan=False)
    """SD over gene-line pairs of epsilon, log2 (`m4_nested`; of a typical gene, `m4_screen`)."""
    sigma_guide_line: float = Field(0.31, ge=0, allow_inf_nan=False)
    """SD over guide-line pairs of zeta, log2 (`m4_nested`, `m4_screen`)."""
    sigma_omega: float = Field(0.0, ge=0, allow_inf_nan=False)
    """SD over genes of log omega, the SD of their gene-line pairs (`m4_screen` only)."""
    sigma_s: float = Field(0.0, ge=0, allow_inf_nan=False)
    """SD over cell lines of log s, the scale of their effects (`m4_screen` only)."""
    sigma_f: float = Field(0.0, ge=0, allow_inf_nan=False)
    """SD over cell lines of log f, their noise over sigma (`m4_screen` only)."""
    share_nonzero: float = Field(0.1, ge=0, le=1)
    """Probability that the slope of a gene is not 0 (`m4_screen` only)."""
    share_negative: float = Field(0.75, ge=0, le=1)
    """Probability that a slope that is not 0 is negative (`m4_screen` only)."""

    @classmethod
    def of_real_screen(cls, model: ModelName) -> TrueValues:
        """Return estimates on the sample under a model.

        Without guide, gene-line and guide-line terms, their variance is part of the noise.
        """
        if model == "m4_nested":
            return cls()
        if model == "m4_screen":
            return cls(
                sigma_alpha=0.18,
                sigma_gamma=0.26,
                sigma=0.40,
                sigma_guide=0.27,
                sigma_gene_line=0.13,
                sigma_guide_line=0.19,
                sigma_omega=0.6,
                sigma_s=0.3,
                sigma_f=0.35,
            )
        return cls(sigma_alpha=0.28, sigma_gamma=0.41, sigma_beta=0.18, sigma=0.75)


class Simulation(Settings):
    """Everything that determines the files of a simulated screen."""

    model: ModelName = "m4_screen"
    """Model the log fold changes are drawn from."""
    genes: int = Field(100, ge=1, le=100_000)
    """Number of genes."""
    cell_lines: int = Field(40, ge=5, le=100_000)
    """Number of cell lines; a gene measured in fewer than 5 is not fitted."""
    guides: int = Field(4, ge=1, le=1000)
    """Guides per gene."""
    replicates: int = Field(2, ge=1, le=26)
    """Replicates per cell line, each of them a sequence."""
    missing: float = Field(0.0, ge=0, lt=1)
    """Share of measurements that are missing, at random."""
    seed: int = Field(103, ge=0, lt=2**32)
    """Seed; equal seed and settings give equal files."""
    true_values: TrueValues | None = None
    """Population values; None: those of a real screen under the model."""

    @property
    def population(self) -> TrueValues:
        """Population values the screen is drawn from."""
        return self.true_values or TrueValues.of_real_screen(self.model)
