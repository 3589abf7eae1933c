"""What holes of an array read as: the storage fill, which must show what was asked for."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from vz_beam.errors import ManifestError
from vz_beam.manifests.cf_fill import cf_fill
from vz_beam.manifests.chunk_manifest import has_missing
from vz_beam.manifests.fill_value import default_fill
from vz_beam.manifests.metadata import ArrayMetadata, Attributes

if TYPE_CHECKING:
    from vz_beam.manifests.array import ManifestArray


def metadata_with_holes(array: ManifestArray, fill: Any, attributes: Attributes | None = None) -> ArrayMetadata:
    """The array's metadata, under which chunks that become missing read as ``fill``.

    NaN and NaT ask for missing data: a hole may then read as the attribute ``_FillValue``, which readers take for
    missing. Where the storage fill is another value, it is replaced if no chunk of the array shows it.
    (VirtualiZarr shows the storage fill, whatever was asked for.)

    Args:
        array: the array before its holes.
        fill: what is asked for; ``None`` for missing data.
        attributes: where they are not those of the array's metadata.

    Raises:
        ManifestError: chunks that were never written show another value, or the type cannot hold the fill.
    """
    metadata = array.metadata
    described = metadata if attributes is None else replace(metadata, attributes=attributes)
    choices = missing_values(described) if is_missing(fill) else _exactly(fill, metadata.dtype)
    stored = default_fill(metadata.dtype) if metadata.fill_value is None else metadata.fill_value
    wanted = "missing data" if is_missing(fill) else repr(fill)
    if any(same_value(choice, stored) for choice in choices):
        return metadata
    if not choices:
        raise ManifestError(
            f"holes of {metadata.dtype} cannot read as {wanted}"
            + (", since there is no attribute _FillValue: name a fill_value" if is_missing(fill) else "")
        )
    if has_missing(array.manifest):
        raise ManifestError(
            f"holes shall read as {wanted}, and chunks that were never written read as {stored!r}: one array has one "
            f"storage fill. Ask for fill_value={stored!r}, or load the variable"
        )
    return replace(metadata, fill_value=choices[0])


def missing_values(metadata: ArrayMetadata) -> list[Any]:
    """What of the array's type reads as missing, the best first: its attribute ``_FillValue``, NaN or NaT."""
    named = cf_fill(metadata)
    choices = [] if named is None else [named]
    if metadata.dtype.kind in "fc":
        choices.append(metadata.dtype.type(np.nan))
    elif metadata.dtype.kind in "Mm":
        choices.append(np.array("NaT", metadata.dtype)[()])
    return choices


def check_holds(fill: Any, dtype: np.dtype[Any]) -> None:
    """Refuses a scalar that is no value of ``dtype``.

    Raises:
        ManifestError: NaN among integers, for instance.
    """
    if isinstance(fill, type) and np.dtype(fill).kind == dtype.kind:
        return  # xarray names texts by their class
    if not (is_missing(fill) and dtype.kind in "fcMm") and not _exactly(fill, dtype):
        raise ManifestError(f"{fill!r} is no value of {dtype}, and a virtual array cannot be converted")


def is_missing(fill: Any) -> bool:
    """Whether a fill asks for missing data: ``None``, NaN or NaT."""
    if fill is None:
        return True
    value = np.asarray(fill)
    return value.dtype.kind in "fcMm" and bool(np.isnan(value).all())


def same_value(one: Any, other: Any) -> bool:
    """Whether two fill values are the same; NaN is like NaN.

    >>> same_value(np.float32("nan"), float("nan")), same_value(0, 1)
    (True, False)
    """
    if one is None or other is None:
        return one is other
    if isinstance(one, (float, complex, np.inexact, np.datetime64, np.timedelta64)) and is_missing(one):
        return is_missing(other)
    return bool(np.all(np.asarray(one) == np.asarray(other)))


def _exactly(fill: Any, dtype: np.dtype[Any]) -> list[Any]:
    """The fill in ``dtype``; nothing where that would change it by more than rounding."""
    if dtype.kind in "OT":
        return [fill] if isinstance(fill, str) else []
    try:
        with np.errstate(all="ignore"):
            value = np.asarray(fill).astype(dtype)[()]
            rounded = dtype.kind in "fc" and np.asarray(fill).dtype.kind in "iufc" and bool(np.isfinite(value))
            return [value] if rounded or bool(np.all(value == np.asarray(fill))) else []
    except (ValueError, TypeError, OverflowError):
        return []
