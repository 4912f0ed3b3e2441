"""Models as data: effects, variance components, noise, and the resulting variables.

Contract, priors, both engines, simulation and prediction iterate over a `ModelSpec`. The equation
is computed only in `model.likelihood`.
"""

from __future__ import annotations

from collections.abc import Container, Hashable, Iterable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from schemas.parameters import ModelName

Dim = Literal["gene", "cell_line", "guide", "component"]


@dataclass(frozen=True)
class Effect:
    """Effects of genes, cell lines or guides on log fold change, one per item: Normal(mean, sd)."""

    name: str
    """Variable in the posterior."""
    dim: Dim
    """Items with one effect each."""
    sd: str = ""
    """Variable: SD over the items; empty where the prior is the mixture of the model."""
    mean: str = ""
    """Variable: mean over the items; empty where it is fixed at 0."""
    covariate: str = ""
    """Covariate of a gene in a cell line that the effect multiplies; empty for 1."""


@dataclass(frozen=True)
class Factor:
    """Positive factors of genes or cell lines: log factor ~ Normal(0, sd), one per item."""

    name: str
    """Variable in the posterior: the factor times `of`."""
    dim: Dim
    """Items with one factor each."""
    sd: str
    """Variable: SD over the items of the log factor."""
    of: str = ""
    """Variable that is multiplied; empty for 1."""
    zero_sum: bool = False
    """Whether the log factors sum to 0, so that their geometric mean is 1."""


@dataclass(frozen=True)
class Mixture:
    """Prior of sparse slopes: 0, or half-normal below or above 0 with one of several scales.

        beta_g ~ pi_0 (point mass at 0) + sum_k pi_k HalfNormal(scale_k) of either sign
        pi ~ Dirichlet(null_concentration, concentration, ..., concentration)

    Stephens 2017, False discovery rates: a new deal, Biostatistics 18, with half-normals, so that
    the share of negative slopes can differ from that of positive ones. Components: 0, then the
    negative ones by scale, then the positive ones.
    """

    weights: str
    """Variable: weights of the components."""
    included: str
    """Variable: probability by gene that its slope is not 0, given the other parameters."""
    scales: tuple[float, ...]
    """Scales of the half-normals, log2 per SD of the covariate."""
    null_concentration: float
    """Prior number of slopes at 0."""
    concentration: float
    """Prior number of slopes in each other component."""

    @property
    def n_components(self) -> int:
        """Number of components."""
        return len(self.signed_scales)

    @property
    def signed_scales(self) -> tuple[float, ...]:
        """Scale of each component, with the sign of its slopes: 0, -0.05, ..., 0.05, ..."""
        return (0.0, *(-scale for scale in self.scales), *self.scales)

    @property
    def concentrations(self) -> tuple[float, ...]:
        """Parameters of the Dirichlet prior of the weights."""
        return (self.null_concentration, *(self.concentration for _ in self.signed_scales[1:]))

    @property
    def labels(self) -> tuple[str, ...]:
        """Labels of the components: their signed scales."""
        return tuple(f"{scale:g}" for scale in self.signed_scales)


