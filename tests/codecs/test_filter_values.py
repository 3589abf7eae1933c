from __future__ import annotations

import pytest

from vz_beam.codecs.filter_values import check_values, checked_chunk
from vz_beam.errors import FormatError

SCALEOFFSET = (2, 0, 4, 0, 2, 1, 0, *([0] * 13))


@pytest.mark.parametrize(
    ("identifier", "values"),
    [
        (4, ()),
        (4, (141, 0, 8, 8)),
        (4, (141, 33, 8, 8)),
        (4, (141, 8, 8, 0)),
        (5, ()),
        (5, (8, 0, 4, 1, 2, 0, 17, 0)),
        (5, (8, 0, 3, 1, 2, 0, 12, 0)),
        (5, (7, 0, 4, 1, 2, 0, 12, 0)),
        (5, (7, 0, 4, 1, 2, 0, 12)),
        (5, (5, 0, 4, 9, 2)),
        (5, (6, 0, 4, 3, 2, 5)),
        (5, (10, 0, 4, 2, 2, 1, 3, 0, 3, 0)),
        (5, (9, 0, 4, 3, 2, 1, 1, 4, 2)),
        (6, SCALEOFFSET[:7]),
        (6, (2, 0, 5, *SCALEOFFSET[3:])),
        (32033, (1, 2, 2, 1, 1)),
        (32033, ()),
    ],
)
def test_values_that_cannot_be_of_such_a_chunk_are_refused(identifier: int, values: tuple[int, ...]) -> None:
    with pytest.raises(FormatError, match="in a chunk of 8 bytes"):
        check_values(identifier, values, 8)


@pytest.mark.parametrize(
    ("identifier", "values", "data"),
    [
        (4, (141, 8, 8, 8), b"\x08\0\0\0"),
        (4, (141, 8, 8, 8), b"\x09\0\0\0abcd"),
        (5, (8, 0, 4, 1, 2, 0, 12, 0), bytes(5)),
        (5, (8, 1, 4, 1, 2, 0, 16, 0), bytes(7)),
        (6, SCALEOFFSET, bytes(20)),
        (6, SCALEOFFSET, b"\x11" + bytes(40)),
        (6, SCALEOFFSET, b"\x05" + bytes(22)),
        (32033, (1, 1, 4, 2, 1), b"\xff\x4f\xff\x51" + bytes(30)),
    ],
)
def test_chunks_that_end_too_early_or_say_another_size_are_refused(
    identifier: int, values: tuple[int, ...], data: bytes
) -> None:
    with pytest.raises(FormatError, match=r"bytes are no \w+ chunk of"):
        checked_chunk(identifier, values, data, 8)
