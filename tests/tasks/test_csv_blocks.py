"""Blocks of lines parsed several at a time come in order, as if they were parsed one by one."""

import time
from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pytest

from tasks.csv_blocks import (
    PARSERS,
    ParsedLines,
    parsed_ahead,
)


def numbered(n_blocks: int) -> Iterator[bytes]:
    yield from (str(number).encode() for number in range(n_blocks))


def parse(lines: bytes) -> ParsedLines:
    number = int(lines)
    time.sleep(0.002 * (number % 3 == 0))  # the first of three is the last to be ready
    if number == 7:
        raise pa.ArrowInvalid("seven")
    return ParsedLines([], np.array([[number]]), lines[-1:])


def unreadable_after(n_blocks: int) -> Iterator[bytes]:
    yield from numbered(n_blocks)
    raise EOFError


@pytest.mark.parametrize(
    ("blocks", "n_parsed", "stopped_by"),
    [
        (numbered(7), 7, None),
        (numbered(4 * PARSERS + 8), 7, pa.ArrowInvalid),
        (unreadable_after(0), 0, EOFError),
        (unreadable_after(5), 5, EOFError),
    ],
)
def test_blocks_come_in_order_up_to_one_that_fails(blocks, n_parsed, stopped_by):
    came, error = [], None
    try:
        for block in parsed_ahead(parse, blocks):
            came.append(int(block.numbers[0, 0]))
    except (pa.ArrowInvalid, EOFError) as raised:
        error = type(raised)
    assert (came, error) == (list(range(n_parsed)), stopped_by)


def test_only_a_few_blocks_are_read_ahead():
    n_read = 0

    def counted() -> Iterator[bytes]:
        nonlocal n_read
        for block in numbered(700):
            n_read += 1
            yield block

    blocks = parsed_ahead(lambda lines: ParsedLines([], np.empty((1, 0)), lines), counted())
    for _ in range(3):
        next(blocks)
    blocks.close()
    assert n_read <= 3 + PARSERS
