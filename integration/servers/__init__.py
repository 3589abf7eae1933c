"""Servers that tests and benchmarks start on the loopback device and end themselves."""
