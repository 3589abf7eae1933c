"""Where links lead: within this file, or into another one.

Source: HDF5 file format specification 3.0, section IV.A.2.g, "The Link Message".
"""

from __future__ import annotations

from dataclasses import dataclass

from h5py import h5f, h5g, h5l, h5o

from vz_beam.parsers.hdf5.attributes import text_of

_MOST_LINKS = 16
"""Soft links that may follow each other, as many as libhdf5 follows; more are a circle."""


@dataclass(frozen=True, slots=True)
class FoundObject:
    """An object of this file, and the address of its header."""

    object: object
    address: int


@dataclass(frozen=True, slots=True)
class InOtherFile:
    """The object that is at ``path`` of the file ``file_name``, as this file names both."""

    file_name: str
    path: str


def followed(fid: h5f.FileID, start: h5g.GroupID, path: bytes) -> FoundObject | InOtherFile:
    """What ``path`` leads to from the group ``start``, or from the root where it is absolute.

    Link by link, since libhdf5 would follow links into other files on its own, for a remote file into the wrong ones.

    Raises:
        KeyError: nothing is there.
    """
    root = h5o.open(fid, b"/")
    steps = _steps(path)
    here, address = (root, 0) if path.startswith(b"/") else (start, 0)
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
                here, address = root, 0
        elif info.type == h5l.TYPE_HARD:
            here, address = h5o.open(here, step), info.u
        else:
            raise KeyError(f"a link of kind {info.type}, which only the program that made it can follow")
    return FoundObject(here, address or h5o.get_info(here).addr)


def _steps(path: bytes) -> list[bytes]:
    return [step for step in path.split(b"/") if step not in (b"", b".")]
