"""What a file holds and references cannot express, as one error that names all of it and the ways out."""

from __future__ import annotations

from collections.abc import Mapping

from vz_beam.errors import UnsupportedError


def unsupported_variables(url: str, reasons: Mapping[str, str]) -> UnsupportedError:
    """The error that names every variable, why it cannot be expressed, and the ways out.

    Args:
        url: of the file.
        reasons: by the path of each variable, as ``drop_variables`` takes it.
    """
    count, they = len(reasons), "them" if len(reasons) != 1 else "it"
    listed = "\n".join(f"  * {path}: {reason}" for path, reason in reasons.items())
    names = ", ".join(repr(path.strip("/")) for path in reasons)
    return UnsupportedError(
        f"{url}: references cannot express {count} variable{'s' if count != 1 else ''}:\n{listed}\n"
        f"Way out: leave {they} out by name (drop_variables=[{names}]), or leave out whatever cannot be expressed and "
        'have it listed (unsupported="skip")'
    )
