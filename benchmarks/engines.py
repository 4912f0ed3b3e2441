"""Speed and quality of every engine on one screen, against named peers in the same run.

`python -m benchmarks.engines --help`; what the columns mean: benchmarks/README.md. The peers are
`benchmarks.peers`, the screens `benchmarks.screens`.
"""

from __future__ import annotations

import os
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import pandas as pd
from cyclopts import App

from benchmarks.peers import PEERS, Job, PeerName
from benchmarks.peers.run import Fit, run, told
from benchmarks.screens import ScreenName, hand_over, prepared
from benchmarks.tables import Several, machine, plain_console, show
from deployments.server.environment import prepare_environment
from schemas.parameters import ModelName

CAPTION = """\
Each peer in a fresh process with empty caches. first fit s: building and compiling the model \
included; fit s: sampling (tuning included) alone, for exact the median of {repeats} further fits \
in its process, best s their best. min ESS: smallest bulk ESS over all parameters, the same ArviZ \
for all, for exact no more than its weighted points are worth. ESS/s: min ESS over fit s. \
ratio: ESS/s over that of {base}. lme4 gives a point estimate, hence no ESS; s of lmer() alone. \
{machine}"""

app = App(result_action="return_value")


@app.default
def engines(
    screen: ScreenName = "simulated",
    *,
    model: ModelName = "m4",
    peers: Annotated[tuple[PeerName, ...], Several] = (),
    draws: int = 2000,
    tune: int = 2000,
    chains: int = 4,
    seed: int = 103,
    exact_draws: int = 4000,
    repeats: int = 5,
    timeout: float | None = None,
    pymc3_python: Path | None = None,
    out: Path | None = None,
) -> None:
    """Fit one screen with every peer in turn and print one table.

    Args:
        screen: The simulated screen, or the real sample.
        model: Model to fit.
        peers: Who takes part, separated by blanks; everyone if not given.
        draws: Draws kept a chain.
        tune: Tuning steps a chain.
        chains: Chains.
        seed: Seed of every sampler.
        exact_draws: Draws a chain of the exact engine, of whose time they are the smaller part.
        repeats: Timed fits of the exact engine, after the first.
        timeout: Seconds after which a peer is stopped.
        pymc3_python: The Python that has pymc3.
        out: CSV file for the table.
    """
    design = prepared(screen)
    assert design.measurements is not None  # both screens are small enough to keep them
    results = []
    before = os.getloadavg()[0]
    with TemporaryDirectory() as folder:
        hand_over(design, design.measurements, Path(folder))
        job = Job(
            Path(folder), model, draws, tune, chains, seed, exact_draws, repeats, pymc3_python
        )
        for name in peers or tuple(PEERS):
            result = run(name, job, timeout)
            results.append(result)
            plain_console().print(told(result), markup=False, highlight=False, soft_wrap=True)
    fits = [result for result in results if isinstance(result, Fit)]
    if not fits:
        raise SystemExit("no peer could be run")
    rows, base = table(fits)
    size = (
        f"{len(design.genes)} genes x {len(design.cell_lines)} cell lines, "
        f"{design.n_measurements:,} measurements"
    )
    title = f"{model} on the {screen} screen ({size}), {chains} chains of {tune:,} + {draws:,}"
    show(rows, title, CAPTION.format(repeats=repeats, base=base, machine=machine(before)), out)


def table(fits: list[Fit]) -> tuple[pd.DataFrame, str]:
    """Return one row a peer, and the peer the ratios refer to: pymc3, else the slowest that ran."""
    speeds = {fit.peer: fit.ess_per_second for fit in fits if fit.ess_per_second is not None}
    base = "pymc3" if "pymc3" in speeds else min(speeds, key=speeds.__getitem__, default="none")
    rows = pd.DataFrame(
        {
            "peer": [fit.peer for fit in fits],
            "version": [fit.version for fit in fits],
            "first fit s": [fit.seconds_whole for fit in fits],
            "fit s": [fit.seconds for fit in fits],
            "best s": [min(fit.seconds_fit) for fit in fits],
            "draws": pd.array([fit.draws for fit in fits], dtype="Int64"),
            "min ESS": pd.array([fit.ess_min for fit in fits], dtype="Float64"),
            "ESS/s": pd.array([fit.ess_per_second for fit in fits], dtype="Float64"),
            "max R-hat": pd.array([fit.rhat_max for fit in fits], dtype="Float64"),
        }
    )
    rows["ratio"] = rows["ESS/s"] / speeds.get(base, float("nan"))
    return rows, base


if __name__ == "__main__":
    prepare_environment()
    app()
