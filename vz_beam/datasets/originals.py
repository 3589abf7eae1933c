"""The values of archival files by the libraries of their formats, which know nothing of references."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np

from vz_beam.codecs.grib import ECCODES_LOCK
from vz_beam.errors import InputError, VzBeamError
from vz_beam.storage.byte_source import ByteSource
from vz_beam.storage.source_file import SourceFile
from vz_beam.storage.urls import local_path_of

_NO_VALUE = 1e34
"""Stands for points of GRIB without a value."""


class Place(NamedTuple):
    """A chunk as a parser sees it.

    Args:
        path: of the array in the file.
        region: of the array.
        start: of the chunk in the file, bytes.
        nbytes: of the chunk in the file.
        field: of a message that has several, from 0.
        what: of a message, such as its values or latitudes.
    """

    path: str
    region: tuple[slice, ...]
    start: int
    nbytes: int
    field: int = 0
    what: str = "values"


class Original(Protocol):
    """A file that is open in the library of its format."""

    def __call__(self, place: Place) -> Any:
        """The values of a chunk, neither masked nor scaled but where a codec of the references does so."""


def open_original(format: str, source: ByteSource, stack: ExitStack) -> Original:
    """The file ``source`` in the library of its format, open as long as ``stack``.

    Args:
        format: name of the parser that knows the file.
        source: of the file.
        stack: closes what is opened.

    Raises:
        InputError: a format without such a library here.
    """
    if format not in _OPENERS:
        raise InputError(f"nothing reads {format} here but vz_beam itself")
    try:
        return _OPENERS[format](source, stack)
    except ImportError as error:
        raise InputError(f"{format} would be read by {error.name}, which is not installed") from None
    except VzBeamError:
        raise
    except Exception as error:
        raise InputError(f"the library of {format} cannot open it: {type(error).__name__}: {error}") from error


def _file(source: ByteSource) -> Any:
    return source.local_path or SourceFile(source)


def _hdf5(source: ByteSource, stack: ExitStack) -> Original:
    h5py = importlib.import_module("h5py")
    file = stack.enter_context(h5py.File(_file(source), "r"))
    return lambda place: file[place.path][place.region]


def _netcdf3(source: ByteSource, stack: ExitStack) -> Original:
    library = importlib.import_module("netCDF4")
    memory = None if source.local_path else source.read(0, source.size())
    file = stack.enter_context(library.Dataset(source.local_path or source.url, memory=memory))
    file.set_auto_maskandscale(False)
    file.set_auto_chartostring(False)
    return lambda place: file[place.path][place.region or ...]


def _tiff(source: ByteSource, stack: ExitStack) -> Original:
    library = importlib.import_module("tifffile")
    file = stack.enter_context(library.TiffFile(_file(source)))

    def read(place: Place) -> Any:
        page = next(page for page in file.pages if place.start in page.dataoffsets)
        image = page.asarray()
        return image[place.region[len(place.region) - image.ndim :]]

    return read


def _fits(source: ByteSource, stack: ExitStack) -> Original:
    library = importlib.import_module("astropy.io.fits")
    file = stack.enter_context(library.open(_file(source), memmap=False, lazy_load_hdus=False))

    def read(place: Place) -> Any:
        for hdu in file:
            about = hdu.fileinfo()
            if about["datLoc"] <= place.start < about["datLoc"] + about["datSpan"]:
                data = hdu.data
                name = place.path.rpartition("/")[2]
                return (data if data.dtype.names is None else data[name])[place.region]
        raise InputError(f"astropy has no data at byte {place.start}")

    return read


def _grib(source: ByteSource, stack: ExitStack) -> Original:
    eccodes = importlib.import_module("eccodes")
    if source.local_path is None:
        raise InputError("ecCodes reads local files only")
    file = Path(source.local_path).open("rb")  # noqa: SIM115  # the stack closes it
    stack.callback(file.close)

    def read(place: Place) -> Any:
        with ECCODES_LOCK:
            file.seek(place.start)
            eccodes.codes_grib_multi_support_on()
            try:
                for _ in range(place.field):
                    eccodes.codes_release(eccodes.codes_grib_new_from_file(file))
                handle = eccodes.codes_grib_new_from_file(file)
                try:
                    eccodes.codes_set(handle, "missingValue", _NO_VALUE)
                    values = eccodes.codes_get_array(handle, place.what)
                    return np.where(values == _NO_VALUE, np.nan, values)
                finally:
                    eccodes.codes_release(handle)
            finally:
                eccodes.codes_grib_multi_support_off()
                eccodes.codes_grib_multi_support_reset_file(file)

    return read


def _hdf4(source: ByteSource, stack: ExitStack) -> Original:
    library = importlib.import_module("pyhdf.SD")
    if source.local_path is None:
        raise InputError("pyhdf reads local files only")
    file = library.SD(source.local_path, library.SDC.READ)
    stack.callback(file.end)

    def read(place: Place) -> Any:
        name = place.path.rpartition("/")[2]
        if sum(file.select(number).info()[0] == name for number in range(file.info()[0])) != 1:
            raise InputError(f"pyhdf finds data sets by name, and not one alone is called {name!r}")
        data = file.select(name)
        try:
            return np.asarray(data.get())[place.region]
        finally:
            data.endaccess()

    return read


def _zarr(source: ByteSource, stack: ExitStack) -> Original:
    library = importlib.import_module("zarr")
    path = local_path_of(source.url)
    if path is None:
        raise InputError("zarr reads local stores only here")
    root = library.open_group(path, mode="r")
    return lambda place: root[place.path][place.region]


_OPENERS: dict[str, Callable[[ByteSource, ExitStack], Original]] = {
    "hdf5": _hdf5,
    "netcdf3": _netcdf3,
    "tiff": _tiff,
    "fits": _fits,
    "grib": _grib,
    "hdf4": _hdf4,
    "zarr": _zarr,
}
