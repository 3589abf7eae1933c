"""What codecs that only decode have in common, for Zarr v3."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Self

from zarr.abc.codec import BytesBytesCodec
from zarr.core.array_spec import ArraySpec
from zarr.core.buffer import Buffer

from vz_beam.errors import FormatError, UnsupportedError


@dataclass(frozen=True)
class DecoderV3(BytesBytesCodec):
    """A codec whose configuration is the keyword arguments of its ``decoder``; a subclass gives both names."""

    is_fixed_size = False
    codec_id: ClassVar[str] = ""
    decoder: ClassVar[Callable[..., Any]]

    configuration: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Self:
        """The codec that a ``zarr.json`` document describes."""
        configuration = data.get("configuration") or {}
        if data.get("name") != cls.codec_id or not isinstance(configuration, dict):
            raise FormatError(f"{data} does not describe the codec {cls.codec_id!r}")
        return cls(configuration)

    def to_dict(self) -> dict[str, Any]:
        """How a ``zarr.json`` document describes the codec."""
        return {"name": self.codec_id, "configuration": dict(self.configuration)}

    async def _decode_single(self, chunk_data: Buffer, chunk_spec: ArraySpec) -> Buffer:
        decoder = type(self).decoder
        data = await asyncio.to_thread(lambda: decoder(chunk_data.to_bytes(), **self.configuration))
        return chunk_spec.prototype.buffer.from_array_like(data)

    async def _encode_single(self, chunk_data: Buffer, chunk_spec: ArraySpec) -> Buffer | None:
        raise UnsupportedError(f"the codec {self.codec_id!r} only decodes")

    def compute_encoded_size(self, input_byte_length: int, chunk_spec: ArraySpec) -> int:
        """Encoded chunks have no size known beforehand."""
        raise NotImplementedError
