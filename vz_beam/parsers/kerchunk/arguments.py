"""What both parsers of Kerchunk references check of their arguments."""

from __future__ import annotations

from vz_beam.errors import InputError


def check_arguments(unsupported: str, **names: object) -> None:
    """Refuses arguments that cannot work.

    Raises:
        InputError: a choice that is none of two, a text where names are asked for.
    """
    if unsupported not in ("raise", "skip"):
        raise InputError(f'unsupported={unsupported!r}: it is "raise" or "skip"')
    for name, value in names.items():
        if isinstance(value, str):
            raise InputError(f"{name}={value!r}: give a list of names, [{value!r}]")
