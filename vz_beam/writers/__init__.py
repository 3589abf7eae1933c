"""Reference stores: one module for each format, ending in ``WRITER = ...``."""