@dataclass(frozen=True)
class ModelSpec:
    """A hierarchical model of log fold change.

    For measurement i of guide k of gene g in cell line c

        logfc_gkci = line effect_c + s_c (sum over other effects (effect x covariate)
                                          + eps_gc + zeta_kc) + noise_i
        eps_gc ~ Normal(0, gene_line_sd)   zeta_kc ~ Normal(0, guide_line_sd)
        noise_i ~ Normal(0, noise_sd)

    where s_c is 1, or the `line_scale`, and the SDs of eps and of noise may have factors by gene
    and by line.
    """

    effects: tuple[Effect, ...]
    """In the order of the posterior; the first gene effect is the level, on covariate 1."""
    gene_line_sd: str = ""
    """Variable: SD of the effects of gene-line pairs; empty where there are none."""
    guide_line_sd: str = ""
    """Variable: SD of the effects of guide-line pairs; empty where there are none."""
    noise_sd: str = "sigma"
    """Variable: SD of one measurement around its mean."""
    mixture: Mixture | None = None
    """Prior of the slope on RNA; None where it is Normal."""
    pair_spread: Factor | None = None
    """SD of the effects of the gene-line pairs of a gene; None where it is `gene_line_sd`."""
    line_scale: Factor | None = None
    """Scale of the effects in a cell line; None where it is 1."""
    line_noise: Factor | None = None
    """SD of one measurement of a cell line over `noise_sd`; None where it is 1."""
    optional: tuple[Effect, ...] = ()
    """Slopes of genes that the model has on designs with their covariate (`model_spec`)."""

    @cached_property
    def gene_effects(self) -> tuple[Effect, ...]:
        """Effects of genes: columns 0, 1, ... of a gene's design matrix, before its guides."""
        return tuple(effect for effect in self.effects if effect.dim == "gene")

    @cached_property
    def slopes(self) -> tuple[Effect, ...]:
        """Effects of genes on a covariate."""
        return tuple(effect for effect in self.gene_effects if effect.covariate)

    @cached_property
    def rna_column(self) -> int:
        """Column of the slope on RNA, the result of a fit."""
        return [effect.covariate for effect in self.gene_effects].index("rna")

    @cached_property
    def line_effect(self) -> Effect:
        """The effect of a cell line."""
        (effect,) = (effect for effect in self.effects if effect.dim == "cell_line")
        return effect

    @cached_property
    def guide_effect(self) -> Effect | None:
        """The effect of a guide, or None."""
        return next((effect for effect in self.effects if effect.dim == "guide"), None)

    @cached_property
    def means(self) -> tuple[str, ...]:
        """Names of the population means, in the order of the posterior."""
        return tuple(effect.mean for effect in self.effects if effect.mean)

    @cached_property
    def pair_sds(self) -> tuple[str, ...]:
        """SDs of gene-line and of guide-line pairs; empty where the model has neither."""
        return tuple(filter(None, (self.gene_line_sd, self.guide_line_sd)))

    @cached_property
    def sds(self) -> tuple[str, ...]:
        """Names of the standard deviations, in the order of the posterior."""
        of_effects = [effect.sd for effect in self.effects if effect.dim != "guide"]
        of_guides = [effect.sd for effect in self.effects if effect.dim == "guide"]
        of_factors = [factor.sd for factor in self.factors]
        names = (*of_effects, self.noise_sd, *of_guides, *self.pair_sds, *of_factors)
        return tuple(filter(None, names))

    @cached_property
    def factors(self) -> tuple[Factor, ...]:
        """Factors of genes and cell lines."""
        return tuple(filter(None, (self.pair_spread, self.line_scale, self.line_noise)))

    @cached_property
    def ratio_sds(self) -> tuple[str, ...]:
        """SDs of genes, guides and pairs: the exact engine works with their ratios to the noise."""
        of_guides = (self.guide_effect.sd,) if self.guide_effect else ()
        return (*(effect.sd for effect in self.gene_effects), *of_guides, *self.pair_sds)

    @cached_property
    def not_exact(self) -> str:
        """Why the exact engine does not support the model; empty where it does.

        It integrates Normal effects of genes with a mean each, and needs guide effects and both
        kinds of pairs together or none of them.
        """
        if self.mixture:
            return "its slopes have a mixture prior"
        if self.factors:
            return "its genes or cell lines differ in spread, scale or noise"
        if not all(effect.mean for effect in self.gene_effects):
            return "it has effects of genes whose mean is fixed"
        if any(effect.covariate for effect in self.effects if effect.dim != "gene"):
            return "it has slopes of cell lines or guides"
        if bool(self.guide_effect) != (len(self.pair_sds) == 2):
            return "it has only some of the effects of guides, gene-line and guide-line pairs"
        return ""

    @cached_property
    def not_gibbs(self) -> str:
        """Why the Gibbs engine does not support the model; empty where it does."""
        if not (self.guide_effect and len(self.pair_sds) == 2):
            return "it lacks effects of guides, gene-line or guide-line pairs"
        if not all(effect.mean or not effect.sd for effect in self.gene_effects):
            return "it has effects of genes whose mean is fixed"
        if any(effect.covariate for effect in self.effects if effect.dim != "gene"):
            return "it has slopes of cell lines or guides"
        return ""

    @cached_property
    def not_nuts(self) -> str:
        """Why NUTS does not support the model; empty where it does."""
        sparse_or_unequal = self.mixture or self.factors
        if sparse_or_unequal and not (self.guide_effect and len(self.pair_sds) == 2):
            return "it lacks effects of guides, gene-line or guide-line pairs"
        return ""

    @cached_property
    def variables(self) -> dict[str, tuple[str, ...]]:
        """Every variable of the posterior with its dims in addition to chain and draw."""
        scalars: dict[str, tuple[str, ...]] = dict.fromkeys((*self.means, *self.sds), ())
        by_item: dict[str, tuple[str, ...]] = {e.name: (e.dim,) for e in self.effects}
        by_item |= {factor.name: (factor.dim,) for factor in self.factors}
        if self.mixture:
            by_item |= {self.mixture.weights: ("component",), self.mixture.included: ("gene",)}
        return scalars | by_item

    @property
    def by_guide(self) -> bool:
        """Whether the model needs the mean of each guide-line pair."""
        return self.guide_effect is not None or bool(self.pair_sds)


