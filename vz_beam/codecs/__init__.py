"""Decoders that Zarr lacks, and what codecs have in common. A reader of a store needs only this folder."""
