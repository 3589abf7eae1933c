"""Deflate without a header as a codec of Zarr v3."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from zarr.registry import register_codec

from vz_beam.codecs.decoder_v3 import DecoderV3
from vz_beam.codecs.inflate import INFLATE_ID, decode_inflate


def _decoded(data: bytes) -> NDArray[np.uint8]:
    return np.frombuffer(decode_inflate(data), np.uint8)


class InflateV3(DecoderV3):
    """The codec for Zarr v3; it has no configuration."""

    codec_id = INFLATE_ID
    decoder = staticmethod(_decoded)


register_codec(INFLATE_ID, InflateV3)  # entry points are there only where the package is installed
