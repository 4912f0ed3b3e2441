"""Permuted screens: RNA of some genes is permuted over the lines, so that it has no effect.

A call of such a gene is false, whatever the data are like otherwise: unequal lines, noisy genes and
correlated measurements stay as they are. `tasks.steps.permutation` runs a trial.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import xarray as xr

from model.diagnostics.convergence import exact_diagnostics
from model.diagnostics.summary import parameter_summary
from model.diagnostics.verdict import exact_failures
from model.effects.gene_effects import enough_data, local_false_sign_rate, s_value
from model.effects.regression import called_by_regression
from model.runtime.progress import ProgressCallback, no_progress
from model.screen.design import ScreenDesign
from schemas.errors import UserError
from schemas.parameters import FitParameters
from schemas.permutation import METHODS, PermutationCounts, TrialSettings

FitEngine = Callable[[ScreenDesign, FitParameters, ProgressCallback], xr.DataTree]
RHAT_MAX = 1.1
"""R-hat of a shared parameter above which the chains of a trial's fit disagree (Gelman and Rubin
1992); the limit of a fit to be used, 1.01, would need more draws than counts of calls do."""


class NothingToCount(UserError):
    """The share permutes no gene, or all."""


@dataclass(frozen=True, eq=False)
class PermutedScreen:
    """A screen in which some genes' RNA is permuted."""

    design: ScreenDesign
    permuted: np.ndarray
    """Whether the RNA of a gene is permuted (G,)."""


@dataclass(frozen=True)
class PermutationResult:
    """Calls on one permuted screen."""

    counts: tuple[PermutationCounts, ...]
    """One per method."""
    engine: str
    """Engine that computed the posterior."""
    trouble: str
    """Problems that the engine found in its own result; empty without problems."""


def permute_rna(
    design: ScreenDesign, share: float, seed: int | np.random.SeedSequence
) -> PermutedScreen:
    """Return a design in which the RNA of a random share of the genes is permuted.

    The RNA of a gene moves among the lines in which the gene is measured, so that its values and
    the missing pairs stay; other covariates are not moved. Single measurements, which repeat the
    RNA, are left out. Equal seeds give equal designs.
    """
    random = np.random.default_rng(seed)
    n_genes = len(design.genes)
    chosen = random.permutation(n_genes)[: n_permuted(design, share)]
    rna = design.rna.copy()
    for gene in chosen:
        used = design.gene_count[gene] > 0
        rna[gene, used] = random.permutation(rna[gene, used])
    return PermutedScreen(
        replace(design, rna=rna, measurements=None), np.isin(np.arange(n_genes), chosen)
    )


def n_permuted(design: ScreenDesign, share: float) -> int:
    """Return the number of genes whose RNA is permuted."""
    return round(share * len(design.genes))


def require_both_kinds(design: ScreenDesign, settings: TrialSettings) -> None:
    """Raise NothingToCount unless some genes are permuted and some are not."""
    n, n_genes = n_permuted(design, settings.share), len(design.genes)
    if not 0 < n < n_genes:
        raise NothingToCount(
            f"--share: expected some genes with permuted RNA and some without, got {n:,} of "
            f"{n_genes:,} with share {settings.share:g}; choose another share, or fit more genes"
        )


def one_permutation(
    design: ScreenDesign,
    parameters: FitParameters,
    settings: TrialSettings,
    index: int,
    engine: FitEngine,
    progress: ProgressCallback = no_progress,
) -> PermutationResult:
    """Permute and fit screen `index`, and count the calls of every method.

    Calls of the model are those of genes with `lfsr`, or s-value, of at most `calls.error_max`; of
    regression, with a false discovery rate of at most that. All are restricted to genes with enough
    data for a call (`schemas.parameters.Calls`); `calls.min_effect` is not applied. Equal settings,
    `parameters.seed` and index give equal results. Raises the errors of the engine.
    """
    root = np.random.SeedSequence(parameters.seed, spawn_key=(index,))
    of_screen, of_fit = root.spawn(2)
    screen = permute_rna(design, settings.share, of_screen)
    seed = int(of_fit.generate_state(1)[0])
    tree = engine(screen.design, parameters.model_copy(update={"seed": seed}), progress)
    level, callable_genes = parameters.calls.error_max, enough_data(design, parameters.calls)
    slopes = tree["posterior"]["beta_g"].stack(sample=("chain", "draw"))
    lfsr = local_false_sign_rate(slopes.transpose("gene", "sample").to_numpy())
    called = {
        "lfsr": lfsr <= level,
        "s_value": s_value(lfsr) <= level,
        **called_by_regression(screen.design, level),
    }
    counts = tuple(
        PermutationCounts(
            permutation=index,
            method=method,
            n_false=int((called[method] & callable_genes & screen.permuted).sum()),
            n_other=int((called[method] & callable_genes & ~screen.permuted).sum()),
        )
        for method in METHODS
    )
    return PermutationResult(counts, str(tree.attrs.get("engine", "")), _trouble(tree, parameters))


def _trouble(tree: xr.DataTree, parameters: FitParameters) -> str:
    if "pareto_k" in tree["sample_stats"]:
        return "; ".join(exact_failures(exact_diagnostics(tree), parameters.thresholds))
    posterior = tree["posterior"].dataset
    shared = posterior[[name for name in posterior if posterior[name].ndim == 2]]
    summary = parameter_summary(xr.DataTree.from_dict({"posterior": shared}))
    rhat = summary["r_hat"].max(skipna=False)
    # Written so that NaN, which compares false, is trouble.
    return "" if rhat <= RHAT_MAX else f"R-hat of a shared parameter is {rhat:.2f}"