_ALPHA = Effect("alpha_g", "gene", "sigma_alpha", "mu_alpha")
_GAMMA = Effect("gamma_c", "cell_line", "sigma_gamma", "mu_gamma")
_BETA = Effect("beta_g", "gene", "sigma_beta", "mu_beta", covariate="rna")
_DELTA = Effect("delta_k", "guide", "sigma_guide")
_KAPPA = Effect("kappa_g", "gene", "sigma_kappa", "mu_kappa", covariate="copy_number")

MODEL_SPECS: dict[ModelName, ModelSpec] = {
    "m4": ModelSpec((_ALPHA, _GAMMA, _BETA)),
    "m4_zero_mean": ModelSpec((_ALPHA, Effect("gamma_c", "cell_line", "sigma_gamma"), _BETA)),
    "m4_nested": ModelSpec(
        (_ALPHA, _GAMMA, _BETA, _DELTA),
        gene_line_sd="sigma_gene_line",
        guide_line_sd="sigma_guide_line",
    ),
    "m4_screen": ModelSpec(
        (_ALPHA, _GAMMA, Effect("beta_g", "gene", covariate="rna"), _DELTA),
        gene_line_sd="sigma_gene_line",
        guide_line_sd="sigma_guide_line",
        mixture=Mixture(
            weights="pi",
            included="included_g",
            scales=(0.05, 0.1, 0.2, 0.4, 0.8, 1.6),
            null_concentration=6.0,
            concentration=0.25,
        ),
        pair_spread=Factor("omega_g", "gene", "sigma_omega", of="sigma_gene_line"),
        line_scale=Factor("s_c", "cell_line", "sigma_s", zero_sum=True),
        line_noise=Factor("f_c", "cell_line", "sigma_f"),
        optional=(_KAPPA,),
    ),
}
"""Models without their optional slopes."""


def model_spec(model: ModelName, covariates: Container[str]) -> ModelSpec:
    """Return the model on a design with these covariates besides RNA."""
    spec = MODEL_SPECS[model]
    found = tuple(effect for effect in spec.optional if effect.covariate in covariates)
    return replace(spec, effects=(*spec.effects, *found)) if found else spec


def spec_of(variables: Iterable[Hashable]) -> ModelSpec:
    """Return the smallest model with these variables; raise ValueError if no model has them."""
    names = set(map(str, variables))
    specs = [
        model_spec(model, {slope.covariate for slope in spec.optional if slope.name in names})
        for model, spec in MODEL_SPECS.items()
    ]
    fitting = [spec for spec in specs if names <= set(spec.variables)]
    if not fitting:
        raise ValueError(f"expected the variables of a model, got {sorted(names)}")
    return min(fitting, key=lambda spec: len(spec.variables))
