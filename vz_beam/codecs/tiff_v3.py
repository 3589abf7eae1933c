"""Strips and tiles of TIFF files as a codec of Zarr v3."""

from __future__ import annotations

from zarr.registry import register_codec

from vz_beam.codecs.decoder_v3 import DecoderV3
from vz_beam.codecs.tiff import TIFF_ID, decode_tiff


class TiffV3(DecoderV3):
    """The codec for Zarr v3; its configuration is that of :func:`vz_beam.codecs.tiff.decode_tiff`."""

    codec_id = TIFF_ID
    decoder = staticmethod(decode_tiff)


register_codec(TIFF_ID, TiffV3)  # entry points are there only where the package is installed
