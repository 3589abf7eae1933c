"""Fields of GRIB messages as a codec of Zarr v3."""

from __future__ import annotations

from zarr.registry import register_codec

from vz_beam.codecs.decoder_v3 import DecoderV3
from vz_beam.codecs.grib import GRIB_ID, decode_grib


class GribV3(DecoderV3):
    """The codec for Zarr v3; configured as :func:`vz_beam.codecs.grib.decode_grib`."""

    codec_id = GRIB_ID
    decoder = staticmethod(decode_grib)


register_codec(GRIB_ID, GribV3)  # entry points are there only where the package is installed
