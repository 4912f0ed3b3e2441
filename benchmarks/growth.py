"""Time and memory of a fit as a screen grows to a whole release, beside a named peer.

`python -m benchmarks.growth --help`; what the columns mean: benchmarks/README.md. One size is
`benchmarks.one_size`, the made screens are `benchmarks.screens`.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any

import numpy as np
import pandas as pd
from cyclopts import App

from benchmarks.commands import FINISHED, run_python
from benchmarks.one_size import Growth, Size
from benchmarks.peers import Job, PeerName
from benchmarks.peers.run import ROOT, Fit, NotRun, run, told
from benchmarks.screens import TRUTHS, expanded, hand_over, made
from benchmarks.tables import Several, machine, plain_console, show
from deployments.server.environment import prepare_environment
from schemas.parameters import ModelName

CAPTION = """\
Each fit in a fresh process; s: of exact one fit after that of a tiny screen, of a peer the fit \
without compiling. statistics MB: largest memory of the process when the screen was made; peak MB: \
when it was fitted. min ESS: smallest bulk ESS over all parameters, of exact no more than its \
weighted points are worth. beta error: root mean square of (posterior mean - truth) / posterior \
SD, about 1 where the posterior is right. On the same screen as {peer}: times slower, its s over \
ours; ESS/s ratio, our ESS/s over its. {machine}"""

COMMAND = """\
`screenbayes fit` with its defaults in a fresh process. s: seconds from its start until the tables \
are read and validated, the result is shown, and the run is finished; the cost of the engine is \
measured between the first two. GB: largest resident memory up to then, from the one before, of \
all processes together. {machine}"""

app = App(result_action="return_value")


@app.default
def growth(
    *,
    model: ModelName = "m4",
    sizes: Annotated[tuple[int, ...], Several] = (2250, 4500, 9000, 18000),
    cell_lines: int = 1100,
    guides_per_gene: int = 4,
    draws: int = 2000,
    seed: int = 103,
    peer: PeerName = "lme4",
    peer_sizes: Annotated[tuple[int, ...], Several] = (200,),
    peer_draws: int = 200,
    timeout: float | None = None,
    through_the_command: bool = False,
    out: Path | None = None,
) -> None:
    """Fit made screens of growing size and print one table and the exponents of growth.

    Args:
        model: Model the screens are drawn from and fitted with.
        sizes: Numbers of genes, separated by blanks.
        cell_lines: Cell lines of every screen.
        guides_per_gene: Guides of a gene.
        draws: Draws kept, all chains.
        seed: Seed of screens and engine.
        peer: Who fits the screens of `peer_sizes` too.
        peer_sizes: Numbers of genes a peer can manage.
        peer_draws: Draws a chain, and as many tuning steps, of a peer that samples; two chains.
        timeout: Seconds after which the peer is stopped.
        through_the_command: Run `screenbayes fit` with its defaults on simulated releases of these
            sizes instead, from tables to the finished run.
        out: CSV file for the table.
    """
    console = plain_console()
    before = os.getloadavg()[0]
    if through_the_command:
        table = pd.DataFrame([_commanded(genes, cell_lines, model, seed) for genes in sizes])
        show(
            table,
            f"{model}, {cell_lines:,} cell lines",
            COMMAND.format(machine=machine(before)),
            out,
        )
        return
    rows: list[dict[str, object]] = []
    for genes in peer_sizes:
        size = Size(model, genes, cell_lines, guides_per_gene, draws, seed)
        rows.append(_row(size, _measured(size)))
        theirs = _peer(peer, size, peer_draws, timeout)
        console.print(told(theirs), markup=False, highlight=False, soft_wrap=True)
        if isinstance(theirs, Fit):
            rows.append(_peer_row(rows[-1], theirs))
    n_compared = len(rows)
    for genes in sizes:
        size = Size(model, genes, cell_lines, guides_per_gene, draws, seed)
        rows.append(_row(size, _measured(size)))
        console.print(f"{genes:,} genes: {rows[-1]['s']:.2f} s", highlight=False)
    table = pd.DataFrame(rows)
    title = f"{model}, {cell_lines:,} cell lines, {guides_per_gene} guides a gene, {draws:,} draws"
    show(table, title, CAPTION.format(peer=peer, machine=machine(before)), out)
    if len(sizes) > 1:
        grown = table[n_compared:]
        time, peak, held = (
            exponent(grown["genes"], grown[column]) for column in ("s", "peak MB", "statistics MB")
        )
        console.print(
            f"{min(sizes):,} to {max(sizes):,} genes: time grows as genes^{time:.2f}, peak memory "
            f"as genes^{peak:.2f}, memory of the statistics alone as genes^{held:.2f}.",
            highlight=False,
            soft_wrap=True,
        )


def _commanded(genes: int, cell_lines: int, model: ModelName, seed: int) -> dict[str, object]:
    """Simulate a release of a size, and return the row of its fit by the command."""
    with TemporaryDirectory() as folder:
        of_screen = Path(folder, "release")
        command = [sys.executable, "-m", "deployments.cli.app"]
        sizes = ["--genes", str(genes), "--cell-lines", str(cell_lines), "--seed", str(seed)]
        simulated = ["simulate", "--out", str(of_screen), "--model", model, *sizes]
        subprocess.run([*command, *simulated], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
        fit = ["-m", "deployments.cli.app", "fit", str(of_screen / "dataset.yaml")]
        course = run_python([*fit, "--model", model], Path(folder))
    seconds, peak = course.seconds, course.peak_bytes
    return {
        "genes": genes,
        "read s": seconds["fit"],
        "answer s": seconds["answer"],
        "finished s": seconds[FINISHED],
        "CPU s": course.cpu_seconds,
        "read GB": max(peak[stage] for stage in ("started", "flow", "fit")) / 1e9,
        "answer GB": peak["answer"] / 1e9,
        "finished GB": max(peak["tracked"], peak[FINISHED]) / 1e9,
    }


def exponent(sizes: pd.Series, amounts: pd.Series) -> float:
    """Return b of amount ~ size^b, by least squares on logarithms."""
    return float(np.polyfit(np.log(sizes.to_numpy(float)), np.log(amounts.to_numpy(float)), 1)[0])


def _measured(size: Size) -> Growth:
    command = [sys.executable, "-m", "benchmarks.one_size", json.dumps(asdict(size))]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    if done.returncode != 0:
        raise SystemExit(f"{size.genes:,} genes: failed with exit code {done.returncode}")
    return Growth(**json.loads(done.stdout))


def _peer(name: PeerName, size: Size, draws: int, timeout: float | None) -> Fit | NotRun:
    """Fit the screen of a size, the same that `_measured` fits, with another engine."""
    truth = TRUTHS[size.model]
    design, _ = made(size.genes, size.cell_lines, size.guides_per_gene, truth, size.seed)
    with TemporaryDirectory() as folder:
        hand_over(design, expanded(design, size.seed), Path(folder))
        job = Job(Path(folder), size.model, draws=draws, tune=draws, chains=2, seed=size.seed)
        return run(name, job, timeout)


def _row(size: Size, grown: Growth) -> dict[str, object]:
    return {
        "genes": size.genes,
        "measurements": grown.measurements,
        "engine": grown.engine,
        "s": grown.seconds,
        "statistics MB": grown.statistics_bytes / 1e6,
        "peak MB": grown.peak_bytes / 1e6,
        "min ESS": grown.ess_min,
        "ESS/s": grown.ess_min / grown.seconds,
        "max R-hat": grown.rhat_max,
        "beta error": grown.beta_error,
        "times slower": np.nan,
        "ESS/s ratio": np.nan,
    }


def _peer_row(exact: dict[str, Any], fit: Fit) -> dict[str, object]:
    """Return the row of a peer on the screen of the row `exact`."""
    speed = np.nan if fit.ess_per_second is None else fit.ess_per_second
    return {
        "genes": exact["genes"],
        "measurements": exact["measurements"],
        "engine": fit.peer,
        "s": fit.seconds,
        "statistics MB": np.nan,
        "peak MB": np.nan,
        "min ESS": fit.ess_min,
        "ESS/s": fit.ess_per_second,
        "max R-hat": fit.rhat_max,
        "beta error": np.nan,
        "times slower": fit.seconds / exact["s"],
        "ESS/s ratio": exact["ESS/s"] / speed,
    }


if __name__ == "__main__":
    prepare_environment()
    app()
