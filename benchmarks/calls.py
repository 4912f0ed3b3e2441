"""How many calls are false, and how many true ones are found, where few genes have an effect.

`python -m benchmarks.calls --help`; what the columns mean: benchmarks/README.md.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
from cyclopts import App

from benchmarks.peers import Missing
from benchmarks.peers.limma import called_by_limma
from benchmarks.peers.regression import MODERATED, called_by_peers
from benchmarks.screens import TRUTHS, made, prepared, sparse_slopes
from benchmarks.tables import show
from deployments.server.environment import prepare_environment
from model.effects.gene_effects import local_false_sign_rate, s_value
from model.engines.run import run_engine
from model.screen.design import ScreenDesign
from model.simulation.permutation import permute_rna
from model.simulation.permutation_verdict import false_share_interval
from schemas.parameters import FitParameters, ModelName, Sampling

MODELS: tuple[ModelName, ...] = ("m4_nested", "m4_screen")
LEVEL = 0.05
LARGEST = 10
GENES, LINES, GUIDES = 2000, 40, 4
"""Of a simulated screen."""

CAPTION = """\
{screens}; {seeds} seeds. false: calls of genes without an effect, or with the wrong sign; share: \
of all calls, with its 89 % interval low to high; true: other calls; ratio: true calls over those \
of moderated regression with BH; largest: posterior mean of the largest slopes, a tenth of \
those with an effect but at most ten, over the truth."""

app = App(result_action="return_value")
Screens = Iterator[tuple[ScreenDesign, np.ndarray | None, np.ndarray]]
"""Design, true slopes where known, and which genes have none (G,)."""


@app.default
def calls(
    screen: Literal["sparse", "permuted"] = "sparse",
    *,
    share: float | None = None,
    null_sd: float = 0.0,
    unequal: bool = False,
    seeds: int = 5,
    draws: int = 400,
    out: Path | None = None,
) -> None:
    """Count false and true calls.

    Parameters
    ----------
    screen
        sparse: simulated, 2,000 genes in 40 lines. permuted: the real sample, with the RNA of a
        random share of the genes permuted over the cell lines.
    share
        Share of genes with an effect (sparse, default 0.05) or with permuted RNA (0.8).
    null_sd
        SD of the slopes of the other genes of a simulated screen, which count as having none.
    unequal
        Whether genes and lines of a simulated screen differ in spread, scale and noise.
    seeds
        Number of screens, at least 2.
    draws
        Draws of each of two chains.
    out
        File for the table as CSV.
    """
    prepare_environment()
    of = share if share is not None else 0.05 if screen == "sparse" else 0.8
    screens = sparse(of, null_sd, unequal, seeds) if screen == "sparse" else permuted(of, seeds)
    rows = pd.DataFrame([row for one in screens for row in _counted(*one, draws)])
    table = pd.DataFrame(
        [_pooled(str(method), counts) for method, counts in rows.groupby("method", sort=False)]
    )
    table["ratio"] = table["true"] / table.loc[table["method"] == MODERATED, "true"].item()
    what = (
        f"{of:.1%} of 2,000 {'unequal ' if unequal else ''}genes with an effect, slopes of the "
        f"others of SD {null_sd:g}"
        if screen == "sparse"
        else (f"the real sample, the RNA of {of:.0%} of its genes permuted")
    )
    show(table, "Calls", CAPTION.format(screens=what, seeds=seeds), out)


def _pooled(method: str, counts: pd.DataFrame) -> dict[str, object]:
    """Return the counts of a method over all screens, (S,) each; without any, its name."""
    if counts["false"].isna().any():
        return {"method": method}
    false, true = counts["false"].to_numpy(), counts["true"].to_numpy()
    low, high = false_share_interval(false, true)
    return {
        "method": method,
        "false": false.sum(),
        "true": true.sum(),
        "share": false.sum() / max(false.sum() + true.sum(), 1),
        "low": low,
        "high": high,
        "largest": counts["largest"].mean(),
    }


def sparse(share: float, null_sd: float, unequal: bool, seeds: int) -> Screens:
    """Yield simulated screens with the SDs of the real sample and few slopes that are not 0."""
    truth = replace(TRUTHS["m4_screen" if unequal else "m4_nested"], beta=0.0)
    for seed in range(seeds):
        slopes, null = sparse_slopes(GENES, share, seed, null_sd)
        design, _ = made(GENES, LINES, GUIDES, truth, seed, slopes)
        yield design, slopes, null


def permuted(share: float, seeds: int) -> Screens:
    """Yield the real sample with the RNA of a share of the genes permuted over the lines."""
    design = prepared("real")
    for seed in range(seeds):
        one = permute_rna(design, share, seed)
        yield one.design, None, one.permuted


def _counted(
    design: ScreenDesign, truth: np.ndarray | None, null: np.ndarray, draws: int
) -> Iterator[dict[str, object]]:
    for method, called in called_by_peers(design, LEVEL).items():
        yield _row(method, called, null)
    try:
        yield _row("limma, BH", called_by_limma(design, LEVEL), null)
    except Missing as missing:
        yield {"method": f"limma, BH: {missing}", "false": np.nan}
    for model in MODELS:
        parameters = FitParameters(model=model, sampling=Sampling(draws=draws, chains=2))
        slopes = run_engine(design, parameters)["posterior"]["beta_g"].to_numpy()
        drawn = slopes.reshape(-1, len(null)).T
        mean, lfsr = drawn.mean(axis=1), local_false_sign_rate(drawn)
        wrong, largest = null, np.nan
        if truth is not None:
            wrong = null | (np.sign(mean) != np.sign(truth))
            n_largest = min(LARGEST, max(1, (~null).sum() // 10))
            top = np.argsort(-np.abs(mean))[:n_largest]
            largest = float(np.mean(mean[top] / truth[top])) if truth[top].all() else np.nan
        yield _row(f"{model}, lfsr", lfsr <= LEVEL, wrong, largest)
        yield _row(f"{model}, s", s_value(lfsr) <= LEVEL, wrong, largest)


def _row(
    method: str, called: np.ndarray, wrong: np.ndarray, largest: float = np.nan
) -> dict[str, object]:
    return {
        "method": method,
        "false": int((called & wrong).sum()),
        "true": int((called & ~wrong).sum()),
        "largest": largest,
    }


if __name__ == "__main__":
    app()
