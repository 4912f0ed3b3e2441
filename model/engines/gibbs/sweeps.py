"""The sweeps of a chain, compiled as a whole so that chains run side by side."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from model.engines.gibbs.compiled import cached, inlined, sources_digest
from model.engines.gibbs.genes import draw_effects
from model.engines.gibbs.layout import Layout
from model.engines.gibbs.line_sds import LARGE, draw_line_sds, settle_line_sds
from model.engines.gibbs.lines import draw_lines, settle_lines
from model.engines.gibbs.pairs import draw_spreads
from model.engines.gibbs.shared import draw_shared
from model.engines.gibbs.small_matrices import copy_into
from model.engines.gibbs.state import STEPS, GibbsData, Room, State, room_for
from model.likelihood.pair_sums import Screen

SETTLE, WITHOUT_LINES, FULL = range(3)
"""Kinds of sweeps: lines move to their modes, stay, or are drawn."""
AT_ONCE = 20
"""Sweeps between two returns from compiled code, for progress; one on a large screen."""
_SPREAD, _LINES, _LINE_SDS = (STEPS.index(step) for step in ("spread", "lines", "line_sds"))


def run_sweeps(
    data: GibbsData, state: State, random: np.random.Generator, kinds: np.ndarray
) -> Iterator[tuple[slice, State]]:
    """Run sweeps of these kinds; yield, for a few at a time, which they were and their states.

    The arrays of these states have a first axis, the sweeps. `state` changes in place.
    """
    room = room_for(data)
    n_at_once = AT_ONCE if data.count.size < LARGE else 1
    for first in range(0, len(kinds), n_at_once):
        some = slice(first, min(first + n_at_once, len(kinds)))
        after = State(*(np.empty((some.stop - first, *v.shape), v.dtype) for v in state))
        _run(data.screen, data.layout, room, state, random, kinds[some], after)
        yield some, after


@inlined
def _sweep(
    screen: Screen,
    layout: Layout,
    room: Room,
    state: State,
    random: np.random.Generator,
    kind: int,
) -> None:
    """Draw every parameter once."""
    draw_effects(screen, layout, state, random)
    state.accepted[_SPREAD] = draw_spreads(screen, layout, state, room, random)
    if kind == SETTLE:
        settle_lines(screen, layout, state)
        settle_line_sds(screen, layout, state)
    elif kind == FULL:
        state.accepted[_LINES], sums = draw_lines(screen, layout, state, random)
        state.accepted[_LINE_SDS] = draw_line_sds(screen, layout, state, sums, random)
    draw_shared(layout, state, random)


def _compile(digest: str) -> Callable[..., None]:
    """Return the compiled sweeps, with the digest of their sources in the key of their cache."""

    @cached
    def run(
        screen: Screen,
        layout: Layout,
        room: Room,
        state: State,
        random: np.random.Generator,
        kinds: np.ndarray,
        after: State,
    ) -> None:
        _ = digest
        for at in range(kinds.size):
            _sweep(screen, layout, room, state, random, kinds[at])
            copy_into(after.effects[at].ravel(), state.effects.ravel())
            copy_into(after.delta[at], state.delta)
            copy_into(after.gamma[at], state.gamma)
            copy_into(after.log_scale[at], state.log_scale)
            copy_into(after.log_noise[at], state.log_noise)
            copy_into(after.log_omega[at], state.log_omega)
            copy_into(after.component[at], state.component)
            copy_into(after.prob_nonzero[at], state.prob_nonzero)
            copy_into(after.weights[at], state.weights)
            copy_into(after.shared[at], state.shared)
            copy_into(after.accepted[at], state.accepted)

    result: Callable[..., None] = run
    return result


_run = _compile(sources_digest())
