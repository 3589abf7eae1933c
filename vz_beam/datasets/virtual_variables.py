"""From a group of manifests to an xarray dataset: virtual variables, loaded and decoded ones, coordinates."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Container, Iterable, Mapping
from types import MappingProxyType
from typing import Any

import xarray as xr
from xarray.indexes import PandasIndex

from vz_beam.combine.schema import join_path, virtual_array
from vz_beam.combine.skipped import SKIPPED_KEY
from vz_beam.errors import InputError, ManifestError
from vz_beam.manifests.array import ManifestArray
from vz_beam.manifests.group import ManifestGroup, named_coordinates
from vz_beam.storage.array_values import read_values
from vz_beam.storage.byte_source import ByteSource


def virtual_dataset(
    group: ManifestGroup,
    open_location: Callable[[str], ByteSource],
    *,
    url: str | None,
    drop_variables: Iterable[str] = (),
    loadable_variables: Iterable[str] | None = None,
    decode_times: bool | None = None,
    skipped: Mapping[str, str] = MappingProxyType({}),
) -> xr.Dataset:
    """The arrays of one group as a dataset.

    Args:
        group: of a parser; its subgroups are not looked at.
        open_location: gives the byte source of a URL, for the variables that are loaded.
        url: of the file, for messages and as ``encoding["source"]``; ``None`` where it is not known.
        drop_variables: names to leave out.
        loadable_variables: names to load; ``None`` loads one-dimensional dimension coordinates.
        decode_times: as in :func:`xarray.open_dataset`, for the loaded variables.
        skipped: reasons by name of variables that were left out, for messages and as ``encoding["skipped"]``.

    Raises:
        InputError: a name in ``loadable_variables`` that the group does not have.
        ManifestError: an array with dimensions and no names for them.
    """
    dropped = set(drop_variables)
    arrays = {name: array for name, array in group.arrays.items() if name not in dropped}
    variables = {name: _virtual_variable(name, array) for name, array in arrays.items()}
    if loadable_variables is None:
        names = [name for name, variable in variables.items() if variable.dims == (name,)]
    else:
        names = list(dict.fromkeys(loadable_variables))
        if unknown := [name for name in names if name not in variables and name not in dropped]:
            reasons = "".join(f" ({name!r} was skipped: {skipped[name]})" for name in unknown if name in skipped)
            raise InputError(
                f"{url or 'this store'}: loadable_variables names {unknown}, and the file has {sorted(variables)}"
                f"{reasons}: correct the names"
            )
        names = [name for name in names if name in variables]
    values = read_values({name: arrays[name] for name in names}, open_location)
    raw = {n: xr.Variable(variables[n].dims, values[n], arrays[n].metadata.typed_attributes) for n in names}
    variables.update(_decoded(raw, variables, decode_times))
    coordinates = {name for name, variable in variables.items() if variable.dims == (name,)}
    for variable in variables.values():
        coordinates |= named_coordinates(variable, variables)
    attributes = dict(group.attributes)
    coordinates |= {name for name in str(attributes.pop("coordinates", "")).split() if name in variables}
    # an index needs values: variables that stay virtual have none
    indexes = {
        name: PandasIndex.from_variables({name: variables[name]}, options={})
        for name in names
        if variables[name].dims == (name,) and virtual_array(variables[name]) is None
    }
    dataset = xr.Dataset(
        {name: variable for name, variable in variables.items() if name not in coordinates},
        coords=xr.Coordinates({name: variables[name] for name in variables if name in coordinates}, indexes=indexes),
        attrs=attributes,
    )
    if url is not None:
        dataset.encoding["source"] = url
    if skipped:
        dataset.encoding[SKIPPED_KEY] = dict(skipped)
    return dataset


def group_dataset(
    root: ManifestGroup, loaded: Container[str], label: str, open_location: Callable[[str], ByteSource]
) -> xr.Dataset | xr.DataTree:
    """A group as a virtual dataset, or as a tree where it has groups in it; the variables at ``loaded`` are so here.

    Args:
        root: of a file or store.
        loaded: paths of variables.
        label: names it in messages.
        open_location: gives the byte source of a URL.
    """
    nodes = {}
    for path, group in root.walk():
        names = [name for name in group.arrays if join_path(path, name) in loaded]
        nodes[f"/{path}"] = virtual_dataset(group, open_location, url=label, loadable_variables=names)
    return nodes["/"] if len(nodes) == 1 else xr.DataTree.from_dict(nodes)


def loaded_variable(name: str, array: ManifestArray, open_location: Callable[[str], ByteSource]) -> xr.Variable:
    """A variable with its values, decoded; one whose times cannot be decoded stays virtual, with a warning."""
    virtual = _virtual_variable(name, array)
    values = read_values({name: array}, open_location)[name]
    raw = {name: xr.Variable(virtual.dims, values, array.metadata.typed_attributes)}
    return _decoded(raw, {name: virtual}, None)[name]


def _virtual_variable(name: str, array: ManifestArray) -> xr.Variable:
    try:
        return array.to_virtual_variable()
    except ManifestError as error:
        raise ManifestError(f"{name!r}: {error}") from error


def _decoded(
    raw: Mapping[str, xr.Variable], variables: Mapping[str, xr.Variable], decode_times: bool | None
) -> dict[str, xr.Variable]:
    """Loaded variables, CF-decoded; one whose times cannot be decoded stays virtual."""
    if not raw:
        return {}
    try:
        return _decode(raw, decode_times)
    except (ValueError, OverflowError):
        decoded: dict[str, xr.Variable] = {}
        for name, variable in raw.items():
            try:
                decoded |= _decode({name: variable}, decode_times)
            except (ValueError, OverflowError) as error:
                warnings.warn(
                    f"{name!r} could not be decoded ({error}) and stays virtual; decode_times=False loads its numbers",
                    stacklevel=2,
                )
                decoded[name] = variables[name]
        return decoded


def _decode(raw: Mapping[str, xr.Variable], decode_times: bool | None) -> dict[str, xr.Variable]:
    options: dict[str, Any] = {} if decode_times is None else {"decode_times": decode_times}
    decoded, _, _ = xr.conventions.decode_cf_variables(raw, {}, decode_coords=False, **options)
    return {str(name): variable.load() for name, variable in decoded.items()}
