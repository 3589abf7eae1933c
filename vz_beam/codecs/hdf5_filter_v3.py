"""HDF5 filters as a codec of Zarr v3."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any, Self

from zarr.abc.codec import BytesBytesCodec
from zarr.core.array_spec import ArraySpec
from zarr.core.buffer import Buffer
from zarr.registry import register_codec

from vz_beam.codecs.filter_names import HDF5_FILTER
from vz_beam.codecs.hdf5_filter import decode_filtered, encode_filtered
from vz_beam.errors import FormatError


@dataclass(frozen=True)
class Hdf5FilterV3(BytesBytesCodec):
    """The codec for Zarr v3.

    Args:
        filter: HDF5's number of the filter.
        values: its client data.
        nbytes: size of a decoded chunk, bytes; ``None`` where it is not known.
    """

    is_fixed_size = False

    filter: int
    values: tuple[int, ...] = ()
    nbytes: int | None = None

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Self:
        """The codec that a ``zarr.json`` document describes."""
        configuration = data.get("configuration")
        if data.get("name") != HDF5_FILTER or not isinstance(configuration, dict) or "filter" not in configuration:
            raise FormatError(f"{data} does not describe the codec {HDF5_FILTER!r}, which has the configuration filter")
        nbytes = configuration.get("nbytes")
        return cls(
            filter=int(configuration["filter"]),
            values=tuple(int(value) for value in configuration.get("values", ())),
            nbytes=None if nbytes is None else int(nbytes),
        )

    def to_dict(self) -> dict[str, Any]:
        """How a ``zarr.json`` document describes the codec."""
        configuration = {"filter": self.filter, "values": list(self.values), "nbytes": self.nbytes}
        return {"name": HDF5_FILTER, "configuration": configuration}

    async def _decode_single(self, chunk_data: Buffer, chunk_spec: ArraySpec) -> Buffer:
        data = chunk_data.to_bytes()
        decoded = await asyncio.to_thread(decode_filtered, self.filter, self.values, self.nbytes, data)
        return chunk_spec.prototype.buffer.from_array_like(decoded)

    async def _encode_single(self, chunk_data: Buffer, chunk_spec: ArraySpec) -> Buffer | None:
        data = await asyncio.to_thread(encode_filtered, self.filter, self.values, chunk_data.to_bytes())
        return chunk_spec.prototype.buffer.from_bytes(data)

    def compute_encoded_size(self, input_byte_length: int, chunk_spec: ArraySpec) -> int:
        """Filtered chunks have no size known beforehand."""
        raise NotImplementedError


register_codec(HDF5_FILTER, Hdf5FilterV3)  # entry points are there only where the package is installed
