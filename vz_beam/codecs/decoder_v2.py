"""What codecs that only decode have in common, for Zarr v2 and Kerchunk."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

from numcodecs.abc import Codec
from numcodecs.compat import ensure_bytes, ndarray_copy

from vz_beam.errors import UnsupportedError


class DecoderV2(Codec):  # type: ignore[misc]  # numcodecs is not annotated
    """A codec whose configuration is the keyword arguments of its ``decoder``; a subclass gives both names."""

    codec_id = ""
    decoder: ClassVar[Callable[..., Any]]

    def __init__(self, **configuration: Any) -> None:
        self.configuration = configuration

    def get_config(self) -> dict[str, Any]:
        """The codec as a document says it."""
        return {"id": self.codec_id, **self.configuration}

    def encode(self, buf: Any) -> bytes:
        """Nothing is encoded: files of this format are written by other programs."""
        raise UnsupportedError(f"the codec {self.codec_id!r} only decodes")

    def decode(self, buf: Any, out: Any = None) -> Any:
        """The decoded bytes of ``buf``, written into ``out`` where it is given."""
        decoded = type(self).decoder(bytes(ensure_bytes(buf)), **self.configuration)
        return ndarray_copy(decoded, out)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(self.configuration)})"
