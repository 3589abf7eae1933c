from __future__ import annotations

import random
from pathlib import Path

from vz_beam.testing.hdf5_checksums import resealed, sealed_blocks
from vz_beam.testing.hdf5_features import write_feature_files
from vz_beam.testing.mutated_files import MutatedFiles, mutated


def test_a_case_is_the_same_whenever_it_is_made(tmp_path: Path) -> None:
    paths = write_feature_files(tmp_path)
    files, again = MutatedFiles(paths, 1), MutatedFiles(paths, 1)
    cases = [files.case(number) for number in range(50)]
    assert cases == [again.case(number) for number in reversed(range(50))][::-1]
    assert cases != [MutatedFiles(paths, 2).case(number) for number in range(50)]
    assert len({case.original for case in cases}) > len(paths) // 2
    unchanged = [case for case in cases if case.data == case.original.read_bytes()]
    assert len(unchanged) < 10


def test_small_files_can_be_changed() -> None:
    for seed in range(300):
        assert len(mutated(b"abcdefgh", random.Random(seed))) <= 8


def test_checksums_are_found_and_put_right(tmp_path: Path) -> None:
    whole = next(path for path in write_feature_files(tmp_path) if path.name == "groups_latest.h5").read_bytes()
    blocks = sealed_blocks(whole)
    assert {whole[start : start + 4] for start, _ in blocks} >= {b"\x89HDF", b"OHDR", b"BTHD", b"BTLF", b"FRHP"}
    changed = bytearray(whole)
    start, stop = blocks[-1]
    changed[start + 6] ^= 1
    right = resealed(bytes(changed), whole, blocks)
    assert right[:stop] == changed[:stop]
    assert right[stop : stop + 4] != whole[stop : stop + 4]
    assert sealed_blocks(right) == blocks
