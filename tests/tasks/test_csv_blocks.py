"""Blocks of lines parsed several at a time come as if they had been parsed one by one."""

from __future__ import annotations

import io
import time
from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pytest

from tasks.csv_blocks import (
    PARSERS,
    CsvParser,
    LineTooLong,
    ParsedLines,
    parsed_ahead,
    whole_lines,
)

N_BLOCKS = 4 * PARSERS + 5


def numbered(n_blocks: int = N_BLOCKS) -> Iterator[bytes]:
    yield from (str(number).encode() for number in range(n_blocks))


def parse(lines: bytes) -> ParsedLines:
    number = int(lines)
    time.sleep(0.002 * (number % 3 == 0))  # the first of three is the last to be ready
    if number == 7:
        raise pa.ArrowInvalid("seven")
    return ParsedLines([], np.array([[number]]), lines[-1:])


def taken(blocks: Iterator[bytes]) -> tuple[list[int], Exception | None]:
    """The blocks that come, and what stops them."""
    numbers: list[int] = []
    try:
        for block in parsed_ahead(parse, blocks):
            numbers.append(int(block.numbers[0, 0]))
    except (pa.ArrowInvalid, EOFError) as error:
        return numbers, error
    return numbers, None


def test_blocks_keep_their_order():
    assert taken(numbered(7)) == (list(range(7)), None)


def test_what_cannot_be_parsed_stops_after_all_before_it():
    numbers, error = taken(numbered())
    assert numbers == list(range(7))
    assert isinstance(error, pa.ArrowInvalid)


@pytest.mark.parametrize("n_blocks", [0, 1, 5])
def test_what_cannot_be_read_stops_after_all_before_it(n_blocks):
    def torn() -> Iterator[bytes]:
        yield from numbered(n_blocks)
        raise EOFError

    numbers, error = taken(torn())
    assert numbers == list(range(n_blocks))
    assert isinstance(error, EOFError)


def test_only_a_few_blocks_are_read_ahead():
    n_read = 0

    def counted() -> Iterator[bytes]:
        nonlocal n_read
        for block in numbered(7 * 100):
            n_read += 1
            yield block

    blocks = parsed_ahead(lambda lines: ParsedLines([], np.empty((1, 0)), lines), counted())
    for _ in range(3):
        next(blocks)
    blocks.close()
    assert n_read <= 3 + PARSERS


@pytest.mark.parametrize("size", [1, 10, 64, 1000])
@pytest.mark.parametrize("end", ["\n", ""])
def test_text_is_cut_after_line_breaks_and_nowhere_else(size, end):
    text = ("\n".join("x" * (number % 13) for number in range(60)) + end).encode()
    blocks = list(whole_lines(io.BufferedReader(io.BytesIO(text)), size, 1000))
    assert b"".join(blocks) == text
    assert all(block.endswith(b"\n") for block in blocks[:-1])
    assert (len(blocks) == 1) == (size == 1000)


def test_a_line_without_end_is_not_read_to_its_end():
    stream = io.BufferedReader(io.BytesIO(b"a,b\n" + b"x" * 5000))
    with pytest.raises(LineTooLong):
        list(whole_lines(stream, 10, 1000))
    assert stream.tell() < 1100


def test_columns_come_as_asked_for():
    parsed = CsvParser(4, [2, 0], [3, 1])(b"a,1.5,b,-2\nNA,,c,nan\n")
    assert [list(column) for column in parsed.texts] == [["b", "c"], ["a", None]]
    np.testing.assert_array_equal(parsed.numbers, [[-2, 1.5], [np.nan, np.nan]])
    assert parsed.last == b"\n"
    assert CsvParser(2, [1], [])(b'a,"two\nlines"\n').texts[0].tolist() == ["two\nlines"]


def test_numbers_are_the_nearest_to_their_text():
    rng = np.random.default_rng(1)
    numbers = rng.normal(size=(300, 3)) * 10.0 ** rng.integers(-12, 3, size=(300, 3))
    lines = "".join(",".join(map(repr, row)) + "\n" for row in numbers.tolist())
    np.testing.assert_array_equal(CsvParser(3, [], [0, 1, 2])(lines.encode()).numbers, numbers)
