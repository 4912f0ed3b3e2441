"""What is asked of a calibration, and what it returns.

Simulating and fitting is `model.calibration`, judging `model.calibration_verdict`.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from schemas.frozen import Frozen
from schemas.parameters import EngineName, FitParameters, ModelName, Priors, Sampling, Settings
from schemas.reports import Verdict

LEVELS = (0.50, 0.89, 0.95)
"""Probabilities of the central intervals whose coverage is counted."""


class CalibrationSettings(Settings):
    """Which model and engine are held against simulated screens, and how many of what size."""

    model: ModelName = "m4_nested"
    """Model that is fitted."""
    simulated_model: Literal["", ModelName] = ""
    """Model the screens are drawn from; nothing for the one that is fitted. Another one shows what
    the fitted model is worth where its assumptions do not hold."""
    engine: EngineName = "auto"
    """Engine that is tried. NUTS takes seconds a simulation, exact tens of milliseconds."""
    simulations: int = Field(1000, ge=50, le=100_000)
    """Number of simulated screens."""
    seed: int = Field(103, ge=0, lt=2**32)
    """Seed of every random number."""
    genes: int = Field(10, ge=3, le=1000)
    """Genes of a simulated screen."""
    cell_lines: int = Field(10, ge=5, le=1000)
    """Cell lines of a simulated screen."""
    guides: int = Field(3, ge=1, le=20)
    """Guides a gene."""
    replicates: int = Field(2, ge=1, le=20)
    """Sequences a cell line."""
    priors: Priors = Priors()
    """Priors: the parameters are drawn from them, and fitted with them."""
    sampling: Sampling = Sampling(draws=250, tune=1000)
    """Draws of each fit. Ranks need few; what is computed with NUTS needs its tuning."""
    ranked_among: int = Field(127, ge=15, le=10_000)
    """Draws, taken at random from all of a fit, among which the truth is ranked; many fewer than
    there are, so that they are independent."""
    band_probability: float = Field(0.99, gt=0.5, lt=1)
    """Probability that a sound engine stays inside the bands of all quantities."""
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
    """Variable of the posterior, of a vector its first element; or `log_likelihood`."""
    inside: bool
    """Whether the ECDF of its PIT stays inside the band."""
    largest_difference: float
    """Largest distance of the ECDF from the diagonal, a probability; of one that leaves the band,
    where it is furthest outside."""
    at: float
    """Where that is, a probability."""


class Coverage(Frozen):
    """How often intervals of one level hold the truth, over all elements of a variable."""

    variable: str
    level: float
    """Nominal probability of the central interval."""
    coverage: float
    """Share of the true values inside."""
    mcse: float
    """Monte Carlo error of that share: elements of one simulation are not independent."""

    @property
    def errors_off(self) -> float:
        """Coverage less its nominal value, in Monte Carlo errors."""
        return (self.coverage - self.level) / self.mcse


class CalibrationReport(Frozen):
    """The result of a calibration."""

    settings: CalibrationSettings
    engines: dict[str, int]
    """How many simulations each engine computed."""
    n_simulations: int
    """Simulations that gave a posterior."""
    n_failed: int
    """Simulations that gave none: they are left out."""
    n_troubled: int
    """Simulations whose engine found fault with its own result; they are counted like others."""
    quantities: tuple[CalibratedQuantity, ...]
    coverage: tuple[Coverage, ...]
    verdict: Verdict
