"""A DMR++ document as a tree of elements, with chunks in columns.

Source: as of :mod:`vz_beam.parsers.dmrpp.parser`.
"""

from __future__ import annotations

from array import array
from dataclasses import dataclass, field
from xml.parsers import expat

from vz_beam.errors import FormatError

MOST_BYTES = 2**28
"""Of a document, which is held in memory: 256 MiB say some two million chunks."""
_MOST_DEPTH = 100
_CHUNK = "chunk"
_PLACES = ("offset", "nBytes")


@dataclass(slots=True)
class Chunks:
    """The chunks of one element ``chunks``, in its order.

    ``offsets`` and ``lengths`` are bytes. ``positions`` are texts such as ``"[0,50]"``, empty where a chunk has none.
    ``hrefs`` are those chunks that lie in another file, by number; ``odd`` those with a filter mask.
    """

    offsets: array[int] = field(default_factory=lambda: array("Q"))
    lengths: array[int] = field(default_factory=lambda: array("Q"))
    positions: list[str] = field(default_factory=list)
    hrefs: dict[int, str] = field(default_factory=dict)
    odd: list[int] = field(default_factory=list)

    def add(self, words: dict[str, str]) -> None:
        """Take in one chunk.

        Raises:
            FormatError: it does not say where it is.
        """
        try:
            offset, length = (int(words[name]) for name in _PLACES)
            self.offsets.append(offset)
            self.lengths.append(length)
        except (KeyError, ValueError, OverflowError):
            raise FormatError(f"a chunk says {words}, and not where it is: numbers 'offset' and 'nBytes'") from None
        number = len(self.positions)
        self.positions.append(words.get("chunkPositionInArray", ""))
        if href := words.get("href"):
            self.hrefs[number] = href
        if words.get("filterMask", words.get("fm", "0")) not in ("0", ""):
            self.odd.append(number)


@dataclass(slots=True)
class Element:
    """One element: its name without namespace, its attributes likewise, its text, and what is in it."""

    tag: str
    words: dict[str, str]
    parts: list[Element] = field(default_factory=list)
    text: str = ""
    chunks: Chunks | None = None

    def all(self, tag: str) -> list[Element]:
        """The parts of that name."""
        return [part for part in self.parts if part.tag == tag]

    def first(self, tag: str) -> Element | None:
        """The first part of that name."""
        return next((part for part in self.parts if part.tag == tag), None)


def read_elements(data: bytes, url: str) -> Element:
    """The root of the document.

    Raises:
        FormatError: no XML, or such as no DMR++ document is.
    """
    builder = _Builder()
    parser = expat.ParserCreate(namespace_separator=" ")
    parser.buffer_text = True
    parser.StartElementHandler = builder.start
    parser.EndElementHandler = builder.end
    parser.CharacterDataHandler = builder.text
    parser.StartDoctypeDeclHandler = builder.doctype  # entities could make a small document a large one
    try:
        parser.Parse(data, True)
    except (expat.ExpatError, FormatError, ValueError) as error:
        raise FormatError(f"{url} is no DMR++ document: {error}. Way out: fetch it again, or leave it out") from None
    assert builder.root is not None
    return builder.root


class _Builder:
    def __init__(self) -> None:
        self.root: Element | None = None
        self._open: list[Element] = []
        self._texts: list[list[str]] = []

    def start(self, name: str, words: dict[str, str]) -> None:
        tag = name.rpartition(" ")[2]
        own = {word.rpartition(" ")[2]: value for word, value in words.items()}
        if self.root is None:
            if tag != "Dataset":
                raise FormatError(f"its root is {tag!r}, and should be 'Dataset'")
        elif len(self._open) >= _MOST_DEPTH:
            raise FormatError(f"its elements are nested more than {_MOST_DEPTH} deep")
        element = Element(tag, own)
        if self.root is None:
            self.root = element
        elif tag == _CHUNK:
            parent = self._open[-1]
            parent.chunks = parent.chunks or Chunks()
            parent.chunks.add(own)
        else:
            self._open[-1].parts.append(element)
        self._open.append(element)
        self._texts.append([])

    def end(self, name: str) -> None:
        self._open.pop().text = "".join(self._texts.pop())

    def text(self, data: str) -> None:
        if self._texts:
            self._texts[-1].append(data)

    def doctype(self, *declaration: object) -> None:
        raise FormatError("it declares a document type, which no DMR++ document does")
