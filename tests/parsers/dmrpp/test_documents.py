"""What DMR++ documents say in odd ways: right values, or a variable and the reason."""

from __future__ import annotations

import base64
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

import vz_beam
from tests.parsers.dmrpp.documents import HEAD, describe, document
from vz_beam.errors import FormatError, InputError, SourceNotFoundError, TruncatedFileError, UnsupportedError
from vz_beam.manifests.group import ManifestGroup
from vz_beam.parsers.dmrpp import DMRPPParser
from vz_beam.storage.array_values import read_values
from vz_beam.storage.byte_source import open_source
from vz_beam.storage.source_pool import SourcePool

PLAIN = np.arange(16, dtype="<i4").reshape(4, 4)
DIMS = '<Dim size="4"/><Dim size="4"/>'


def write(folder: Path, body: str, data: bytes = PLAIN.tobytes(), name: str = "data.h5") -> str:
    (folder / name).write_bytes(data)
    (folder / "data.h5.dmrpp").write_text(document(body, f"data/{name}"))
    return str(folder / "data.h5.dmrpp")


def parse(path: str, **words: Any) -> ManifestGroup:
    return DMRPPParser(**words).parse(open_source(path))


def values(group: ManifestGroup, name: str) -> Any:
    with SourcePool() as pool:
        return read_values({name: group.arrays[name]}, pool)[name]


def variable(inner: str, kind: str = "Int32", more: str = "") -> str:
    return f'<{kind} name="v" {more}>{inner}</{kind}>'


def chunks(places: str, **words: str) -> str:
    said = " ".join(f'{key}="{value}"' for key, value in words.items())
    return f"{DIMS}<dmrpp:chunks {said}>{places}</dmrpp:chunks>"


ONE = '<dmrpp:chunk offset="0" nBytes="64"/>'


def test_byte_order_is_honoured(tmp_path: Path) -> None:
    path = write(tmp_path, variable(chunks(ONE, byteOrder="BE")), PLAIN.astype(">i4").tobytes())
    np.testing.assert_array_equal(values(parse(path), "v"), PLAIN)
    path = write(tmp_path, variable(chunks(ONE, byteOrder="middle")))
    with pytest.raises(UnsupportedError, match=r"v: its byte order is 'middle'"):
        parse(path)


@pytest.mark.parametrize(
    "order", ["shuffle deflate", "deflate fletcher32", "fletcher32 shuffle deflate", "deflate deflate"]
)
def test_filters_stand_in_the_order_in_which_they_were_used(order: str, tmp_path: Path) -> None:
    from numcodecs import Fletcher32, Shuffle, Zlib

    data: Any = PLAIN.tobytes()
    for word in order.split():
        if word == "shuffle":
            whole = len(data) // 4 * 4
            data = bytes(np.asarray(Shuffle(4).encode(data[:whole])).tobytes()) + data[whole:]
        else:
            data = bytes({"deflate": Zlib(6), "fletcher32": Fletcher32()}[word].encode(data))
    place = f'<dmrpp:chunk offset="3" nBytes="{len(data)}"/>'
    path = write(tmp_path, variable(chunks(place, compressionType=order)), b"xyz" + data)
    np.testing.assert_array_equal(values(parse(path), "v"), PLAIN)


@pytest.mark.parametrize("word", ["szip", "lzf", "n-bit"])
def test_a_filter_of_which_the_document_says_too_little_is_refused_by_name(word: str, tmp_path: Path) -> None:
    path = write(tmp_path, variable(chunks(ONE, compressionType=f"shuffle {word}")))
    with pytest.raises(UnsupportedError, match=f"v: it is compressed by '{word}'"):
        parse(path)


def _tiles(*skipped: int, href: str = "") -> str:
    places = [
        f'<dmrpp:chunk offset="{16 * number}" nBytes="16" '
        f'chunkPositionInArray="[{2 * (number // 2)},{2 * (number % 2)}]" '
        f"{href if number == 3 else ''}/>"
        for number in range(4)
        if number not in skipped
    ]
    return "<dmrpp:chunkDimensionSizes>2 2</dmrpp:chunkDimensionSizes>" + "".join(places)


TILED = PLAIN.reshape(2, 2, 2, 2).transpose(0, 2, 1, 3)


