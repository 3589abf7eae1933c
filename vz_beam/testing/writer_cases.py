"""Stores that have been written wrongly somewhere, each with the values that must be read back."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import product

import numpy as np

from vz_beam.manifests.metadata import Codec
from vz_beam.testing.raw_store import RawStore

Case = Callable[[RawStore], None]

_DEFLATED = (Codec("numcodecs.shuffle", {"elementsize": 4}), Codec("numcodecs.zlib", {"level": 1}))
_NAN = np.nan


def cases() -> dict[str, Case]:
    """Every case by a name that says what is in its store."""
    return {
        **dict(_grids()),
        "compressed": _compressed,
        "big-endian": _big_endian,
        "zeros without a CF fill": _zeros,
        "zeros and a CF fill": _zeros_and_fill,
        "storage fill 7, no CF fill, a chunk never written": _storage_fill,
        "storage fill 0, CF fill -999, a chunk never written": _two_fills,
        "NaN is both fills": _nan_fill,
        "inlined chunk and loaded coordinate": _inlined,
        "everything is inlined": _only_loaded,
        "scalars": _scalars,
        "nested groups": _groups,
        "strings": _strings,
        "characters": _characters,
        "a dimension of length 0": _no_elements,
        "nothing but a dimension of length 0": _only_no_elements,
        "booleans, complex numbers and 64-bit integers": _other_types,
    }


def _grids() -> Iterator[tuple[str, Case]]:
    """Few and many references a URL, a chunk missing or not, record files that end early, exactly, or are many."""
    for count, lost, shard in product((6, 60), (None, "first", "middle", "last"), ("short", "exact", "several")):
        number = {None: None, "first": 0, "middle": count // 2, "last": count - 1}[lost]
        size = {"short": 100, "exact": count, "several": 4}[shard]

        def build(store: RawStore, count: int = count, number: int | None = number, size: int = size) -> None:
            store.chunks_per_shard = size
            values = np.arange(2 * count - 1, dtype="f4") + 1
            decoded = values.copy()
            if number is not None:
                decoded[2 * number : 2 * number + 2] = _NAN
            store.add(
                "v",
                values,
                (2,),
                ("x",),
                missing=None if number is None else {number: -9},
                attributes={"_FillValue": -9.0},
                decoded=decoded,
            )

        yield f"{count} references, {lost or 'no'} chunk missing, {shard} record file", build


def _compressed(store: RawStore) -> None:
    values = np.arange(35, dtype="i4").reshape(5, 7)
    store.add("v", values, (2, 3), ("y", "x"), codecs=_DEFLATED, references_per_url=2)
    store.add("w", values, (2, 3), ("y", "x"), codecs=(*_DEFLATED, Codec("numcodecs.fletcher32")))
    store.add("z", values, (2, 3), ("y", "x"), codecs=(Codec("zstd", {"level": 1, "checksum": False}),))
    blosc = {"typesize": 4, "cname": "lz4", "clevel": 5, "shuffle": "bitshuffle", "blocksize": 0}
    store.add("b", values, (2, 3), ("y", "x"), codecs=(Codec("blosc", blosc),))
    store.add("l", values, (2, 3), ("y", "x"), codecs=(Codec("vz_beam.lzf", {"nbytes": 24}),))


def _big_endian(store: RawStore) -> None:
    store.add("v", np.array([1, 256, -3], "i4"), (2,), ("x",), byte_order="big")
    store.add(
        "w",
        np.array([1.5, -9, 7], "f8"),
        (2,),
        ("x",),
        byte_order="big",
        attributes={"_FillValue": -9.0},
        decoded=[1.5, _NAN, 7],
    )


def _zeros(store: RawStore) -> None:
    store.add("v", np.array([0, 1, 2], "i2"), (2,), ("x",), fill_value=np.int16(0))
    store.add("w", np.array([0, 1, -32767], "i2"), (2,), ("x",), fill_value=np.int16(-32767))


def _zeros_and_fill(store: RawStore) -> None:
    attributes = {"_FillValue": -999, "scale_factor": 0.5}
    decoded = [0, 0.5, _NAN]
    values = np.array([0, 1, -999], "i2")
    store.add("v", values, (2,), ("x",), fill_value=np.int16(0), attributes=attributes, decoded=decoded)
    store.add("w", values, (2,), ("x",), fill_value=np.int16(-32767), attributes=attributes, decoded=decoded)
    unsigned = {"_FillValue": 255, "_Unsigned": "true"}
    store.add("u", np.array([1, -2, -1], "i1"), (2,), ("x",), attributes=unsigned, decoded=[1, 254, _NAN])


def _storage_fill(store: RawStore) -> None:
    for name, codecs in (("v", ()), ("w", _DEFLATED), ("l", (Codec("vz_beam.lzf", {"nbytes": 8}),))):
        values = np.array([1, 2, 3, 4, 5, 6], "i4")
        store.add(name, values, (2,), ("x",), missing={1: 7}, fill_value=np.int32(7), codecs=codecs)
    store.add("t", np.array(["a", "b"]), (1,), ("t",), missing={1: "?"}, serializer=Codec("vlen-utf8"), fill_value="?")


def _two_fills(store: RawStore) -> None:
    for name, order in (("v", "little"), ("w", "big")):
        store.add(
            name,
            np.array([1, 2, 3, 4, -999], "i2"),
            (2,),
            ("x",),
            missing={0: 0},
            fill_value=np.int16(0),
            attributes={"_FillValue": -999},
            byte_order=order,
            decoded=[0, 0, 3, 4, _NAN],
        )


def _nan_fill(store: RawStore) -> None:
    store.add(
        "v",
        np.array([1, 2, 3, 4], "f4"),
        (2,),
        ("x",),
        missing={1: _NAN},
        fill_value=np.float32(_NAN),
        attributes={"_FillValue": _NAN, "valid_max": np.inf},
        decoded=[1, 2, _NAN, _NAN],
    )


def _inlined(store: RawStore) -> None:
    store.chunks_per_shard = 2
    store.add("v", np.arange(10, dtype="f8"), (2,), ("x",), inlined=(0, 3), references_per_url=2)
    store.add("x", np.arange(10, dtype="f8") / 2, (4,), ("x",), loaded=True)


def _only_loaded(store: RawStore) -> None:
    store.add("x", np.arange(10, dtype="f8") / 2, (10,), ("x",), loaded=True)


def _scalars(store: RawStore) -> None:
    store.add("crs", np.array(7, "i4"), (), (), attributes={"grid_mapping_name": "none {{at}} all"})
    store.add("time", np.array(8.5, "f8"), (), (), loaded=True)
    store.add("v", np.arange(3, dtype="i2"), (2,), ("x",))


def _groups(store: RawStore) -> None:
    store.attributes |= {"g": {"units": "kg/m3"}}
    store.add("v", np.arange(3, dtype="i2"), (2,), ("x",))
    store.add("g/w", np.arange(4, dtype="i2"), (2,), ("y",), attributes={"units": "kg/m3"})
    store.add("g/deep/z", np.arange(5, dtype="i2"), (2,), ("z",), missing={2: 0})


def _strings(store: RawStore) -> None:
    values = np.array(["", "a", "é\u2028", "longer than the others"])
    store.add("v", values, (3,), ("x",), serializer=Codec("vlen-utf8"), loaded=True)
    deflated = (Codec("numcodecs.zlib", {"level": 1}),)
    store.add("w", values, (3,), ("x",), serializer=Codec("vlen-utf8"), codecs=deflated)
    store.add("u", np.array(["ab", "é"]), (1,), ("u",))


def _characters(store: RawStore) -> None:
    letters = np.array([list("ab"), list("cd"), list("e\0")], "S1")
    store.add(
        "name",
        letters,
        (2, 2),
        ("n", "length"),
        fill_value=np.bytes_(b""),
        byte_order=None,
        decoded=[b"ab", b"cd", b"e"],
    )


def _no_elements(store: RawStore) -> None:
    store.add("v", np.zeros((0, 3), "f4"), (1, 3), ("time", "x"))
    store.add("x", np.arange(3, dtype="i2"), (2,), ("x",))


def _only_no_elements(store: RawStore) -> None:
    store.add("v", np.zeros((0, 3), "f4"), (1, 3), ("time", "x"))


def _other_types(store: RawStore) -> None:
    store.add("b", np.array([True, False, True]), (2,), ("x",), byte_order=None)
    store.add("c", np.array([1 + 2j, -3j, 0], "c8"), (2,), ("x",))
    store.add("u", np.array([2**64 - 1, 0, 1], "u8"), (2,), ("x",))
    store.add("i", np.array([-(2**63), 0, 1], "i8"), (2,), ("x",), missing={1: 0})
