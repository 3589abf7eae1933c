"""The URLs of references, as manifests have them: absolute, and written in one way only."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vz_beam.errors import FormatError, InputError
from vz_beam.manifests.chunk_manifest import ChunkManifest
from vz_beam.storage.byte_source import ByteSource
from vz_beam.storage.sibling_urls import member_url
from vz_beam.storage.urls import canonical_url, is_chained, scheme_of

_TOGETHER = 16
"""Files whose sizes are asked for side by side."""


@dataclass(frozen=True, slots=True)
class Locations:
    """Makes URLs of what references say.

    Args:
        root: folder or URL that relative names start from; ``None`` where they are refused.
    """

    root: str | None

    def url(self, name: str) -> str:
        """The canonical URL of what a reference calls ``name``.

        Raises:
            FormatError: a name that is empty.
            InputError: a relative one without a root; a URL with a password.
        """
        if not name:
            raise FormatError("a reference has an empty URL")
        if scheme_of(name) or is_chained(name) or name.startswith("/"):
            return canonical_url(name)
        if self.root is None:
            raise InputError(
                f"references name {name!r}, which is relative: say what it starts from (fs_root=...), a folder, a URL, "
                "or a protocol such as 's3://'"
            )
        if self.root.endswith("://"):
            return canonical_url(self.root + name)
        return member_url(canonical_url(self.root), name)


def located(
    manifest_columns: tuple[NDArray[np.int32], NDArray[np.uint64], NDArray[np.uint64]],
    names: Iterable[str],
    inlined: dict[int, bytes],
    locations: Locations,
    source: ByteSource,
    whole: NDArray[np.int64] | None,
    grid_shape: tuple[int, ...],
) -> ChunkManifest:
    """The manifest of one array.

    Args:
        manifest_columns: location ids, offsets and lengths of every chunk, flat.
        names: what ids count into, as the references have them.
        inlined: bytes by chunk number.
        locations: makes URLs of names.
        source: of the references, which opens other files.
        whole: chunks that are whole files, whose lengths are not known yet.
        grid_shape: chunks.
    """
    ids, offsets, lengths = manifest_columns
    urls = [locations.url(name) for name in names]
    distinct = {url: number for number, url in enumerate(dict.fromkeys(urls))}
    if len(distinct) < len(urls):
        table = np.array([distinct[url] for url in urls] + [-2, -1], np.int32)
        ids = table[ids]
    if whole is not None and len(whole):
        found = list(distinct)
        used = np.unique(ids[whole]).tolist()
        sizes = np.zeros(len(found), np.uint64)
        sizes[used] = file_sizes([found[number] for number in used], source.other)
        lengths[whole] = sizes[ids[whole]]
    return ChunkManifest.from_columns(
        tuple(distinct),
        ids.reshape(grid_shape),
        offsets.reshape(grid_shape),
        lengths.reshape(grid_shape),
        inlined,
    )


def file_sizes(urls: list[str], open_url: Callable[[str], ByteSource]) -> list[int]:
    """The size of each file, bytes, which are asked for side by side."""

    def size(url: str) -> int:
        source = open_url(url)
        try:
            return source.size()
        finally:
            source.close()

    if len(urls) == 1:
        return [size(urls[0])]
    with ThreadPoolExecutor(_TOGETHER) as pool:
        return list(pool.map(size, urls))
