"""Simulation-based calibration: whether intervals contain the truth at their nominal rate.

Parameters are drawn from the prior, a screen from the parameters, and the screen is fitted. If
engine and model are correct, the true value of any quantity is one more draw from its posterior:
its probability integral transform (PIT), the share of draws below it, is uniform (Talts et al.
2018, "Validating Bayesian inference algorithms with simulation-based calibration").
`tasks.steps.calibration` runs many simulations in parallel.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import xarray as xr

from model.diagnostics.convergence import assess_convergence, exact_diagnostics
from model.diagnostics.summary import parameter_summary
from model.diagnostics.verdict import exact_failures, give_verdict
from model.engines.run import NoIntegral, require_engine, run_engine
from model.likelihood.linear_predictor import linear_predictor
from model.likelihood.priors import draw, draw_factors, draw_slopes
from model.likelihood.spreads import noise_by_line, spreads
from model.screen.covariates import COPY_NUMBER
from model.screen.design import Grid, ScreenDesign
from model.screen.identifiability import require_identified
from schemas.calibration import CalibrationSettings
from schemas.model_spec import Effect, model_spec, spec_of
from schemas.parameters import FitParameters

COPY_NUMBER_SD = 0.2
"""Of copy number around the mean of a gene, log2(ratio + 1); 0.18 in the real sample."""

Engine = Callable[[ScreenDesign, FitParameters], xr.DataTree]


@dataclass(frozen=True, eq=False)
class DrawnScreen:
    """A screen drawn from the prior, and its true values."""

    design: ScreenDesign
    truth: dict[str, np.ndarray]
    """True value by variable of the contract of the simulated model; (), (G,), (C,) or (K,)."""


@dataclass(frozen=True)
class SimulationResult:
    """Result of one simulation."""

    index: int
    pit: dict[str, float]
    """Randomised PIT by test quantity; of a vector, that of its first element. The verdict uses all
    of them, from `all_pits`."""
    all_pits: dict[str, np.ndarray]
    """PIT of every element, by variable."""
    engine: str = ""
    """Engine that computed the posterior; empty without a posterior."""
    trouble: str = ""
    """Problems that the engine found in its own result; empty without problems."""


def simulate_screen(settings: CalibrationSettings, seed: np.random.SeedSequence) -> DrawnScreen:
    """Return a screen drawn with parameters from the prior and RNA from a standard normal.

    Copy number is normal too, with an SD of COPY_NUMBER_SD around the mean of the gene.
    """
    random = np.random.default_rng(seed)
    n_genes, n_lines, n_guides = settings.genes, settings.cell_lines, settings.guides
    spec = model_spec(settings.simulated, {COPY_NUMBER} if settings.copy_number else ())
    truth: dict[str, np.ndarray] = {
        name: np.asarray(draw(getattr(settings.priors, name), (), random))
        for name in (*spec.means, *spec.sds)
    }
    n_items = {"gene": n_genes, "cell_line": n_lines, "guide": n_genes * n_guides}

    def add(effect: Effect) -> None:
        if spec.mixture and not effect.sd:
            drawn = draw_slopes(spec.mixture, effect.name, (1, n_genes), random)
            # The probability of not being 0 depends on the data, and has no true value.
            truth.update({name: drawn[name][0] for name in (effect.name, spec.mixture.weights)})
            return
        centre = truth[effect.mean] if effect.mean else 0.0
        truth[effect.name] = random.normal(centre, truth[effect.sd], n_items[effect.dim])

    for effect in (*spec.gene_effects, spec.line_effect):
        add(effect)
    for factor in spec.factors:
        own = {name: value[None] for name, value in truth.items() if not value.ndim}
        truth[factor.name] = draw_factors(factor, own, n_items[factor.dim], random)[0]
    rna = random.standard_normal((n_genes, n_lines))
    rna = (rna - rna.mean(axis=1, keepdims=True)) / rna.std(axis=1, ddof=1, keepdims=True)
    covariates = {}
    if settings.copy_number:
        copies = random.normal(0, COPY_NUMBER_SD, rna.shape)
        covariates[COPY_NUMBER] = copies - copies.mean(axis=1, keepdims=True)
    guide_gene = np.repeat(np.arange(n_genes), n_guides)
    pair = np.zeros(rna.shape)
    if spec.gene_line_sd:
        pair += random.standard_normal(rna.shape)
    if spec.guide_effect:
        add(spec.guide_effect)
    grid = Grid(guide_gene, n_lines, rna=rna, **covariates)
    sds = spreads(spec, {name: value[None] for name, value in truth.items()}, grid)
    mean = linear_predictor(spec, truth, grid) + sds.gene_line[0] * pair[guide_gene]
    if spec.guide_line_sd:
        mean += sds.guide_line[0] * random.standard_normal(mean.shape)
    noise = random.standard_normal((*mean.shape, settings.replicates))
    logfc = mean[..., None] + sds.noise[0][..., None] * noise

    design = ScreenDesign(
        genes=_labels("gene", n_genes),
        cell_lines=_labels("line", n_lines),
        guides=_labels("guide", len(mean)),
        guide_gene=guide_gene,
        rna=rna,
        rna_mean=np.zeros(n_genes),
        rna_sd=np.ones(n_genes),
        rna_is_log2=False,
        count=np.full(mean.shape, settings.replicates, np.uint16),
        total=logfc.sum(axis=-1),
        sum_of_squares=(logfc**2).sum(axis=2).reshape(n_genes, n_guides, n_lines).sum(axis=1),
        covariates=covariates,
    )
    return DrawnScreen(design, truth)


def require_possible(settings: CalibrationSettings) -> None:
    """Refuse an engine that does not support the model, and screens that do not identify it.

    Raises:
        NoIntegral: the engine does not support the model.
        NotIdentified: screens of this size do not identify it.
    """
    require_engine(settings.fit_parameters(settings.seed))
    screen = simulate_screen(settings, np.random.SeedSequence(settings.seed))
    require_identified(settings.model, screen.design)


def one_simulation(
    settings: CalibrationSettings, index: int, engine: Engine = run_engine
) -> SimulationResult:
    """Simulate and fit screen `index`; equal settings and index give equal results."""
    root = np.random.SeedSequence(settings.seed, spawn_key=(index,))
    of_screen, of_fit, of_ties = root.spawn(3)
    screen = simulate_screen(settings, of_screen)
    parameters = settings.fit_parameters(seed=int(of_fit.generate_state(1)[0]))
    try:
        tree = engine(screen.design, parameters)
    except NoIntegral as error:
        return SimulationResult(index, {}, {}, trouble=str(error))
    random = np.random.default_rng(of_ties)
    stacked = tree["posterior"].dataset.stack(sample=("chain", "draw"))
    # Few of many: successive draws of a chain are correlated, and a weighted point may be drawn
    # twice. With all draws, the truth would be outside their range too often.
    n_ranked = min(settings.ranked_among, stacked.sizes["sample"])
    chosen = random.choice(stacked.sizes["sample"], n_ranked, replace=False)
    draws = {
        str(name): values.transpose("sample", ...).to_numpy()[chosen]
        for name, values in stacked.data_vars.items()
    }
    all_pits = {
        name: np.atleast_1d(_pit(screen.truth[name], draws[name], random))
        for name in draws
        if name in screen.truth
    }
    pit = {name: float(values[0]) for name, values in all_pits.items()}
    if settings.simulated == settings.model:
        # A quantity that also depends on the data: an engine that ignores part of them can still
        # give uniform ranks of the parameters (Modrak et al. 2023).
        true_fit = log_likelihood(
            screen.design, {name: value[None] for name, value in screen.truth.items()}
        )
        fitted = log_likelihood(screen.design, draws)
        pit["log_likelihood"] = float(_pit(true_fit[0], fitted, random))
    return SimulationResult(
        index, pit, all_pits, str(tree.attrs.get("engine", "")), _trouble(tree, parameters)
    )


def log_likelihood(design: ScreenDesign, draws: dict[str, np.ndarray]) -> np.ndarray:
    """Return the log density of the measurements given effects and sigma, (S,).

    It ignores the variances of gene-line and guide-line pairs: any function of parameters and
    data is a valid test quantity.
    """
    spec = spec_of(draws)
    grid = Grid(design.guide_gene, len(design.cell_lines), rna=design.rna, **design.covariates)
    fitted = linear_predictor(spec, draws, grid)
    count = design.count.astype(np.float64)
    squares = (
        design.sum_of_squares.sum(axis=0)
        - 2 * np.einsum("skc,kc->sc", fitted, design.total)
        + np.einsum("skc,skc,kc->sc", fitted, fitted, count)
    )
    sigma = noise_by_line(spec, draws, len(design.cell_lines))
    of_lines = -count.sum(axis=0) * np.log(sigma * np.sqrt(2 * np.pi)) - squares / (2 * sigma**2)
    total: np.ndarray = of_lines.sum(axis=1)
    return total


def _pit(truth: np.ndarray, draws: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Return the rank of the truth among draws (S, ...), uniform in its bin of width 1/(S+1).

    Among draws equal to the truth, as slopes of 0 are, every rank is as likely.
    """
    rank, ties = (draws < truth).sum(axis=0), (draws == truth).sum(axis=0)
    return (rank + (ties + 1) * random.uniform(size=np.shape(rank))) / (len(draws) + 1)


def _trouble(tree: xr.DataTree, parameters: FitParameters) -> str:
    if "pareto_k" in tree["sample_stats"]:
        return "; ".join(exact_failures(exact_diagnostics(tree), parameters.thresholds))
    convergence = assess_convergence(tree, parameter_summary(tree))
    verdict = give_verdict(convergence, (), parameters)
    return "; ".join(verdict.reasons) if verdict.status == "fail" else ""


def _labels(what: str, n: int) -> tuple[str, ...]:
    return tuple(f"{what}{i:04}" for i in range(n))
