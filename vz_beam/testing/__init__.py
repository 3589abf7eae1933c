"""Suites and sample files that tests of other packages may inherit."""
