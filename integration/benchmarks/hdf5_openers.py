"""How each tool opens an HDF5 file: run by the interpreter that has the tool, asked by lines, answering by lines.

A question is a JSON list, ``[tool, url]``; the answer is ``{"seconds": ..., "chunks": ..., ...}``. The process lives
through all rounds, so that imports, and what a tool keeps from one file to the next, are paid for once.
"""

from __future__ import annotations

import asyncio
import gc
import hashlib
import json
import os
import sys
import time
import warnings
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit


def vz_beam_opens(url: str) -> int:
    import vz_beam

    dataset = vz_beam.open_virtual_dataset(url)
    return sum(_grid_size(variable.data) for variable in dataset.variables.values())


def virtualizarr_opens(url: str) -> int:
    from obspec_utils.registry import ObjectStoreRegistry
    from obstore.store import HTTPStore, LocalStore
    from virtualizarr import open_virtual_dataset
    from virtualizarr.parsers import HDFParser

    if url.startswith("http"):
        parts = urlsplit(url)
        base = f"{parts.scheme}://{parts.netloc}"
        registry = ObjectStoreRegistry({base: HTTPStore.from_url(base, client_options={"allow_http": True})})
    else:
        url, registry = f"file://{url}", ObjectStoreRegistry({"file://": LocalStore()})
    dataset = open_virtual_dataset(url, registry=registry, parser=HDFParser())
    return sum(_grid_size(variable.data) for variable in dataset.variables.values())


def kerchunk_opens(url: str) -> int:
    from kerchunk.hdf import SingleHdf5ToZarr

    references = SingleHdf5ToZarr(url, inline_threshold=0).translate()["refs"]
    return sum(isinstance(reference, list) for reference in references.values())


def h5py_iterates(url: str) -> int:
    """The chunks alone, one Python object each: nothing of dimensions, attributes or filters."""
    import h5py

    rows: list[Any] = []
    with h5py.File(url) as file:
        for dataset in file.values():
            if dataset.chunks:
                dataset.id.chunk_iter(rows.append)
    return len(rows)


def h5py_touches(url: str) -> int:
    """The same metadata that a parser needs, and the values of the dimension coordinates."""
    import h5py

    count = 0
    with h5py.File(url) as file:
        dict(file.attrs)
        for dataset in file.values():
            _ = (dataset.shape, dataset.dtype, dataset.chunks, dataset.fillvalue)
            plist = dataset.id.get_create_plist()
            [plist.get_filter(number) for number in range(plist.get_nfilters())]
            {name: dataset.attrs[name] for name in dataset.attrs if name not in ("DIMENSION_LIST", "REFERENCE_LIST")}
            [dict(dimension.items()) for dimension in dataset.dims]
            if dataset.is_scale:
                dataset[()]
            if dataset.chunks:
                rows: list[Any] = []
                dataset.id.chunk_iter(rows.append)
                count += len(rows)
    return count


def async_hdf5_opens(url: str) -> int:
    """The index of ``v`` alone; it has no way to hand over the whole of it."""
    from async_hdf5 import HDF5File
    from obstore.store import LocalStore

    async def opened() -> int:
        file = await HDF5File.open(url.lstrip("/"), store=LocalStore("/"))
        index = await (await (await file.root_group()).dataset("v")).chunk_index()
        return _product(index.grid_shape)

    return asyncio.run(opened())


OPENERS: dict[str, Callable[[str], int]] = {
    "vz_beam": vz_beam_opens,
    "VirtualiZarr": virtualizarr_opens,
    "kerchunk": kerchunk_opens,
    "h5py chunk_iter": h5py_iterates,
    "h5py metadata": h5py_touches,
    "async-hdf5": async_hdf5_opens,
}


def vz_beam_places(url: str) -> dict[str, Any]:
    """A digest of where our references of ``v`` lead, in the order of the grid."""
    import vz_beam

    manifest = vz_beam.open_virtual_dataset(url)["v"].data.manifest
    return _digest(manifest.offsets, manifest.lengths)


def h5py_places(url: str) -> dict[str, Any]:
    """The same from libhdf5."""
    import h5py
    import numpy as np

    with h5py.File(url) as file:
        dataset = file["v"]
        rows: list[Any] = []
        dataset.id.chunk_iter(rows.append)
        grid_shape = [-(-length // chunk) for length, chunk in zip(dataset.shape, dataset.chunks, strict=True)]
        offsets, lengths = np.zeros(grid_shape, "u8"), np.zeros(grid_shape, "u8")
        places = tuple((np.array([row.chunk_offset for row in rows]) // dataset.chunks).T)
        offsets[places] = [row.byte_offset for row in rows]
        lengths[places] = [row.size for row in rows]
    return _digest(offsets, lengths)


def vz_beam_memory(url: str) -> dict[str, Any]:
    """Bytes that the resident set grows by at its largest while we open ``url``; bytes that we read where it is local.

    libhdf5 reads what it needs by itself, which is not counted.
    """
    import vz_beam
    from vz_beam.storage.local_source import LocalSource

    read, nbytes = LocalSource.read, 0

    def counting(self: LocalSource, start: int, stop: int) -> bytes:
        nonlocal nbytes
        nbytes += stop - start
        return read(self, start, stop)

    LocalSource.read = counting  # type: ignore[method-assign]
    with open("/proc/self/clear_refs", "w") as file:
        file.write("5")  # the peak begins anew
    before = _status_bytes("VmRSS")
    dataset = vz_beam.open_virtual_dataset(url)
    peak = _status_bytes("VmHWM") - before
    LocalSource.read = read  # type: ignore[method-assign]
    return {"peak_bytes": peak, "read_bytes": nbytes, "chunks": dataset["v"].data.manifest.offsets.size}


QUESTIONS: dict[str, Callable[[str], dict[str, Any]]] = {
    "vz_beam places": vz_beam_places,
    "h5py places": h5py_places,
    "vz_beam memory": vz_beam_memory,
}


def main() -> None:
    """Answers until there is no more question."""
    warnings.simplefilter("ignore")
    answers = os.fdopen(os.dup(1), "w")  # what a tool prints goes nowhere
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    for line in sys.stdin:
        tool, url = json.loads(line)
        gc.collect()
        if tool in QUESTIONS:
            answer = QUESTIONS[tool](url)
        else:
            start = time.perf_counter()
            chunks = OPENERS[tool](url)
            answer = {"seconds": time.perf_counter() - start, "chunks": chunks}
        print(json.dumps(answer), file=answers, flush=True)


def _grid_size(data: Any) -> int:
    manifest = getattr(data, "manifest", None)
    return 0 if manifest is None else _product(manifest.shape_chunk_grid)


def _product(lengths: Any) -> int:
    size = 1
    for length in lengths:
        size *= int(length)
    return size


def _digest(offsets: Any, lengths: Any) -> dict[str, Any]:
    digest = hashlib.sha256(offsets.astype("<u8").tobytes() + lengths.astype("<u8").tobytes())
    return {"digest": digest.hexdigest()}


def _status_bytes(key: str) -> int:
    with open("/proc/self/status") as file:
        line = next(line for line in file if line.startswith(key + ":"))
    return int(line.split()[1]) * 1024


if __name__ == "__main__":
    main()
