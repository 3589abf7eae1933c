"""Damaged files: whole ones changed in a few places, the same ones for the same seed and number."""

from __future__ import annotations

import os
import random
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from vz_beam.testing.hdf5_checksums import resealed, sealed_blocks

_CHANGES = (1, 1, 1, 2, 3, 8)
"""How many places of a file are changed: mostly one, since an error at the first hides what the others do."""
_HEAD_BYTES = 4096
"""Half of the changes lie in here, where most formats keep their structure."""
_RESEALED_SHARE = 0.8
"""Of the files with checksums, those that get the right ones again: else no reader would look any further."""
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
    """As many damaged files as are asked for, each known by its number; as many from each folder.

    Args:
        originals: the files that are changed, in an order that stays.
        seed: of all cases together.
    """

    def __init__(self, originals: Iterable[Path], seed: int) -> None:
        self.originals = tuple(originals)
        self.seed = seed
        self.folders = tuple(dict.fromkeys(original.parent for original in self.originals))
        self._by_folder = {
            folder: [original for original in self.originals if original.parent == folder] for folder in self.folders
        }
        self._blocks: dict[Path, list[tuple[int, int]]] = {}

    def prepare(self) -> None:
        """Look for the checksums of all originals, which takes some seconds for hundreds of files."""
        for original in self.originals:
            self._checksummed(original, original.read_bytes())

    def case(self, number: int) -> MutatedFile:
        """The damaged file ``number``."""
        draw = random.Random(f"{self.seed}:{number}")
        original = draw.choice(self._by_folder[draw.choice(self.folders)])
        whole = original.read_bytes()
        data = mutated(whole, draw)
        if len(data) == len(whole) and draw.random() < _RESEALED_SHARE:
            data = resealed(data, whole, self._checksummed(original, whole))
        return MutatedFile(number, original, data, draw.random())

    def _checksummed(self, original: Path, data: bytes) -> list[tuple[int, int]]:
        if original not in self._blocks:
            self._blocks[original] = sealed_blocks(data)
        return self._blocks[original]

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
        data[place : place + nbytes] = (value % most).to_bytes(nbytes, "little")[: len(data) - place]
    elif kind < 0.95:
        start, nbytes = draw.randrange(len(data)), draw.randrange(1, 64)
        nbytes = min(nbytes, len(data) - max(place, start))
        data[place : place + nbytes] = data[start : start + nbytes]
    elif len(data) > place + 32:
        del data[place : place + draw.randrange(1, 32)]
