"""Simulation-based calibration: does a fit find the truth as often as it says?

Parameters are drawn from the prior, a screen from the parameters, and the screen is fitted. If
engine and model are right, the true value of any quantity is one more draw from its posterior: its
probability integral transform (PIT), the share of draws below it, is uniform (Talts et al. 2018,
"Validating Bayesian inference algorithms with simulation-based calibration"). Running many of them
side by side is in `tasks.calibration_steps`; judging them in `model.calibration_verdict`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import xarray as xr

from model.convergence import assess_convergence, exact_diagnostics
from model.design import ScreenDesign
from model.engines import NoIntegral, run_engine
from model.identified import require_identified
from model.predictive import draw_from
from model.summary import parameter_summary
from model.verdict import exact_failures, give_verdict
from schemas.calibration import CalibrationSettings
from schemas.parameters import FitParameters
from schemas.posterior import CONTRACTS

Engine = Callable[[ScreenDesign, FitParameters], xr.DataTree]


@dataclass(frozen=True, eq=False)
class DrawnScreen:
    """A screen drawn from the prior, and what it was drawn with."""

    design: ScreenDesign
    truth: dict[str, np.ndarray]
    """True value by variable of the contract of the simulated model; (), (G,), (C,) or (K,)."""


@dataclass(frozen=True)
class SimulationResult:
    """What one simulation tells."""

    index: int
    pit: dict[str, float]
    """Randomised PIT by test quantity; of a variable with many elements that of the first."""
    all_pits: dict[str, np.ndarray]
    """PIT of every element, by variable."""
    engine: str = ""
    """The engine that computed the posterior; nothing where none could."""
    trouble: str = ""
    """What the engine says against its own result; nothing where all is well."""


def simulate_screen(settings: CalibrationSettings, seed: np.random.SeedSequence) -> DrawnScreen:
    """Draw parameters from the prior, RNA from a standard normal, and a whole screen from both."""
    random = np.random.default_rng(seed)
    n_genes, n_lines, n_guides = settings.genes, settings.cell_lines, settings.guides
    contract = CONTRACTS[settings.simulated].variables
    truth: dict[str, np.ndarray] = {
        name: np.asarray(draw_from(getattr(settings.priors, name), (), random))
        for name, dims in contract.items()
        if not dims
    }
    nested = settings.simulated == "m4_nested"
    mu_gamma = truth.get("mu_gamma", np.zeros(()))
    truth["alpha_g"] = random.normal(truth["mu_alpha"], truth["sigma_alpha"], n_genes)
    truth["beta_g"] = random.normal(truth["mu_beta"], truth["sigma_beta"], n_genes)
    truth["gamma_c"] = random.normal(mu_gamma, truth["sigma_gamma"], n_lines)

    rna = random.standard_normal((n_genes, n_lines))
    rna = (rna - rna.mean(axis=1, keepdims=True)) / rna.std(axis=1, ddof=1, keepdims=True)
    cell = truth["alpha_g"][:, None] + truth["gamma_c"] + truth["beta_g"][:, None] * rna
    if nested:
        cell = cell + random.normal(0, truth["sigma_gene_line"], cell.shape)
    mean = np.repeat(cell, n_guides, axis=0)
    if nested:
        truth["delta_k"] = random.normal(0, truth["sigma_guide"], len(mean))
        mean = mean + truth["delta_k"][:, None]
        mean += random.normal(0, truth["sigma_guide_line"], mean.shape)
    logfc = mean[..., None] + random.normal(0, truth["sigma"], (*mean.shape, settings.replicates))

    design = ScreenDesign(
        genes=_labels("gene", n_genes),
        cell_lines=_labels("line", n_lines),
        guides=_labels("guide", len(mean)),
        guide_gene=np.repeat(np.arange(n_genes), n_guides),
        rna=rna,
        rna_mean=np.zeros(n_genes),
        rna_sd=np.ones(n_genes),
        rna_is_log2=False,
        count=np.full(mean.shape, settings.replicates, np.uint16),
        total=logfc.sum(axis=-1),
        sum_of_squares=(logfc**2).sum(axis=2).reshape(n_genes, n_guides, n_lines).sum(axis=1),
    )
    return DrawnScreen(design, truth)


def require_possible(settings: CalibrationSettings) -> None:
    """Raise NotIdentified where the model cannot be told from screens of this size."""
    screen = simulate_screen(settings, np.random.SeedSequence(settings.seed))
    require_identified(settings.model, screen.design)


def one_simulation(
    settings: CalibrationSettings, index: int, engine: Engine = run_engine
) -> SimulationResult:
    """Simulate and fit screen number `index`; equal settings and index give an equal result."""
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
    # Few of many: neighbours of a chain are alike, and a weighted point may have been drawn twice,
    # so that fewer than all would be independent, and the truth too often beyond the last of them.
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
        # A quantity that depends on the data too: an engine that ignores part of them gives
        # uniform ranks of the parameters alone (Modrak et al. 2023).
        true_fit = log_likelihood(
            screen.design, {name: value[None] for name, value in screen.truth.items()}
        )
        fitted = log_likelihood(screen.design, draws)
        pit["log_likelihood"] = float(_pit(true_fit[0], fitted, random))
    return SimulationResult(
        index, pit, all_pits, str(tree.attrs.get("engine", "")), _trouble(tree, parameters)
    )


def log_likelihood(design: ScreenDesign, draws: dict[str, np.ndarray]) -> np.ndarray:
    """Log density of the measurements given line, gene and guide effects and sigma, (S,).

    Of m4_nested the variances that are integrated out (gene-line, guide-line) are left out: as a
    test quantity any function of parameters and data will do.
    """
    gene = design.guide_gene
    fitted = (
        draws["alpha_g"][:, gene, None]
        + draws["beta_g"][:, gene, None] * design.rna[gene]
        + draws["gamma_c"][:, None, :]
    )
    if "delta_k" in draws:
        fitted += draws["delta_k"][:, :, None]
    count = design.count.astype(np.float64)
    squares = (
        design.total_sum_of_squares
        - 2 * np.einsum("skc,kc->s", fitted, design.total)
        + np.einsum("skc,skc,kc->s", fitted, fitted, count)
    )
    sigma = draws["sigma"]
    return -design.n_measurements * np.log(sigma * np.sqrt(2 * np.pi)) - squares / (2 * sigma**2)


def _pit(truth: np.ndarray, draws: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Rank of the truth among the draws (S, ...), spread evenly over its cell of width 1/(S+1)."""
    rank = (draws < truth).sum(axis=0)
    return (rank + random.uniform(size=np.shape(rank))) / (len(draws) + 1)


def _trouble(tree: xr.DataTree, parameters: FitParameters) -> str:
    if "pareto_k" in tree["sample_stats"]:
        return "; ".join(exact_failures(exact_diagnostics(tree), parameters.thresholds))
    convergence = assess_convergence(tree, parameter_summary(tree))
    verdict = give_verdict(convergence, (), parameters)
    return "; ".join(verdict.reasons) if verdict.status == "fail" else ""


def _labels(what: str, n: int) -> tuple[str, ...]:
    return tuple(f"{what}{i:04}" for i in range(n))
