"""GRIB files of both editions: messages are chunks, and hypercubes are made of their keys."""

from vz_beam.parsers.grib.parser import PARSER, GRIBParser

__all__ = ["PARSER", "GRIBParser"]
