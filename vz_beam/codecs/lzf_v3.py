"""LZF as a codec of Zarr v3."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any, Self

from zarr.abc.codec import BytesBytesCodec
from zarr.core.array_spec import ArraySpec
from zarr.core.buffer import Buffer
from zarr.registry import register_codec

from vz_beam.codecs.lzf import LZF_ID, decode_lzf, encode_lzf
from vz_beam.errors import FormatError


@dataclass(frozen=True)
class LzfV3(BytesBytesCodec):
    """The codec for Zarr v3.

    Args:
        nbytes: size of a decoded chunk, bytes, which the stream does not tell.
    """

    is_fixed_size = False

    nbytes: int

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Self:
        """The codec that a ``zarr.json`` document describes."""
        configuration = data.get("configuration")
        if data.get("name") != LZF_ID or not isinstance(configuration, dict) or "nbytes" not in configuration:
            raise FormatError(f"{data} does not describe the codec {LZF_ID!r}, which has the configuration nbytes")
        return cls(nbytes=int(configuration["nbytes"]))

    def to_dict(self) -> dict[str, Any]:
        """How a ``zarr.json`` document describes the codec."""
        return {"name": LZF_ID, "configuration": {"nbytes": self.nbytes}}

    async def _decode_single(self, chunk_data: Buffer, chunk_spec: ArraySpec) -> Buffer:
        data = await asyncio.to_thread(decode_lzf, chunk_data.to_bytes(), self.nbytes)
        return chunk_spec.prototype.buffer.from_array_like(data)

    async def _encode_single(self, chunk_data: Buffer, chunk_spec: ArraySpec) -> Buffer | None:
        data = await asyncio.to_thread(encode_lzf, chunk_data.to_bytes())
        return chunk_spec.prototype.buffer.from_bytes(data)

    def compute_encoded_size(self, input_byte_length: int, chunk_spec: ArraySpec) -> int:
        """LZF streams have no size known beforehand."""
        raise NotImplementedError


register_codec(LZF_ID, LzfV3)  # entry points are there only where the package is installed
