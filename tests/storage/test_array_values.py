from __future__ import annotations

import zlib
from pathlib import Path

import numpy as np
import pytest

from vz_beam.errors import FormatError
from vz_beam.manifests.array import ManifestArray
from vz_beam.manifests.chunk_manifest import ChunkManifest
from vz_beam.manifests.metadata import ArrayMetadata, Codec
from vz_beam.storage.array_values import read_values
from vz_beam.storage.byte_source import open_source


def test_a_chunk_that_cannot_be_decoded_is_named_with_its_file_and_place(tmp_path: Path) -> None:
    path = tmp_path / "data.bin"
    path.write_bytes(b"head" + zlib.compress(np.arange(2, dtype="i2").tobytes()) + b"no stream of zlib")
    metadata = ArrayMetadata((4,), np.dtype("i2"), (2,), codecs=(Codec("numcodecs.zlib", {"level": 1}),))
    first = len(path.read_bytes()) - 4 - 17
    entries = {"0": (4, first), "1": (4 + first, 17)}
    manifest = ChunkManifest(
        {key: {"path": f"file://{path}", "offset": offset, "length": n} for key, (offset, n) in entries.items()}
    )
    with pytest.raises(FormatError, match=rf"chunk 1 of 'v' \(file://{path} at byte {4 + first}, 17 bytes\).*header"):
        read_values({"v": ManifestArray(metadata, manifest)}, open_source)
    inlined = ChunkManifest.from_inlined((2,), {0: b"", 1: b""})
    with pytest.raises(FormatError, match=r"chunk 0 of 'w' \(inlined, 0 bytes\)"):
        read_values({"w": ManifestArray(metadata, inlined)}, open_source)
