"""Settings of a fit: model, priors, sampling, filters, thresholds.

Every number of a fit that can be set is a field here, frozen, with its unit and reason in the text
under it; Prefect's form shows that text. `deployments.cli.options` has options for the few that an
analyst needs.
"""

from __future__ import annotations

import json
import re
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    SerializerFunctionWrapHandler,
    WithJsonSchema,
    model_serializer,
)

from schemas.base import Settings

ModelName = Literal["m4", "m4_zero_mean", "m4_nested", "m4_screen"]
LinearModelName = Literal["m4", "m4_zero_mean", "m4_nested"]
"""Models whose slopes have a Normal prior, and whose genes and lines are alike."""
EngineName = Literal["auto", "exact", "gibbs", "nuts"]
SamplerName = Literal["nutpie", "pymc", "numpyro"]
PriorPreset = Literal["as_run", "as_written"]
Pictures = Literal["all", "report", "none"]
"""Pictures of a fit: all, those of the result and of its checks (`report`), or none, without the
gene explorer too."""


def form_title(title: str) -> dict[str, Any]:
    """Return arguments of `Field` that set the title of a flow's parameter in Prefect's form."""
    return {"json_schema_extra": {"title": title}}  # Prefect overrides `title` with the name


class Distribution(Settings):
    """A prior, written as in the equations: `Normal(0, 2)`, `Exponential(1)`, `HalfNormal(1)`."""

    family: Literal["Normal", "Exponential", "HalfNormal"]
    """Family of the distribution."""
    arguments: tuple[float, ...]
    """Normal: mean, sd; Exponential: rate; HalfNormal: sd. Log fold change (rate: its inverse)."""

    @classmethod
    def from_text(cls, text: str) -> Self:
        """Parse `Family(number, ...)`; raise ValueError naming what was expected."""
        match = re.fullmatch(r"\s*(\w+)\s*\(([^()]*)\)\s*", text)
        arity = {"Normal": 2, "Exponential": 1, "HalfNormal": 1}
        if match is None or match[1] not in arity:
            raise ValueError(
                f"expected Normal(mean, sd), Exponential(rate) or HalfNormal(sd), got {text!r}"
            )
        try:
            arguments = tuple(float(part) for part in match[2].split(","))
        except ValueError:
            raise ValueError(f"expected numbers in {text!r}") from None
        if len(arguments) != arity[match[1]]:
            raise ValueError(
                f"{match[1]} takes {arity[match[1]]} number(s), got {len(arguments)} in {text!r}"
            )
        if not all(abs(argument) < float("inf") for argument in arguments) or arguments[-1] <= 0:
            raise ValueError(f"expected finite numbers, the last above zero, got {text!r}")
        return cls(family=match[1], arguments=arguments)

    def __str__(self) -> str:
        return f"{self.family}({', '.join(map(_shortest, self.arguments))})"

    @model_serializer
    def _as_text(self) -> str:
        return str(self)


def _shortest(number: float) -> str:
    """Return the shortest text that reads back as the same number."""
    return str(int(number)) if number == int(number) and abs(number) < 1e15 else repr(number)


def _parse_distribution(value: Any) -> Any:
    return value if isinstance(value, Distribution) else Distribution.from_text(str(value))


def _require_location(value: Distribution) -> Distribution:
    if value.family != "Normal":
        raise ValueError(f"a mean takes a Normal prior, got {value}")
    return value


def _require_scale(value: Distribution) -> Distribution:
    if value.family == "Normal":
        raise ValueError(f"a standard deviation takes Exponential or HalfNormal, got {value}")
    return value


# The grammar of `Distribution.from_text`, for forms and for servers that have only the schema.
_NUMBER = r"\s*[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?\s*"
_ABOVE_ZERO = r"\s*\+?(?=[\d.]*[1-9])(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?\s*"
_LOCATION_FORM = {
    "type": "string",
    "pattern": rf"^\s*Normal\s*\({_NUMBER},{_ABOVE_ZERO}\)\s*$",
}
_SCALE_FORM = {
    "type": "string",
    "pattern": rf"^\s*(Exponential|HalfNormal)\s*\({_ABOVE_ZERO}\)\s*$",
}
LocationPrior = Annotated[
    Distribution,
    BeforeValidator(_parse_distribution),
    AfterValidator(_require_location),
    WithJsonSchema(_LOCATION_FORM),
]
ScalePrior = Annotated[
    Distribution,
    BeforeValidator(_parse_distribution),
    AfterValidator(_require_scale),
    WithJsonSchema(_SCALE_FORM),
]


