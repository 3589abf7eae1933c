from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from tests.parsers.netcdf3.classic_files import FORMS, Content, Form, read_netcdf4, write
from vz_beam.parsers.netcdf3 import NetCDF3Parser
from vz_beam.testing.parser_suite import ParserCase, ParserSuite

RANDOM = np.random.default_rng(3)
MIXED: Content = {
    "time": (("time",), np.arange(5.0)),
    "t": (("time", "y", "x"), RANDOM.random((5, 3, 7), np.float32)),
    "odd": (("time", "x"), RANDOM.integers(-99, 99, (5, 7)).astype(np.int8)),
    "name": (("y", "letters"), np.array([list("abcd"), list("ef g"), list("h..i")], "S1")),
    "height": (("y", "x"), RANDOM.integers(-9999, 9999, (3, 7)).astype(np.int16)),
    "crs": ((), np.array(7, np.int32)),
}
ONE_RECORD_VARIABLE: Content = {
    "odd": (("time", "x"), RANDOM.integers(-99, 99, (5, 7)).astype(np.int8)),
    "fixed": (("x",), np.arange(7, dtype=np.float32)),
}
BIG: Content = {
    "t": (("time", "y", "x"), RANDOM.random((3, 500, 500), np.float32)),
    "u": (("time", "y", "x"), RANDOM.random((3, 500, 500), np.float32)),
    "fixed": (("y", "x"), RANDOM.random((500, 500))),
}
WIDE: Content = {
    name: (("time", "x"), RANDOM.integers(0, 99, (3, 5)).astype(dtype))
    for name, dtype in {"u1": "u1", "u2": "u2", "u4": "u4", "i8": "i8", "u8": "u8"}.items()
}


def _written(content: Content, form: Form) -> Callable[[Path], Path]:
    return lambda folder: write(folder / "classic.nc", content, form)


class TestNetCDF3Parser(ParserSuite):
    parser = NetCDF3Parser()
    cases = (
        *(ParserCase(f"mixed, {form}", _written(MIXED, form), read_netcdf4) for form in FORMS),
        *(
            ParserCase(f"one record variable, {form}", _written(ONE_RECORD_VARIABLE, form), read_netcdf4)
            for form in FORMS
        ),
        ParserCase("big", _written(BIG, "NETCDF3_64BIT_OFFSET"), read_netcdf4),
        ParserCase("types of CDF-5", _written(WIDE, "NETCDF3_64BIT_DATA"), read_netcdf4),
    )
