"""Checksums of the structures of HDF5 1.8 and later, put right after a change, so that readers look behind them.

Source: HDF5 file format specification 4.0, section III, "Disk Format: Level 1 - File Infrastructure".
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from numcodecs.jenkins import jenkins_lookup3

_SIGNATURES = re.compile(
    rb"\x89HDF\r\n\x1a\n[\x02\x03]|OHDR|OCHK|BTHD|BTIN|BTLF|FRHP|FHIB|FAHD|FADB|EAHD|EAIB|EASB|EADB"
)
_CHECKSUM_BYTES = 4
_MOST_BYTES = 768
"""The largest structure that is looked for: every length up to it is tried, and most are smaller."""


def sealed_blocks(data: bytes) -> list[tuple[int, int]]:
    """Where in ``data`` something begins with a signature and ends in its checksum, the checksum left out."""
    found: list[tuple[int, int]] = []
    for match in _SIGNATURES.finditer(data):
        start = match.start()
        for stop in range(match.end() + 1, min(start + _MOST_BYTES, len(data) - _CHECKSUM_BYTES) + 1):
            if jenkins_lookup3(data[start:stop], 0) == int.from_bytes(data[stop : stop + _CHECKSUM_BYTES], "little"):
                found.append((start, stop))
                break
    return found


def resealed(changed: bytes, original: bytes, blocks: Sequence[tuple[int, int]]) -> bytes:
    """``changed`` with new checksums for those of ``blocks`` that differ from ``original``, which is as long."""
    result = bytearray(changed)
    for start, stop in blocks:
        if changed[start:stop] != original[start:stop]:
            result[stop : stop + _CHECKSUM_BYTES] = jenkins_lookup3(changed[start:stop], 0).to_bytes(4, "little")
    return bytes(result)