class Priors(Settings):
    """Priors of the hyperparameters and of the noise; the defaults are preset `as_run`."""

    mu_alpha: LocationPrior = Distribution.from_text("Normal(0, 2)")
    """Mean over genes of the log fold change at average RNA."""
    mu_gamma: LocationPrior = Distribution.from_text("Normal(0, 2)")
    """Mean over cell lines of the line effect (not in `m4_zero_mean`, where it is 0)."""
    mu_beta: LocationPrior = Distribution.from_text("Normal(0, 1)")
    """Mean over genes of the slope on RNA, log fold change per SD of RNA (not in `m4_screen`)."""
    sigma_alpha: ScalePrior = Distribution.from_text("Exponential(1)")
    """SD over genes of alpha."""
    sigma_gamma: ScalePrior = Distribution.from_text("Exponential(1)")
    """SD over cell lines of gamma."""
    sigma_beta: ScalePrior = Distribution.from_text("Exponential(1)")
    """SD over genes of beta (not in `m4_screen`)."""
    sigma: ScalePrior = Distribution.from_text("Exponential(1)")
    """SD of one measurement around its mean; in `m4_nested` and `m4_screen`, between replicates of
    one guide."""
    sigma_guide: ScalePrior = Distribution.from_text("Exponential(1)")
    """SD over the guides of a gene of delta (`m4_nested` and `m4_screen`)."""
    sigma_gene_line: ScalePrior = Distribution.from_text("Exponential(1)")
    """SD over gene-line pairs of epsilon (`m4_nested`; in `m4_screen`, of a typical gene)."""
    sigma_guide_line: ScalePrior = Distribution.from_text("Exponential(1)")
    """SD over guide-line pairs of zeta (`m4_nested` and `m4_screen`)."""
    sigma_omega: ScalePrior = Distribution.from_text("HalfNormal(0.5)")
    """SD over genes of log omega, the spread of a gene over lines (`m4_screen` only)."""
    sigma_s: ScalePrior = Distribution.from_text("HalfNormal(0.5)")
    """SD over cell lines of log s, the scale of the effects in a line (`m4_screen` only)."""
    sigma_f: ScalePrior = Distribution.from_text("HalfNormal(0.5)")
    """SD over cell lines of log f, the noise of a line (`m4_screen` only)."""
    mu_kappa: LocationPrior = Distribution.from_text("Normal(0, 0.5)")
    """Mean over genes of the slope on copy number, log fold change per log2(ratio + 1) (`m4_screen`
    with a copy-number table only)."""
    sigma_kappa: ScalePrior = Distribution.from_text("HalfNormal(0.5)")
    """SD over genes of kappa, the slope on copy number (`m4_screen` with a copy-number table
    only)."""

    @classmethod
    def preset(cls, name: PriorPreset) -> Self:
        """Return `as_run` (priors the original ran with) or `as_written` (those of its text)."""
        wide = {"mu_alpha": "Normal(0, 5)", "mu_gamma": "Normal(0, 5)", "mu_beta": "Normal(0, 2)"}
        return cls.model_validate(wide if name == "as_written" else {})


Name = Annotated[str, Field(pattern=r"\S")]
"""A name that is not blank."""


def _number_as_text(value: Any) -> Any:
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


GeneName = Annotated[Name, BeforeValidator(_number_as_text, json_schema_input_type=Name | int)]
"""A name of a gene; YAML and JSON have an Entrez number without quotes as a number."""


def _require_some[Names: tuple[str, ...]](names: Names) -> Names:
    if not names:
        raise ValueError("expected at least one name, got none; leave this setting out to fit all")
    return names


def _as_list(schema: dict[str, Any]) -> None:
    """Describe a list that may be left out, without null: the form then has a plain list."""
    some = next(one for one in schema.pop("anyOf") if one["type"] == "array") | {"minItems": 1}
    schema.pop("default", None)
    kinds = some["items"].get("anyOf")
    if kinds is None:
        schema.update(some)
    else:  # for items of several types, the form asks for JSON: it begins with those of text
        names = some | {"items": kinds[0], "title": "Names"}
        schema["anyOf"] = [names, some | {"title": "Names and numbers, in JSON"}]


_Some = Field(json_schema_extra=_as_list)
Names = Annotated[tuple[Name, ...], AfterValidator(_require_some)]
GeneNames = Annotated[tuple[GeneName, ...], AfterValidator(_require_some)]
"""At least one name: an empty list would fit everything, which nobody means by it."""


