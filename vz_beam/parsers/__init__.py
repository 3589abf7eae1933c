"""Bytes in, manifests out: one module, or folder, for each format. A module that defines ``PARSER`` is a parser."""