@pytest.mark.parametrize("lost", [0, 3])
def test_a_missing_chunk_reads_as_the_fill_value_wherever_it_is(lost: int, tmp_path: Path) -> None:
    path = write(tmp_path, variable(chunks(_tiles(lost), fillValue="-9")), TILED.tobytes())
    expected = PLAIN.copy()
    expected[2 * (lost // 2) :, 2 * (lost % 2) :][:2, :2] = -9
    np.testing.assert_array_equal(values(parse(path), "v"), expected)
    path = write(tmp_path, variable(chunks(_tiles(lost))), TILED.tobytes())
    with pytest.raises(UnsupportedError, match="3 of its 4 chunks are somewhere, and no fill value is said"):
        parse(path)


def test_a_chunk_may_lie_in_another_file(tmp_path: Path) -> None:
    (tmp_path / "other.bin").write_bytes(bytes(48) + TILED.tobytes()[48:])
    path = write(
        tmp_path, variable(chunks(_tiles(href='href="some/where/other.bin"'))), TILED.tobytes()[:48] + bytes(16)
    )
    group = parse(path)
    np.testing.assert_array_equal(values(group, "v"), PLAIN)
    assert len(group.arrays["v"].manifest.locations) == 2
    (tmp_path / "other.bin").unlink()
    with pytest.raises(UnsupportedError, match=r"v: .*other\.bin.*data_url"):
        parse(path)


def test_a_scalar_with_a_chunk_is_read(tmp_path: Path) -> None:
    body = '<Float64 name="v"><dmrpp:chunks><dmrpp:chunk offset="1" nBytes="8"/></dmrpp:chunks></Float64>'
    assert values(parse(write(tmp_path, body, b"x" + np.float64(2.5).tobytes())), "v") == 2.5


def test_values_in_the_document_are_read(tmp_path: Path) -> None:
    text = base64.b64encode(PLAIN.tobytes()).decode()
    packed = base64.b64encode(zlib.compress(PLAIN.tobytes())).decode()
    for inner in (f"<dmrpp:compact>{text}</dmrpp:compact>", f"<dmrpp:missingdata>{packed}</dmrpp:missingdata>"):
        np.testing.assert_array_equal(values(parse(write(tmp_path, variable(DIMS + inner))), "v"), PLAIN)
    path = write(tmp_path, variable(f"{DIMS}<dmrpp:compact>{text[:8]}</dmrpp:compact>"))
    with pytest.raises(UnsupportedError, match="have 6 bytes, and should have 64"):
        parse(path)


def test_strings_are_read_where_the_document_has_them_and_refused_elsewhere(tmp_path: Path) -> None:
    long = base64.b64encode(zlib.compress(b"long " * 99)).decode()
    packed = f'<v s="{5 * 99}">{long}</v>'
    body = f'<String name="v"><Dim size="4"/><dmrpp:vlsa><v>a&lt;</v><v c="2">\u00e9</v>{packed}</dmrpp:vlsa></String>'
    (tmp_path / "data.h5").write_bytes(b"")
    (tmp_path / "data.h5.dmrpp").write_text(document(body), encoding="latin-1")
    group = parse(str(tmp_path / "data.h5.dmrpp"))
    assert values(group, "v").tolist() == ["a<", "\u00e9", "\u00e9", "long " * 99]
    scalar = '<String name="v"><dmrpp:compact>QW4gZQ==</dmrpp:compact></String>'
    assert values(parse(write(tmp_path, scalar)), "v").item() == "An e"
    fixed = (
        '<String name="v"><Dim size="2"/><dmrpp:chunks><dmrpp:chunk offset="0" nBytes="6"/></dmrpp:chunks>'
        '<dmrpp:FixedLengthStringArray string_length="3" pad="null_pad"/></String>'
    )
    assert values(parse(write(tmp_path, fixed, b"ab\0cde")), "v").tolist() == [b"ab", b"cde"]
    for odd, words in (
        (fixed.replace("null_pad", "space_pad"), "padded with spaces"),
        ('<String name="v"><Dim size="2"/><dmrpp:chunks fillValue=""/></String>', "strings of variable length"),
        (body.replace('c="2"', 'c="1"'), "has 3 of its 4 texts"),
    ):
        (tmp_path / "data.h5.dmrpp").write_text(document(odd), encoding="latin-1")
        with pytest.raises(UnsupportedError, match=words):
            parse(str(tmp_path / "data.h5.dmrpp"))


def test_enumerations_and_characters_are_numbers_and_bytes(tmp_path: Path) -> None:
    body = (
        '<Enumeration name="E" basetype="UInt16"><EnumConst name="A" value="0"/></Enumeration>'
        '<Enum name="v" enum="/E"><Dim size="2"/><dmrpp:chunks><dmrpp:chunk offset="0" nBytes="4"/></dmrpp:chunks>'
        "</Enum>"
        '<Char name="c"><Dim size="2"/><dmrpp:chunks><dmrpp:chunk offset="4" nBytes="2"/></dmrpp:chunks></Char>'
    )
    group = parse(write(tmp_path, body, b"\x01\x00\x02\x01ab"))
    assert values(group, "v").tolist() == [1, 258]
    assert values(group, "c").tolist() == [b"a", b"b"]


def test_dimensions_have_the_names_of_the_document_and_none_twice(tmp_path: Path) -> None:
    body = (
        '<Dimension name="x" size="4"/><Group name="g"><Dimension name="x" size="4"/>'
        f'<Int32 name="v"><Dim name="/x"/><Dim name="/g/x"/><dmrpp:chunks>{ONE}</dmrpp:chunks></Int32>'
        f'<Int32 name="w"><Dim name="/g/x"/><Dim name="/g/x"/><dmrpp:chunks>{ONE}</dmrpp:chunks></Int32>'
        f'<Int32 name="u">{DIMS}<dmrpp:chunks>{ONE}</dmrpp:chunks></Int32></Group>'
    )
    group = parse(write(tmp_path, body)).groups["g"]
    names = {name: array.metadata.dimension_names for name, array in group.arrays.items()}
    assert names == {"v": ("x", "x_2"), "w": ("x", "x_2"), "u": ("phony_dim_0", "phony_dim_1")}
    for name in names:
        np.testing.assert_array_equal(values(group, name), PLAIN)


def test_attributes_keep_their_types_and_containers_their_names(tmp_path: Path) -> None:
    body = (
        '<Attribute name="build_dmrpp_metadata" type="Container"><Attribute name="a" type="String"/></Attribute>'
        '<Attribute name="box" type="Container"><Attribute name="n" type="Int16"><Value>3</Value><Value>4</Value>'
        '</Attribute></Attribute><Attribute name="t" type="String"><Value>x &amp; y</Value></Attribute>'
        + variable(
            '<Attribute name="_FillValue" type="Float32"><Value>9.96921e+36</Value></Attribute>'
            f"{DIMS}<dmrpp:chunks fillValue='9.96921e+36'/>",
            "Float32",
        )
    )
    group = parse(write(tmp_path, body))
    assert group.attributes == {"box.n": [3, 4], "t": "x & y"}
    assert values(group, "v")[0, 0] == np.float32(9.969209968386869e36)
    with xr.open_dataset(str(tmp_path / "data.h5.dmrpp"), engine="vz_beam") as dataset:
        assert np.isnan(dataset["v"].values).all()


def test_maps_are_coordinates(tmp_path: Path) -> None:
    inner = f"{DIMS}<dmrpp:chunks>{ONE}</dmrpp:chunks>"
    body = f'<Int32 name="lat">{inner}</Int32>' + variable(f'{inner}<Map name="/lat"/>')
    assert set(vz_beam.open_virtual_dataset(write(tmp_path, body), parser=DMRPPParser()).coords) == {"lat"}


@pytest.mark.parametrize(
    ("inner", "words"),
    [
        (chunks('<dmrpp:chunk offset="1" nBytes="64"/>'), r"ends at byte 65 of .*data\.h5, which has 64 bytes"),
        (chunks('<dmrpp:chunk offset="0" nBytes="60"/>'), "a chunk has 60 bytes, and 64 is the size"),
        (chunks(_tiles().replace("[0,2]", "[0,1]")), "does not begin where chunks"),
        (chunks(_tiles().replace("[0,2]", "[0,8]")), "or is outside"),
        (chunks(_tiles().replace("[0,2]", "[0,0]")), "two of its chunks have one position"),
        (chunks(_tiles().replace("[0,2]", "[0]")), "are not 2 numbers each"),
        (chunks(_tiles().replace("2 2", "2 2 2")), "its chunks have the shape '2 2 2'"),
        (chunks(ONE + ONE), "have no shape in the document"),
        (chunks('<dmrpp:block offset="0" nBytes="64"/>'), "in 1 blocks"),
        (chunks(ONE.replace("/>", ' filterMask="1"/>')), "left out a filter"),
        (DIMS, "does not say where its values are"),
        ('<Dim name="/nowhere"/>', "its dimension '/nowhere' is not declared"),
        (chunks("", fillValue="many"), "its fill value is 'many'"),
    ],
)
def test_what_cannot_be_is_refused_by_variable(inner: str, words: str, tmp_path: Path) -> None:
    path = write(tmp_path, variable(inner) + f'<Int32 name="w">{chunks(ONE)}</Int32>')
    with pytest.raises(UnsupportedError, match=f"v: .*{words}"):
        parse(path)
    group = parse(path, unsupported="skip")
    assert list(group.skipped) == ["v"]
    np.testing.assert_array_equal(values(group, "w"), PLAIN)
    assert list(parse(path, drop_variables=["v"]).arrays) == ["w"]


def test_structures_are_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedError, match="v: its type is Structure"):
        parse(write(tmp_path, variable('<Int32 name="a"/>', "Structure")))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("<Dataset", "no DMR"),
        ("<html></html>", "its root is 'html'"),
        ('<!DOCTYPE a [<!ENTITY b "c">]><Dataset/>', "document type"),
        (
            HEAD + '><Int32 name="v"><chunks><chunk offset="x" nBytes="2"/></chunks></Int32></Dataset>',
            "not where it is",
        ),
        (HEAD + '><Dimension name="x" size="-1"/></Dataset>', "no size"),
        (HEAD + '><Int32 name="../v"/></Dataset>', "no name of a variable"),
        (HEAD + ">" + "<Group name='g'>" * 101 + "</Group>" * 101 + "</Dataset>", "100 deep"),
    ],
)
def test_no_document_is_refused_with_its_url(text: str, words: str, tmp_path: Path) -> None:
    (tmp_path / "a.dmrpp").write_text(text)
    with pytest.raises(FormatError, match=rf"(?s)a\.dmrpp.*{words}"):
        parse(str(tmp_path / "a.dmrpp"))


