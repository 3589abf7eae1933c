"""Where links lead: within this file, or into another one.

Source: HDF5 file format specification 3.0, section IV.A.2.g, "The Link Message".
"""

from __future__ import annotations

from dataclasses import dataclass

from h5py import h5g, h5l, h5o

from vz_beam.parsers.attribute_values import text_of
from vz_beam.parsers.hdf5.file import OpenFile
from vz_beam.parsers.hdf5.object_header import Message

_MOST_LINKS = 16
"""Soft links that may follow each other, as many as libhdf5 follows; more are a circle."""


@dataclass(frozen=True, slots=True)
class FoundObject:
    """An object of this file, the address of its header, and what stands there as far as that is read here."""

    object: object
    address: int
    messages: tuple[Message, ...] = ()


@dataclass(frozen=True, slots=True)
class InOtherFile:
    """The object that is at ``path`` of the file ``file_name``, as this file names both."""

    file_name: str
    path: str


def followed(file: OpenFile, start: h5g.GroupID, path: bytes) -> FoundObject | InOtherFile:
    """What ``path`` leads to from the group ``start``, or from the root where it is absolute.

    Link by link, since libhdf5 would follow links into other files on its own, for a remote file into the wrong ones.

    Raises:
        KeyError: nothing is there.
        HeapDamage: libhdf5 would not come back from opening what is there.
    """
    root = file.root()
    steps = _steps(path)
    here, address, messages = root if path.startswith(b"/") else (start, 0, ())
    links = 0
    while steps:
        step = steps.pop(0)
        if not isinstance(here, h5g.GroupID) or not here.links.exists(step):
            raise KeyError(f"there is no {text_of(step)!r}")
        info = here.links.get_info(step)
        if info.type == h5l.TYPE_EXTERNAL:
            name, target = here.links.get_val(step)
            rest = b"/".join([target.rstrip(b"/"), *steps])
            return InOtherFile(text_of(name), text_of(rest) or "/")
        if info.type == h5l.TYPE_SOFT:
            links += 1
            if links > _MOST_LINKS:
                raise KeyError("too many soft links")
            target = here.links.get_val(step)
            steps = [*_steps(target), *steps]
            if target.startswith(b"/"):
                here, address, messages = root
        elif info.type == h5l.TYPE_HARD:
            address, messages = info.u, file.checked_messages(info.u, text_of(path))
            here = h5o.open(here, step)
        else:
            raise KeyError(f"a link of kind {info.type}, which only the program that made it can follow")
    if not address:  # of the group where it started
        address = h5o.get_info(here).addr
        messages = file.checked_messages(address, text_of(path))
    return FoundObject(here, address, messages)


def _steps(path: bytes) -> list[bytes]:
    return [step for step in path.split(b"/") if step not in (b"", b".")]
