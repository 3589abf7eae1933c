"""A file as ``vz-beam inspect`` sees it: its arrays as references, before they are combined with others."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from vz_beam.cli.described_arrays import DescribedArray, Description, codec_text
from vz_beam.combine.sizes import readable_size
from vz_beam.datasets.virtual_variables import virtual_dataset
from vz_beam.errors import ExternalFileError, InputError
from vz_beam.manifests.array import ManifestArray
from vz_beam.manifests.group import ManifestGroup
from vz_beam.manifests.metadata import ArrayMetadata
from vz_beam.parsers.parser import find_parser, skipping
from vz_beam.storage.byte_source import ByteSource
from vz_beam.storage.folder_source import open_file_or_folder
from vz_beam.storage.source_pool import SourcePool
from vz_beam.storage.surroundings import surroundings_of


def describe_file(
    url: str,
    group: str | None = None,
    storage_options: Mapping[str, Any] | None = None,
    allow_external: bool = False,
) -> Description:
    """What is in the file, or store in a folder, at ``url``: all of its groups, or one and those below it.

    ``allow_external`` is as of :func:`open_virtual_dataset`; coordinates whose values lie elsewhere count as virtual.

    Raises:
        VzBeamError: a file that cannot be opened; a group that it does not have.
    """
    source = open_file_or_folder(url, storage_options, allow_external=allow_external)
    try:
        parser = find_parser(source)
        root = skipping(parser).parse(source)
        prefix = (group or "").strip("/")
        found = [(path, node) for path, node in root.walk() if _is_below(path, prefix)]
        if not found:
            raise InputError(f"{source.url} has no group {group!r}; its groups are {[p for p, _ in root.walk() if p]}")
        around = surroundings_of(source.url, None, allow_external)
        with SourcePool(storage_options, surroundings=around) as open_location:
            arrays = tuple(array for path, node in found for array in _arrays_of(path, node, source, open_location))
        identity = source.identity()
        title = {
            "file": identity.url,
            "parser": parser.name,
            "size": readable_size(identity.size),
            "modified": identity.modified,
            "etag": identity.etag,
            "groups": ", ".join(path for path, _ in found if path) or None,
            "attributes": len(found[0][1].attributes),
        }
        skipped = {path: reason for path, reason in root.skipped.items() if _is_below(path, prefix)}
        return Description(title, arrays, _files(node for _, node in found), skipped)
    finally:
        source.close()


def described_metadata(metadata: ArrayMetadata) -> tuple[str, ...]:
    """The codecs of an array, the one to bytes included where it is not plain."""
    codecs = metadata.codecs if metadata.serializer is None else (metadata.serializer, *metadata.codecs)
    return tuple(codec_text(codec.name, codec.configuration) for codec in codecs)


def _arrays_of(
    path: str, node: ManifestGroup, source: ByteSource, open_location: SourcePool
) -> Iterator[DescribedArray]:
    def open_one(location: str) -> ByteSource:
        return source if location == source.url else open_location(location)

    try:
        opened = virtual_dataset(node, open_one, url=source.url)
    except ExternalFileError:
        opened = virtual_dataset(node, open_one, url=source.url, loadable_variables=[])
    for name, array in node.arrays.items():
        metadata, manifest = array.metadata, array.manifest
        is_virtual = isinstance(opened.variables[name]._data, ManifestArray)
        inlined = len(manifest.inlined)
        yield DescribedArray(
            path=f"{path}/{name}" if path else name,
            dims=metadata.dimension_names or (),
            shape=metadata.shape,
            dtype=dtype_text(metadata.dtype),
            chunks=_chunks(metadata),
            codecs=described_metadata(metadata),
            references=manifest.nrefs - inlined,
            missing=metadata.chunk_grid.size - manifest.nrefs,
            inlined=inlined,
            referenced_nbytes=int(manifest.lengths.sum(dtype=np.uint64)),
            kind="virtual" if is_virtual else "loaded",
            attributes=len(metadata.attributes),
        )


def _chunks(metadata: ArrayMetadata) -> tuple[int | str, ...]:
    uneven = metadata.uneven_chunks
    return tuple(uneven[axis].span if axis in uneven else length for axis, length in enumerate(metadata.chunk_shape))


def dtype_text(dtype: np.dtype[Any]) -> str:
    """A dtype in one word.

    >>> dtype_text(np.dtype("f4")), dtype_text(np.dtypes.StringDType())
    ('float32', 'string')
    """
    return "string" if dtype.kind == "T" else str(dtype)


def _is_below(path: str, prefix: str) -> bool:
    return not prefix or path == prefix or path.startswith(f"{prefix}/")


def _files(nodes: Iterator[ManifestGroup]) -> tuple[str, ...]:
    locations = (url for node in nodes for array in node.arrays.values() for url in array.manifest.locations)
    return tuple(dict.fromkeys(locations))
