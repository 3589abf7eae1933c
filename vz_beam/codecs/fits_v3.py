"""Values of FITS files as codecs of Zarr v3."""

from __future__ import annotations

from zarr.registry import register_codec

from vz_beam.codecs.decoder_v3 import DecoderV3
from vz_beam.codecs.fits import (
    FITS_COLUMN,
    FITS_TILE,
    FITS_VALUES,
    decode_fits_column,
    decode_fits_tile,
    decode_fits_values,
)


class FitsValuesV3(DecoderV3):
    """Scaled values and the like; configured as :func:`vz_beam.codecs.fits.decode_fits_values`."""

    codec_id = FITS_VALUES
    decoder = staticmethod(decode_fits_values)


class FitsColumnV3(DecoderV3):
    """A column of a table; configured as :func:`vz_beam.codecs.fits.decode_fits_column`."""

    codec_id = FITS_COLUMN
    decoder = staticmethod(decode_fits_column)


class FitsTileV3(DecoderV3):
    """A compressed tile; configured as :func:`vz_beam.codecs.fits.decode_fits_tile`."""

    codec_id = FITS_TILE
    decoder = staticmethod(decode_fits_tile)


for codec in (FitsValuesV3, FitsColumnV3, FitsTileV3):
    register_codec(codec.codec_id, codec)  # entry points are there only where the package is installed
