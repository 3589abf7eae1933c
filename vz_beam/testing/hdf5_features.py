"""Small HDF5 files that hold between them every way in which the format keeps things, as h5py writes them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
from h5py import h5d, h5p, h5s, h5t, h5z
from numpy.typing import NDArray

from vz_beam.testing.sample_files import write_daily_files

_MANY = 20
"""Attributes or links of one object beyond which it keeps them in a heap: 8."""


def write_feature_files(folder: Path) -> list[Path]:
    """The files, all in ``folder``, some of which name each other."""
    paths = [
        _plain(folder / "other.h5"),
        _types(folder / "types.h5", libver="earliest"),
        _types(folder / "types_latest.h5", libver="latest"),
        _layouts(folder / "layouts.h5", libver="earliest", userblock_size=512),
        _layouts(folder / "layouts_latest.h5", libver="latest"),
        _filters(folder / "filters.h5"),
        _strings(folder / "strings.h5", libver="earliest"),
        _strings(folder / "strings_latest.h5", libver="latest", track_order=True),
        _references(folder / "references.h5", libver="earliest"),
        _references(folder / "references_latest.h5", libver="latest"),
        _groups(folder / "groups.h5", libver="earliest"),
        _groups(folder / "groups_latest.h5", libver="latest"),
        _elsewhere(folder / "elsewhere.h5"),
    ]
    return paths + write_daily_files(folder, 1)


def _plain(path: Path) -> Path:
    with h5py.File(path, "w") as file:
        file["v"] = np.arange(12.0).reshape(3, 4)
        file["g/w"] = np.arange(4)
    return path


def _types(path: Path, **options: Any) -> Path:
    with h5py.File(path, "w", **options) as file:
        file["big"] = np.arange(3, dtype=">i4")
        file["half"] = np.arange(3, dtype="f2")
        file["compound"] = np.zeros(3, [("x", "i2"), ("y", "f4", (2,))])
        file["gaps"] = np.zeros(2, np.dtype([("a", "i1"), ("b", "f8")], align=True))
        file["complex"] = np.ones(3, "c8")
        file["bool"] = np.array([True, False])
        file["opaque"] = np.zeros(2, "V5")
        file["text"] = np.array([b"ab", b"c"])
        file["array"] = np.zeros(2, "(2,3)i2")
        file.create_dataset("enum", (3,), h5py.enum_dtype({"red": 1, "green": 2}, "u1"))
        file.create_dataset("filled", (4,), "f4", fillvalue=-1.5, chunks=(2,))
        file["named"] = np.dtype([("p", "i4"), ("q", h5py.string_dtype())])
        file.create_dataset("of_named", (2,), file["named"])
        for name in ("compound", "complex", "array"):
            file.attrs[name] = file[name][0]
    return path


def _layouts(path: Path, **options: Any) -> Path:
    with h5py.File(path, "w", **options) as file:
        values = np.arange(24, dtype="i4").reshape(4, 6)
        file["contiguous"] = values
        file.create_dataset("single", data=values, chunks=(4, 6))
        file.create_dataset("single_filtered", data=values, chunks=(4, 6), compression="gzip")
        file.create_dataset("fixed", data=values, chunks=(2, 2))
        file.create_dataset("fixed_filtered", data=values, chunks=(2, 2), compression="gzip")
        file.create_dataset("paged", data=np.arange(1100, dtype="u1"), chunks=(1,))
        file.create_dataset("extensible", data=values, chunks=(2, 2), maxshape=(None, 6))
        file.create_dataset("extensible_long", data=np.arange(90), chunks=(1,), maxshape=(None,), fletcher32=True)
        file.create_dataset("tree", data=values, chunks=(2, 2), maxshape=(None, None))
        file.create_dataset("tree_filtered", data=values, chunks=(1, 1), maxshape=(None, None), shuffle=True)
        file.create_dataset("empty", (100,), "f4", chunks=(10,))
        file.create_dataset("null", dtype="f4", data=h5py.Empty("f4"))
        _low_level(file, "implicit", values, chunks=(2, 2), early=True)
        _low_level(file, "compact", values)
    return path


def _low_level(
    file: h5py.File, name: str, values: NDArray[Any], chunks: tuple[int, ...] = (), early: bool = False, **filters: Any
) -> None:
    """A dataset of what ``create_dataset`` has no words for; compact where it has no chunks."""
    plist = h5p.create(h5p.DATASET_CREATE)
    if chunks:
        plist.set_chunk(chunks)
    else:
        plist.set_layout(h5d.COMPACT)
    if early:
        plist.set_alloc_time(h5d.ALLOC_TIME_EARLY)
    for code in filters.values():
        plist.set_filter(code)
    kind = h5t.py_create(values.dtype, logical=True)
    did = h5d.create(file.id, name.encode(), kind, h5s.create_simple(values.shape), plist)
    h5py.Dataset(did)[...] = values


def _filters(path: Path) -> Path:
    with h5py.File(path, "w") as file:
        values = np.arange(36, dtype="i4").reshape(6, 6)
        file.create_dataset("gzip", data=values, chunks=(4, 4), compression="gzip", shuffle=True, fletcher32=True)
        file.create_dataset("lzf", data=values, chunks=(4, 4), compression="lzf")
        file.create_dataset("scaleoffset", data=values, chunks=(4, 4), scaleoffset=0)
        file.create_dataset("scaleoffset_float", data=values / 7, chunks=(4, 4), scaleoffset=2)
        _low_level(file, "nbit", values, chunks=(4, 4), filter=h5z.FILTER_NBIT)
        if h5z.filter_avail(h5z.FILTER_SZIP):
            file.create_dataset("szip", data=values, chunks=(4, 4), compression="szip")
        skipping = file.create_dataset("skipping", data=values, chunks=(3, 3), compression="gzip")
        skipping.id.write_direct_chunk((0, 0), values[:3, :3].tobytes(), filter_mask=1)
    return path


def _strings(path: Path, **options: Any) -> Path:
    words = ["one", "", "three" * 20]
    with h5py.File(path, "w", **options) as file:
        file["contiguous"] = words
        file.create_dataset("chunked", data=words, chunks=(2,), compression="gzip")
        file.create_dataset("filled", (3,), h5py.string_dtype(), fillvalue="none", chunks=(2,))
        _low_level(file, "compact", np.array(words, h5py.string_dtype()))
        file.create_dataset("lists", (2,), h5py.vlen_dtype("i4"))[0] = [1, 2, 3]
        for name, item in {"words": words, "word": "two", "number": 3.5}.items():
            file.attrs[name] = item
        file["contiguous"].attrs.create("lists", np.array([[1, 2], [3, 4]], "i4"))
        lists: NDArray[Any] = np.empty(2, object)
        lists[:] = [np.arange(2), np.arange(3)]
        file.attrs.create("ragged", lists, dtype=h5py.vlen_dtype("i8"))
        pair = np.array([(1, "a")], [("n", "i4"), ("s", h5py.string_dtype())])
        file.attrs.create("pairs", pair)
        file["kind"] = np.dtype([("n", "i4"), ("s", h5py.string_dtype())])
        file.attrs.create("named", pair, dtype=file["kind"])
        for number in range(_MANY):
            file["chunked"].attrs[f"a{number}"] = f"{number} " * number
    return path


def _references(path: Path, **options: Any) -> Path:
    with h5py.File(path, "w", **options) as file:
        for name in ("x", "y"):
            file[name] = np.arange(3)
            file[name].make_scale(name)
        file["v"] = np.zeros((3, 3))
        for axis, name in enumerate(("x", "y")):
            file["v"].dims[axis].attach_scale(file[name])
        file["v"].dims[0].attach_scale(file["y"])
        file.attrs["object"] = file["v"].ref
        file.attrs["region"] = file["v"].regionref[0:2, 1]
        file.create_dataset("objects", (2,), h5py.ref_dtype)[0] = file["v"].ref
        file.create_dataset("regions", (2,), h5py.regionref_dtype)[0] = file["v"].regionref[1:3]
    return path


def _groups(path: Path, **options: Any) -> Path:
    with h5py.File(path, "w", **options) as file:
        file["g/h/v"] = np.arange(3)
        file["g/hard"] = file["g/h/v"]
        file["soft"] = h5py.SoftLink("/g/h/v")
        file["round"] = h5py.SoftLink("/g")
        file["g/above"] = file["/"]
        many = file.create_group("many", track_order=True)
        for number in range(_MANY):
            many.create_dataset(f"d{number}", (), "i1")
        few = file.create_group("few", track_order=True)
        few["a"] = 1
        del many["d3"], few["a"]
    return path


def _elsewhere(path: Path) -> Path:
    with h5py.File(path, "w", libver="latest") as file:
        file["link"] = h5py.ExternalLink("other.h5", "/g")
        file["dangling"] = h5py.ExternalLink("absent.h5", "/v")
        file.create_dataset("raw", (4,), "f8", external=[("other.h5", 2048, 32)])
        layout = h5py.VirtualLayout((6, 4), "f8")
        layout[:3] = h5py.VirtualSource("other.h5", "v", (3, 4))
        layout[3:] = h5py.VirtualSource(".", "own", (3, 4))
        file["own"] = np.ones((3, 4))
        file.create_virtual_dataset("virtual", layout, fillvalue=-1)
    return path
