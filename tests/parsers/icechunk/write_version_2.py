"""Writes the repository in the folder ``version_2``, by icechunk 2.3: ``python write_version_2.py FOLDER``.

Its array ``x`` has 2,000 chunks in 2,000 files, which is enough for icechunk to compress their names.
"""

from __future__ import annotations

import sys
from typing import Any

import icechunk
import zarr


def main(folder: str) -> None:
    """Two commits, a tag on the first one; icechunk must be 2.3 or later."""
    config = icechunk.RepositoryConfig.default()
    place = "s3://an-archive/daily/"
    config.set_virtual_chunk_container(icechunk.VirtualChunkContainer(place, icechunk.s3_store(region="us-east-1")))
    repository = icechunk.Repository.create(icechunk.local_filesystem_storage(folder), config=config)
    session = repository.writable_session("main")
    root = zarr.open_group(session.store, mode="a", attributes={"title": "version 2"})
    root.create_array("group/x", shape=(4000,), chunks=(2,), dtype="i4", compressors=None)
    small = root.create_array("small", shape=(), dtype="f8", compressors=None)
    small[...] = 3.5
    specs = [
        icechunk.VirtualChunkSpec([row], f"{place}observations-{row:06d}.nc", offset=100 + row, length=8)
        for row in range(2000)
    ]
    session.store.set_virtual_refs("group/x", specs)
    repository.create_tag("first", session.commit("first"))
    session = repository.writable_session("main")
    changed: Any = zarr.open_group(session.store, mode="a")
    changed["small"][...] = 4.5
    session.commit("second")


if __name__ == "__main__":
    main(sys.argv[1])
