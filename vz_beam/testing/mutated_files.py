"""Damaged files: whole ones changed in a few places, the same ones for the same seed and number."""

from __future__ import annotations

import os
import random
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory

_CHANGES = (1, 1, 1, 2, 3, 8)
"""How many places of a file are changed: mostly one, since an error at the first hides what the others do."""
_HEAD_BYTES = 4096
"""Half of the changes lie in here, where most formats keep their structure."""
_EDGES = (0x00, 0x01, 0x7F, 0x80, 0xFF)
"""Bytes at the ends of what a byte can count."""


@dataclass(frozen=True, slots=True)
class MutatedFile:
    """One damaged file.

    Args:
        number: of the case.
        original: the file that was changed.
        data: what is left of it.
        choice: a number in [0, 1) for whoever runs the case to choose by.
    """

    number: int
    original: Path
    data: bytes
    choice: float


class MutatedFiles:
    """As many damaged files as are asked for, each known by its number.

    Args:
        originals: the files that are changed; in this order, other files of their folders left out.
        seed: of all cases together.
    """

    def __init__(self, originals: Iterable[Path], seed: int) -> None:
        self.originals = tuple(originals)
        self.seed = seed

    def case(self, number: int) -> MutatedFile:
        """The damaged file ``number``."""
        draw = random.Random(f"{self.seed}:{number}")
        original = draw.choice(self.originals)
        data = mutated(original.read_bytes(), draw)
        return MutatedFile(number, original, data, draw.random())

    @cached_property
    def folders(self) -> tuple[Path, ...]:
        """Where the originals lie."""
        return tuple(dict.fromkeys(original.parent for original in self.originals))

    @contextmanager
    def workplaces(self) -> Iterator[dict[Path, Path]]:
        """A folder for each folder of originals, with links to all that is there: damaged files may name those."""
        with TemporaryDirectory() as place:
            found: dict[Path, Path] = {}
            for number, folder in enumerate(self.folders):
                found[folder] = Path(place) / str(number)
                found[folder].mkdir()
                for each in folder.iterdir():
                    os.symlink(each.resolve(), found[folder] / each.name)
            yield found


def mutated(data: bytes, draw: random.Random) -> bytes:
    """``data`` with bits flipped, bytes and integers replaced, pieces copied and pieces cut out."""
    changed = bytearray(data)
    for _ in range(draw.choice(_CHANGES)):
        place = draw.randrange(len(changed) if draw.random() < 0.5 else min(len(changed), _HEAD_BYTES))
        _change(changed, place, draw)
    return bytes(changed)


def _change(data: bytearray, place: int, draw: random.Random) -> None:
    kind = draw.random()
    if kind < 0.3:
        data[place] ^= 1 << draw.randrange(8)
    elif kind < 0.6:
        data[place] = draw.choice((*_EDGES, draw.randrange(256)))
    elif kind < 0.8:
        nbytes = draw.choice((2, 4, 8))
        most = 2 ** (8 * nbytes)
        value = draw.choice((0, 1, most - 1, most // 2, draw.randrange(most), len(data)))
        data[place : place + nbytes] = (value % most).to_bytes(nbytes, "little")
    elif kind < 0.95:
        start, nbytes = draw.randrange(len(data)), draw.randrange(1, 64)
        data[place : place + nbytes] = data[start : start + nbytes]
    elif len(data) > place + 32:
        del data[place : place + draw.randrange(1, 32)]
