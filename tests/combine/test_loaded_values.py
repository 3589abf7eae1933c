import numpy as np
import pytest
import xarray as xr

from vz_beam.combine.loaded import encode_values


@pytest.mark.parametrize("order", ["C", "F"])
def test_bytes_are_in_c_order_whatever_the_memory_was(order: str) -> None:
    values = np.asarray(np.arange(6, dtype=">i4").reshape(2, 3), order=order)  # type: ignore[call-overload]
    metadata, chunks, _ = encode_values("v", xr.Variable(("y", "x"), values))
    assert (metadata.shape, metadata.chunk_shape) == ((2, 3), (2, 3))
    assert np.frombuffer(chunks[0], "<i4").tolist() == list(range(6))


@pytest.mark.parametrize("value", [np.int32(7), np.float64(2.5), np.datetime64("2001-01-01", "ns"), "text"])
def test_a_loaded_scalar_has_no_dimension(value: object) -> None:
    metadata, chunks, _ = encode_values("crs", xr.Variable((), value))
    assert (metadata.shape, metadata.chunk_shape, list(chunks)) == ((), (), [0])


def test_times_of_a_file_that_names_no_calendar_keep_their_numbers() -> None:
    numbers = np.array([730000.0, 730001.0])
    raw = xr.Variable(("time",), numbers, {"units": "days since 0001-01-01"})
    decoded = xr.conventions.decode_cf_variable("time", raw)
    assert decoded.dtype.kind == "M"
    metadata, chunks, _ = encode_values("time", decoded)
    # those of virtual bounds stay as they are, and are counted in the same calendar
    assert np.frombuffer(chunks[0], metadata.dtype).tolist() == numbers.tolist()
    assert metadata.attributes["calendar"] == "standard"
