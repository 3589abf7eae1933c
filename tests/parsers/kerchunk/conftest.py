from __future__ import annotations

from pathlib import Path

import pytest

from tests.parsers.kerchunk.stores import VALUES


@pytest.fixture
def data(tmp_path: Path) -> str:
    """A file of the six chunks of ``V``, 8 bytes each, in order."""
    path = tmp_path / "data.bin"
    path.write_bytes(b"".join(VALUES[y : y + 2, x : x + 2].tobytes() for y in (0, 2, 4) for x in (0, 2)))
    return str(path)
