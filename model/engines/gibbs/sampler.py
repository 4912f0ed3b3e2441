"""The Gibbs engine: draws from the posterior of models with sparse slopes and unequal lines.

Each sweep draws, given the rest,

    1. weights of the mixture, slopes, population means, effects of genes and guides, with the
       effects of pairs integrated out,
    2. the spread of each gene over lines,
    3. effect, scale and noise of each line, then the SDs of lines and of guide-line pairs; in a
       screen of many genes only in every second sweep,
    4. the means of lines, and the SDs of all effects and factors.

Chains are independent and run side by side. Draws are autocorrelated: R-hat and effective sample
sizes judge them.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from itertools import count
from threading import Event

import numpy as np
import xarray as xr

from model.engines.gibbs.layout import shared_names
from model.engines.gibbs.line_sds import LARGE
from model.engines.gibbs.state import STEPS, GibbsData, State, start, start_from
from model.engines.gibbs.sweeps import AT_ONCE, FULL, SETTLE, WITHOUT_LINES, run_sweeps
from model.runtime.executors import n_threads, one_blas_thread, threaded_map
from model.runtime.progress import ProgressCallback, no_progress
from model.screen.design import ScreenDesign
from schemas.model_spec import ModelSpec, model_spec
from schemas.parameters import FitParameters, Priors, Sampling

SETTLING = 20
"""First sweeps, in which lines move to their modes."""
WARM_UP = 150
"""Sweeps before the first draw."""
MANY_GENES, LINES_EVERY = 4000, 2
"""In a screen of so many genes lines, the most costly step, are drawn in every second sweep: one
sweep of the genes hardly moves them."""
WARM_UP_GENES, WARM_UP_OF_MANY = 1000, 50
"""A chain of many genes warms up on so many of them, taken evenly, which say nearly as well where
lines and SDs lie, and widely enough for R-hat; then in so many sweeps on all."""
GENES_TIMED = 64
SWEEPS_TIMED = 6

NeedsMore = Callable[[xr.DataTree], bool]
"""Whether chains need more draws than those of a tree."""


def has_enough(tree: xr.DataTree) -> bool:
    """Return False: a requested number of draws is never exceeded."""
    return False


def sample(
    design: ScreenDesign,
    parameters: FitParameters,
    seed: int,
    progress: ProgressCallback = no_progress,
    needs_more: NeedsMore = has_enough,
) -> xr.DataTree:
    """Return draws from the posterior.

    Returns a tree with groups `posterior` (the variables of the contract, float64) and
    `sample_stats` (by chain and draw, the shares of proposals accepted: `accepted_spread`,
    `accepted_lines`, `accepted_line_sds`). While `needs_more` returns True of the tree, the chains
    continue until they have twice as many draws. Equal arguments give equal draws.
    """
    spec = model_spec(parameters.model, design.covariates)
    sampling = parameters.sampling
    return sample_model(spec, design, parameters.priors, sampling, seed, progress, needs_more)


def sample_model(
    spec: ModelSpec,
    design: ScreenDesign,
    priors: Priors,
    sampling: Sampling,
    seed: int,
    progress: ProgressCallback = no_progress,
    needs_more: NeedsMore = has_enough,
) -> xr.DataTree:
    """Return draws from the posterior of any model of the engine; `sample` says the rest."""
    data = GibbsData.of(spec, design, priors)
    part = None
    if len(design.genes) >= MANY_GENES:
        part = GibbsData.of(spec, _evenly(design, WARM_UP_GENES), priors)
    seeds = np.random.SeedSequence(seed).spawn(sampling.chains)
    chains = [_Chain(data, part, np.random.default_rng(one)) for one in seeds]
    counter, stopped = count(), Event()

    def extend(tree: xr.DataTree, n_draws: int) -> xr.DataTree:
        """Return a tree with so many draws per chain, the first of them those of `tree`."""
        n_before = tree["posterior"].sizes["draw"]
        n_sweeps = sampling.chains * (_warm_up(design) + n_draws)
        longer = _room(spec, design, sampling.chains, n_draws)
        for group in longer.children:
            for name, values in longer[group].data_vars.items():
                values[:, :n_before] = tree[group].dataset[name]

        def one_more() -> None:
            if stopped.is_set():
                raise _Stopped
            done = next(counter) + 1
            if done % AT_ONCE == 0 or done == n_sweeps:
                progress(done, n_sweeps)

        def run(number: int) -> None:
            # The chains write into the result: the draws of a whole release exist once.
            drawn, accepted = (
                {str(name): v.values[number, n_before:] for name, v in group.data_vars.items()}
                for group in (longer["posterior"], longer["sample_stats"])
            )
            try:
                chains[number].draw(drawn, accepted, one_more)
            except _Stopped:
                return
            except BaseException:
                stopped.set()
                raise

        try:
            with one_blas_thread():
                list(threaded_map(run, range(sampling.chains)))
        except BaseException:
            # On Ctrl-C, or where a chain fails, the threads of the others would go on to their end.
            stopped.set()
            raise
        return longer

    tree = extend(_room(spec, design, sampling.chains, 0), sampling.n_draws)
    while needs_more(tree):
        tree = extend(tree, 2 * tree["posterior"].sizes["draw"])
    return tree


def _room(spec: ModelSpec, design: ScreenDesign, n_chains: int, n_draws: int) -> xr.DataTree:
    """Return the tree of `sample` with draws that are not drawn yet."""
    labels = dict(design.labels)
    if spec.mixture:
        labels["component"] = spec.mixture.labels
    used = {dim for dims in spec.variables.values() for dim in dims}
    shape = {"chain": n_chains, "draw": n_draws}
    coords = {name: np.arange(size) for name, size in shape.items()}
    sizes = {dim: len(items) for dim, items in labels.items()} | shape

    def empty(*dims: str) -> tuple[tuple[str, ...], np.ndarray]:
        dims = ("chain", "draw", *dims)
        return dims, np.empty([sizes[dim] for dim in dims])

    posterior = xr.Dataset(
        {name: empty(*dims) for name, dims in spec.variables.items()},
        coords=coords | {dim: list(items) for dim, items in labels.items() if dim in used},
    )
    statistics = xr.Dataset({f"accepted_{step}": empty() for step in STEPS}, coords=coords)
    return xr.DataTree.from_dict({"posterior": posterior, "sample_stats": statistics})


def expected_seconds(design: ScreenDesign, parameters: FitParameters) -> float:
    """Return the approximate seconds of the engine, from sweeps over few genes and over more."""
    n_genes = len(design.genes)
    # Of as many pairs that the steps of a sweep are those on all of them.
    fewest = max(GENES_TIMED, -(-LARGE * n_genes // max(1, design.count.size)))
    sizes = sorted({min(n_genes, n) for n in (fewest, 3 * fewest)})
    timed = [_seconds_of_sweep(design, parameters, n) for n in sizes]
    per_gene = max(0.0, timed[-1] - timed[0]) / max(1, sizes[-1] - sizes[0])

    def per_sweep(n: int) -> float:
        return timed[-1] + per_gene * (n - sizes[-1])

    seconds = (_warm_up(design) + parameters.sampling.n_draws) * per_sweep(n_genes)
    if n_genes >= MANY_GENES:
        seconds += WARM_UP * per_sweep(WARM_UP_GENES)
    return -(-parameters.sampling.chains // n_threads()) * seconds


def _warm_up(design: ScreenDesign) -> int:
    """Return the number of sweeps over all genes before the first draw."""
    return WARM_UP if len(design.genes) < MANY_GENES else WARM_UP_OF_MANY


def _evenly(design: ScreenDesign, n_genes: int) -> ScreenDesign:
    return design.of_genes(np.linspace(0, len(design.genes) - 1, n_genes).round().astype(int))


def _seconds_of_sweep(design: ScreenDesign, parameters: FitParameters, n_genes: int) -> float:
    """Return the mean seconds of a sweep over so many genes of a design."""
    part = _evenly(design, n_genes) if n_genes < len(design.genes) else design
    data = GibbsData.of(model_spec(parameters.model, design.covariates), part, parameters.priors)
    random = np.random.default_rng(0)
    state = start(data, random)
    with one_blas_thread():
        # The first sweep compiles, or loads what was compiled.
        _run_all(data, state, random, np.array([SETTLE]))
        started = time.perf_counter()
        _run_all(data, state, random, _kinds(len(design.genes), 0, SWEEPS_TIMED))
    return (time.perf_counter() - started) / SWEEPS_TIMED


def _kinds(n_genes: int, first: int, n_sweeps: int) -> np.ndarray:
    """Return the kinds of sweeps of a chain that is settled, from the `first` on."""
    sweep = np.arange(first, first + n_sweeps)
    return np.where((n_genes < MANY_GENES) | (sweep % LINES_EVERY == 0), FULL, WITHOUT_LINES)


def _settling(n_sweeps: int) -> np.ndarray:
    """Return the kinds of sweeps of a chain that starts."""
    return np.where(np.arange(n_sweeps) < SETTLING, SETTLE, FULL)


def _run_all(
    data: GibbsData,
    state: State,
    random: np.random.Generator,
    kinds: np.ndarray,
    one_more: Callable[[], None] = lambda: None,
) -> None:
    for rows, _ in run_sweeps(data, state, random, kinds):
        for _ in range(rows.start, rows.stop):
            one_more()


class _Stopped(Exception):
    """Another chain failed, or the fit was interrupted."""


class _Chain:
    """One chain, which warms up before its first draw and can continue after its last one.

    `part` is the screen with fewer genes, where the chain warms up on them first.
    """

    def __init__(
        self, data: GibbsData, part: GibbsData | None, random: np.random.Generator
    ) -> None:
        self._data, self._part, self._random = data, part, random
        self._state: State | None = None
        self._n_draws = 0

    def draw(
        self,
        drawn: dict[str, np.ndarray],
        accepted: dict[str, np.ndarray],
        one_more: Callable[[], None],
    ) -> None:
        """Fill in draws by variable (draw, ...), and shares accepted by step (draw,)."""
        state = self._state = self._state or self._warmed_up(one_more)
        n_more = len(accepted[f"accepted_{STEPS[0]}"])
        kinds = _kinds(self._data.shape[0], self._n_draws, n_more)
        for rows, after in run_sweeps(self._data, state, self._random, kinds):
            for name, values in _variables(self._data.spec, after).items():
                drawn[name][rows] = values
            for at, step in enumerate(STEPS):
                accepted[f"accepted_{step}"][rows] = after.accepted[:, at]
            for _ in range(rows.start, rows.stop):
                one_more()
        self._n_draws += n_more

    def _warmed_up(self, one_more: Callable[[], None]) -> State:
        if self._part is None:
            state = start(self._data, self._random)
            _run_all(self._data, state, self._random, _settling(WARM_UP), one_more)
            return state
        of_part = start(self._part, self._random)
        _run_all(self._part, of_part, self._random, _settling(WARM_UP))
        state = start_from(self._data, of_part)
        _run_all(self._data, state, self._random, _settling(WARM_UP_OF_MANY), one_more)
        return state


def _variables(spec: ModelSpec, states: State) -> dict[str, np.ndarray]:
    """Return the values of every variable of the contract in states (sweeps, ...)."""
    values = dict(zip(shared_names(spec), states.shared.T, strict=True))
    values |= {e.name: states.effects[:, :, at] for at, e in enumerate(spec.gene_effects)}
    values |= {spec.line_effect.name: states.gamma}
    if spec.guide_effect:
        values[spec.guide_effect.name] = states.delta
    if spec.mixture:
        values |= {
            spec.mixture.weights: states.weights,
            spec.mixture.included: states.prob_nonzero,
        }
    if spec.pair_spread:
        values[spec.pair_spread.name] = np.exp(states.log_omega)
    if spec.line_scale:
        values[spec.line_scale.name] = np.exp(states.log_scale)
    if spec.line_noise:
        noise = values[spec.noise_sd][:, None]
        values[spec.line_noise.name] = np.exp(states.log_noise) / noise
    return values
