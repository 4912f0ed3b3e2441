"""Random damage to the bytes of a file, the same for the same source of random numbers."""

from __future__ import annotations

import random

WORDS = (
    b'"',
    b",",
    b"\n",
    b"\r",
    b"-",
    b"nan",
    b"1e999",
    b"\xef\xbb\xbf",
    b"\x00",
    b": ",
    b"&a",
    b"*a",
    b"!!python/none",
    b"[",
    b"{",
    b"  ",
    b"#",
    b"2024-01-01",
)
"""What means something in one of the formats."""


def spoil(content: bytes, source: random.Random) -> bytes:
    """Flip, cut, insert, repeat or exchange some bytes."""
    data = bytearray(content)
    for _ in range(source.choice([1, 1, 1, 2, 4, 16])):
        place = source.randrange(len(data) + 1)
        length = source.choice([1, 1, 2, 4, 8, 64])
        match source.randrange(7):
            case 0:
                if place < len(data):
                    data[place] ^= 1 << source.randrange(8)
            case 1:
                del data[place : place + length]
            case 2:
                data[place:place] = source.randbytes(length)
            case 3:
                data[place : place + length] = source.randbytes(length)
            case 4:
                again = bytes(data[place : place + length])
                data[place:place] = again * source.choice([1, 2, 100])
            case 5:
                data[place : place + length] = source.choice([b"\x00", b"\xff"]) * length
            case 6:
                data[place:place] = source.choice(WORDS)
    return bytes(data[: source.randrange(len(data))] if source.random() < 0.05 and data else data)
