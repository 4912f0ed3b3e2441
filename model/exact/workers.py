"""Where the passes over a screen are computed: this process, or others that stand in for it.

The exact engine cuts a screen into blocks of genes and only ever asks one thing of whoever computes:
apply a function to every block, and hand the results back in the order of the blocks. Results are
combined in that order, so that they do not depend on who computed them. Workers on other machines
are `tasks.cluster`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol


class Held(Protocol):
    """Blocks that workers hold, so that they travel once."""

    def map[R](self, function: Callable[..., R], *arguments: Any) -> Iterator[R]:
        """Yield `function(block, *arguments)` of every block, in the order of the blocks.

        `function` is a module's function; both it and the arguments can be pickled.
        """
        ...


class Workers(Protocol):
    """Somebody who computes."""

    def hold(self, blocks: Sequence[Any]) -> Held:
        """Take the blocks; they are not changed afterwards."""
        ...


class _HeldHere:
    def __init__(self, blocks: Sequence[Any]) -> None:
        self._blocks = blocks

    def map[R](self, function: Callable[..., R], *arguments: Any) -> Iterator[R]:
        return (function(block, *arguments) for block in self._blocks)


class ThisProcess:
    """Computes here, one block after the other; threads are those of BLAS."""

    def hold(self, blocks: Sequence[Any]) -> Held:
        """Keep the blocks where they are."""
        return _HeldHere(blocks)
