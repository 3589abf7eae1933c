"""DMR++ documents of OPeNDAP's Hyrax: XML that says where the values of another file lie."""

from vz_beam.parsers.dmrpp.parser import PARSER, DMRPPParser

__all__ = ["PARSER", "DMRPPParser"]
