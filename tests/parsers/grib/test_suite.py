"""The laws of parsers, on GRIB files of both editions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import eccodes

from tests.parsers.grib.messages import COLUMNS, RANDOM, ROWS, decoded, message, several_fields, write
from vz_beam.parsers.grib import GRIBParser
from vz_beam.testing.parser_suite import ParserCase, ParserSuite, Values

COORDINATES = ("time", "step", "valid_time", "latitude", "longitude", "number", "isobaricInhPa", "heightAboveGround")
BIG: dict[str, Any] = {"Ni": 800, "Nj": 500, "iDirectionIncrementInDegrees": 0.1, "jDirectionIncrementInDegrees": 0.1}
BIG |= {"latitudeOfLastGridPointInDegrees": 10.1, "longitudeOfLastGridPointInDegrees": 79.9}


def _small(folder: Path, edition: int = 2) -> Path:
    return write(folder / "small.grib", message(edition, shortName="t", typeOfLevel="isobaricInhPa", level=500))


def _fields(folder: Path) -> Path:
    parts = [message(shortName=name, typeOfLevel="isobaricInhPa", level=500) for name in ("t", "u", "q")]
    return write(folder / "fields.grib2", several_fields(*parts))


def _big(folder: Path) -> Path:
    return write(folder / "big.grib", message(values=RANDOM.random(400_000), shortName="2t", **BIG))


def _read_small(path: Path) -> Values:
    return {"t": decoded(path.read_bytes()).reshape(1, 1, ROWS, COLUMNS)}


def _read_fields(path: Path) -> Values:
    names, found = ("t", "u", "q"), {}
    eccodes.codes_grib_multi_support_on()
    with path.open("rb") as file:
        for name in names:
            handle = eccodes.codes_grib_new_from_file(file)
            found[name] = eccodes.codes_get_values(handle).astype("f4").reshape(1, 1, ROWS, COLUMNS)
            eccodes.codes_release(handle)
    eccodes.codes_grib_multi_support_off()
    return found


def _read_big(path: Path) -> Values:
    return {"t2m": decoded(path.read_bytes()).reshape(1, 1, 500, 800)}


class TestGRIBParser(ParserSuite):
    parser = GRIBParser(drop_variables=COORDINATES)
    cases = (
        ParserCase("edition 2", _small, _read_small),
        ParserCase("edition 1", lambda folder: _small(folder, 1), _read_small),
        ParserCase("several fields in a message", _fields, _read_fields),
        ParserCase("big", _big, _read_big),
    )