def test_the_file_is_where_the_document_or_the_caller_says(tmp_path: Path) -> None:
    path = write(tmp_path, variable(chunks(ONE)))
    remote = "https://host.example/a b.h5"
    text = Path(path).read_text()
    Path(path).write_text(text.replace("data/data.h5", remote))
    assert parse(path).arrays["v"].manifest.locations == ("https://host.example/a%20b.h5",)
    moved = tmp_path / "moved"
    moved.mkdir()
    (moved / "doc.dmrpp").write_text(text)
    with pytest.raises(SourceNotFoundError, match=r"'data/data\.h5'.*\['doc', 'data\.h5', 'data/data\.h5'\]"):
        parse(str(moved / "doc.dmrpp"))
    for given in (str(tmp_path / "data.h5"), {"data/data.h5": str(tmp_path / "data.h5")}):
        np.testing.assert_array_equal(values(parse(str(moved / "doc.dmrpp"), data_url=given), "v"), PLAIN)


def test_groups_are_taken_by_path(tmp_path: Path) -> None:
    import h5py

    with h5py.File(tmp_path / "g.h5", "w") as file:
        file["a/b/v"] = np.arange(3)
        file["a/w"] = np.arange(2)
        file["u"] = 1.0
    path = str(describe(tmp_path / "g.h5"))
    assert list(parse(path, group="a").arrays) == ["w"]
    assert list(parse(path, group="/a/b/").arrays) == ["v"]
    assert list(parse(path, drop_variables=["a/b"]).groups["a"].groups) == []
    with pytest.raises(InputError, match=r"no group 'c'; its groups are \['a', 'a/b'\]"):
        parse(path, group="c")
    with xr.open_datatree(path, engine="vz_beam") as tree:
        np.testing.assert_array_equal(tree["a/b/v"].values, np.arange(3))


def test_an_empty_document_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.dmrpp").write_text("")
    with pytest.raises((FormatError, TruncatedFileError), match=r"a\.dmrpp"):
        parse(str(tmp_path / "a.dmrpp"))
