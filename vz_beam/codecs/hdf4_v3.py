"""Decoders of HDF4 as codecs of Zarr v3."""

from __future__ import annotations

from zarr.registry import register_codec

from vz_beam.codecs.decoder_v3 import DecoderV3
from vz_beam.codecs.hdf4 import HUFFMAN_ID, NBIT_ID, RLE_ID, decode_nbit, decode_rle, decode_skphuff


class Hdf4RleV3(DecoderV3):
    """Run lengths; configured as :func:`vz_beam.codecs.hdf4.decode_rle`."""

    codec_id = RLE_ID
    decoder = staticmethod(decode_rle)


class Hdf4SkphuffV3(DecoderV3):
    """Skipping Huffman; configured as :func:`vz_beam.codecs.hdf4.decode_skphuff`."""

    codec_id = HUFFMAN_ID
    decoder = staticmethod(decode_skphuff)


class Hdf4NbitV3(DecoderV3):
    """N-bit; configured as :func:`vz_beam.codecs.hdf4.decode_nbit`."""

    codec_id = NBIT_ID
    decoder = staticmethod(decode_nbit)


for codec in (Hdf4RleV3, Hdf4SkphuffV3, Hdf4NbitV3):
    register_codec(codec.codec_id, codec)  # entry points are there only where the package is installed
