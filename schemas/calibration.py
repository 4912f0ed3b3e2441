"""Settings and results of a calibration (simulation-based calibration)."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from schemas.base import Frozen, Settings
from schemas.parameters import EngineName, FitParameters, ModelName, Priors, Sampling
from schemas.reports import Verdict

LEVELS = (0.50, 0.89, 0.95)
"""Probabilities of the central intervals whose coverage is counted."""
ENOUGH_SIMULATIONS = 1000
"""With fewer simulations a calibration shows gross errors only."""


class CalibrationSettings(Settings):
    """Model and engine to calibrate, and number and size of the simulated screens."""

    model: ModelName = "m4_screen"
    """Model that is fitted."""
    simulated_model: Literal["", ModelName] = ""
    """Model the screens are drawn from; empty: the fitted one. Another one shows the coverage of
    the fitted model where its assumptions do not hold."""
    engine: EngineName = "auto"
    """Engine to calibrate. NUTS takes seconds per simulation, exact tens of milliseconds."""
    simulations: int = Field(ENOUGH_SIMULATIONS, ge=50, le=100_000)
    """Number of simulated screens."""
    seed: int = Field(103, ge=0, lt=2**32)
    """Seed of every random number."""
    genes: int = Field(10, ge=3, le=1000)
    """Genes of a simulated screen."""
    cell_lines: int = Field(10, ge=5, le=1000)
    """Cell lines of a simulated screen."""
    guides: int = Field(3, ge=1, le=20)
    """Guides per gene."""
    replicates: int = Field(2, ge=1, le=20)
    """Replicates per cell line, each of them a sequence."""
    copy_number: bool = False
    """Whether the simulated screens have copy number, on which `m4_screen` then has a slope."""
    priors: Priors = Priors()
    """Priors from which the parameters are drawn and with which they are fitted."""
    sampling: Sampling = Sampling(draws=250, tune=1000)
    """Draws of each fit. Ranks need few draws; NUTS needs its tuning."""
    ranked_among: int = Field(127, ge=15, le=10_000)
    """Draws, taken at random from those of a fit, among which the truth is ranked; far fewer than
    all draws, so that they are independent."""
    band_probability: float = Field(0.99, gt=0.5, lt=1)
    """Probability that a calibrated engine stays inside the bands of all quantities."""
    max_coverage_errors: float = Field(4.0, gt=0)
    """An interval's coverage may miss its nominal value by this many Monte Carlo errors."""

    @property
    def simulated(self) -> ModelName:
        """The model the screens are drawn from."""
        return self.simulated_model or self.model

    def fit_parameters(self, seed: int) -> FitParameters:
        """Return the parameters each simulated screen is fitted with."""
        return FitParameters(
            model=self.model,
            engine=self.engine,
            seed=seed,
            priors=self.priors,
            sampling=self.sampling,
        )


class CalibratedQuantity(Frozen):
    """One test quantity over all simulations."""

    quantity: str
    """Variable of the posterior, all elements of a vector pooled; or `log_likelihood`."""
    inside: bool
    """Whether the ECDF of its PIT stays inside the band."""
    largest_difference: float
    """Distance of the ECDF from the diagonal, a probability: the largest or, outside the band,
    where it is furthest outside."""
    at: float
    """PIT value of that distance."""


class Coverage(Frozen):
    """How often intervals of one level contain the truth, over all elements of a variable."""

    variable: str
    level: float
    """Nominal probability of the central interval."""
    coverage: float
    """Share of the true values inside."""
    mcse: float
    """Monte Carlo error of that share: elements of one simulation are not independent."""

    @property
    def errors_off(self) -> float:
        """Coverage minus its nominal value, in Monte Carlo errors."""
        return (self.coverage - self.level) / self.mcse


class CalibrationReport(Frozen):
    """The result of a calibration."""

    settings: CalibrationSettings
    engines: dict[str, int]
    """Number of simulations by engine."""
    n_simulations: int
    """Simulations that gave a posterior."""
    n_failed: int
    """Simulations without a posterior; they are left out."""
    n_troubled: int
    """Simulations whose engine flagged its own result; they are included."""
    quantities: tuple[CalibratedQuantity, ...]
    coverage: tuple[Coverage, ...]
    verdict: Verdict


class PackagedCalibration(Frozen):
    """A calibration that comes with ScreenBayes, and what its result depends on."""

    report: CalibrationReport
    sources: dict[str, str]
    """Digest of the code of each module by which it was computed, by dotted name."""
    libraries: dict[str, str]
    """Major and minor version of each library that computes, by distribution."""