class Filters(Settings):
    """Part of the screen to fit; everything where no list is given."""

    genes: Annotated[GeneNames | None, _Some] = None
    """Genes to keep, as `SYMBOL (ENTREZ)`, symbol or Entrez number; none given: all."""
    cell_lines: Annotated[Names | None, _Some] = None
    """Cell lines to keep, as ModelID (`ACH-000000`); none given: all."""
    without_cell_lines: Annotated[Names | None, _Some] = None
    """Cell lines to leave out, for example one far noisier than the others."""
    lineages: Annotated[Names | None, _Some] = None
    """Lineages to keep, as named in the model table; none given: all."""

    @model_serializer(mode="wrap", when_used="json")
    def _given(self, serialise: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leave out what is not given: the form takes no null."""
        return {name: names for name, names in serialise(self).items() if names is not None}


class Preparation(Settings):
    """Preparation of the tables; changing a number here changes which data are fitted."""

    min_rna_sd: float = Field(0.1, ge=0)
    """Genes whose RNA, log2(TPM+1), has a smaller SD over the fitted lines are excluded."""
    min_cell_lines_per_gene: int = Field(5, ge=2, title="Fewest cell lines per gene")
    """Genes measured in fewer lines with RNA are excluded and listed."""
    max_measurements_kept: int = Field(5_000_000, ge=0, title="Most measurements kept")
    """Up to this many single measurements are kept for plots."""


class Contract(Settings):
    """Limits of the validation."""

    max_abs_logfc: float = Field(15.0, gt=0, allow_inf_nan=False)
    """Largest plausible log fold change, either sign, log2."""
    rna_warn_above: float = Field(20.0, gt=0)
    """RNA above this, log2(TPM+1), gives a warning."""
    rna_fail_above: float = Field(40.0, gt=0)
    """RNA above this cannot be log2(TPM+1): it is linear TPM, and an error."""
    copy_number_warn_above: float = Field(7.0, gt=0)
    """Copy number above this, log2(ratio + 1), gives a warning."""
    copy_number_fail_above: float = Field(10.0, gt=0)
    """Copy number above this cannot be log2(ratio + 1): it is a ratio, and an error."""
    max_abs_z_score: float = Field(10.0, gt=0)
    """Largest plausible z-score, either sign, of RNA given as z-scores."""
    max_abs_z_score_mean: float = Field(1.0, gt=0)
    """Genes whose RNA, given as z-scores, has a mean further from 0 give a warning."""
    min_guides_retained: float = Field(0.9, ge=0, le=1, title="Smallest share of guides retained")
    """Smallest share of the usable guides of the map that must be found in a logFC table."""
    min_guides_per_gene: int = Field(2, ge=1, title="Fewest guides per gene")
    """Genes with fewer usable guides give a warning: guide and gene effects are confounded."""
    min_join_retention: float = Field(0.5, ge=0, le=1, title="Smallest share retained by the join")
    """Smallest share of genes (and lines) of the smaller table that must be found in the other."""


class Thresholds(Settings):
    """Limits beyond which the verdict is `review` or `fail`."""

    rhat_max: float = Field(1.01, gt=1)
    """Largest acceptable R-hat (rank-normalised, split; Vehtari et al. 2021); above: fail."""
    ess_min: float = Field(400, gt=0)
    """Smallest acceptable bulk and tail effective sample size, and (`exact`) effective number of
    weighted points behind the draws; below: fail."""
    max_divergence_share: float = Field(0.001, ge=0, le=1)
    """Divergent transitions, as a share of all draws: any is `review`, more than this `fail`."""
    bfmi_min: float = Field(0.3, gt=0)
    """Smallest acceptable energy BFMI of a chain; below: review."""
    pareto_k_max: float = Field(0.7, gt=0, lt=1)
    """Largest acceptable Pareto k of the importance weights (`exact`); above: fail. Beyond 0.7 a
    few points dominate (Vehtari et al. 2024)."""
    interpolation_error_max: float = Field(0.1, gt=0)
    """Largest acceptable error of the interpolated log density (`exact`); above: review. An error
    of 0.1 changes a weight, and so the density at that point, by a tenth."""
    loo_pareto_k_max: float = Field(0.7, gt=0, lt=1)
    """Pareto k above which the density of a left-out gene-line pair (PSIS-LOO) is unreliable; the
    share of such pairs is reported. Beyond 0.7 no feasible number of draws would suffice."""
    predictive_p_min: float = Field(0.005, gt=0, lt=0.5)
    """A predictive check with a tail probability below this, either tail, adds a note; a check
    that affects every interval of beta: review."""


class Calls(Settings):
    """When a gene is called: its dependency follows its RNA in a direction of known sign."""

    error_max: float = Field(0.05, gt=0, lt=0.5)
    """A gene is called where the probability that the call is wrong is at most this: that beta has
    the other sign, or is smaller than `calls.min_effect`."""
    min_effect: float = Field(0.0, ge=0)
    """Smallest slope of interest, either sign, log fold change per SD of RNA; 0: every slope."""
    min_cell_lines: int = Field(10, ge=2)
    """Genes measured in fewer cell lines are fitted but not called: one or two lines would
    determine the slope."""
    min_rna_sd: float = Field(0.2, ge=0)
    """Genes whose RNA, log2(TPM+1), has a smaller SD over the lines are fitted but not called: much
    of so small a spread may be measurement error (not applied to RNA given as z-scores)."""


class InfluenceSettings(Settings):
    """When an effect counts as driven by one cell line or by lineage."""

    change_min: float = Field(1.0, ge=0)
    """Smallest change of a slope, in its posterior SDs, for a line or lineage left out to count as
    driving the effect: the sign is sure (`calls.error_max`) with it and not without. An average
    line of 40 moves a slope by a sixth of an SD."""
    share_within_min: float = Field(0.5, gt=0, lt=1)
    """A gene marks a lineage where surely less than this share of its slope remains within
    lineages: most of the effect is then between lineages."""


class Sampling(Settings):
    """Number of draws, and settings of NUTS."""

    sampler: SamplerName = "nutpie"
    """Implementation of NUTS: nutpie (fastest), pymc (reference) or numpyro (JAX)."""
    draws: int | None = Field(None, ge=50, le=1_000_000)
    """Draws kept per chain (nuts, gibbs: after tuning; exact: per batch). If not set: 2,000, fewer
    where they would take over 1.5 GB, but at least 500; of gibbs 1,000, or 500 where those would
    take over 0.4 GB, and then up to 4,000 until they have converged."""
    tune: int = Field(2000, ge=50, le=1_000_000)
    """Tuning steps per chain, discarded (nuts only)."""
    chains: int = Field(4, ge=2, le=64)
    """Independent chains, or batches of the exact engine; R-hat needs at least two."""
    target_accept: float = Field(0.8, gt=0.5, lt=1)
    """Target acceptance rate of the step size; raise it if draws diverge (nuts only)."""
    predictive_draws: int = Field(500, ge=50, le=10_000)
    """Draws of the prior and of the posterior predictive distribution kept for checks and plots."""
    predictive_cells: int = Field(200_000, ge=1000)
    """Predictive draws and checks use at most this many guide-line pairs; in a larger screen, those
    of genes taken evenly over it."""
    log_likelihood: bool = False
    """Keep the log likelihood of each gene-line pair under the predictive draws in `posterior.nc`,
    for arviz.loo and similar; large for a large screen."""

    @property
    def n_draws(self) -> int:
        """Draws kept per chain, once chosen (`model.engines.memory.choose_draws`)."""
        if self.draws is None:
            raise ValueError("expected a number of draws, got none")
        return self.draws


class FitParameters(Settings):
    """Everything that, with the data and the versions, determines a fit."""

    model: ModelName = "m4_screen"
    """Model: `m4_screen` (for real screens: few true effects among many genes, lines and genes that
    differ in noise, and the guide, gene-line and guide-line variance of `m4_nested`), `m4` (the
    original) or `m4_zero_mean` (its cell-line effects centred on zero)."""
    engine: EngineName = "auto"
    """Engine that computes the posterior: `exact` (integrates: seconds for a sample, minutes for a
    release), `gibbs` (samples; `m4_nested` and `m4_screen`), `nuts` (samples; for small screens),
    or `auto`: the fastest for the model, and nuts where the exact result is unreliable."""
    seed: int = Field(103, ge=0, lt=2**32)
    """Seed of every random number; the same seed, data and versions give the same draws."""
    filters: Filters = Filters()
    """Part of the screen to fit."""
    priors: Priors = Priors()
    """Priors of the model, in log fold change: `Normal(mean, SD)` of a mean, `Exponential(rate)` or
    `HalfNormal(SD)` of an SD."""
    sampling: Sampling = Sampling()
    """Sampler settings."""
    preparation: Preparation = Preparation()
    """Preparation of the tables."""
    contract: Contract = Contract()
    """Limits of the validation."""
    thresholds: Thresholds = Thresholds()
    """Limits of the verdict."""
    calls: Calls = Calls()
    """When a gene is called."""
    influence: InfluenceSettings = InfluenceSettings()
    """When an effect counts as driven by one line or lineage."""

    def flat(self) -> dict[str, str | int | float]:
        """Return one entry per setting, as of all settings; draws not given are `auto`."""
        return super().flat() | {"sampling.draws": self.sampling.draws or "auto"}

    @classmethod
    def of_run(cls, text: str) -> Self:
        """Parse the parameters that a run keeps, in JSON; earlier runs have empty lists of filters.

        Raises ValueError for other text.
        """
        content = json.loads(text)
        if isinstance(content, dict) and isinstance(filters := content.get("filters"), dict):
            content["filters"] = {name: names for name, names in filters.items() if names}
        return cls.model_validate(content)
