"""Blocks of lines parsed several at a time come in order, as if they were parsed one by one."""

from collections.abc import Iterator

import numpy as np

from tasks.reading.csv import PARSERS, ParsedLines, parse_ahead


def numbered(n_blocks: int) -> Iterator[bytes]:
    yield from (str(number).encode() for number in range(n_blocks))


def test_only_a_few_blocks_are_read_ahead():
    n_read = 0

    def counted() -> Iterator[bytes]:
        nonlocal n_read
        for block in numbered(700):
            n_read += 1
            yield block

    blocks = parse_ahead(lambda lines: ParsedLines([], np.empty((1, 0)), lines), counted())
    for _ in range(3):
        next(blocks)
    blocks.close()
    assert n_read <= 3 + PARSERS
