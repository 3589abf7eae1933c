"""xarray's ``load`` and ``compute`` of virtual variables, which would leave them as they are without a word: refused.

``Dataset.load`` leaves what it takes for an array in memory alone, and so does not ask a manifest array for values.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator
from typing import Any

import xarray as xr

from vz_beam.errors import NeedsValuesError
from vz_beam.manifests.array import ManifestArray

_MOST_NAMES = 8
_ONE_ARRAY = "<this-array>"
"""How xarray names the one variable of a DataArray that is made a dataset for a while."""


def refuse_virtual(data: xr.Dataset | xr.DataTree) -> None:
    """Refuses a dataset or tree with virtual variables; those beside a DataArray do not count.

    Raises:
        NeedsValuesError: names them.
    """
    if names := list(_virtual_names(data)):
        shown = ", ".join(map(repr, names[:_MOST_NAMES])) + (" and more" if len(names) > _MOST_NAMES else "")
        raise NeedsValuesError(
            f"{shown}: virtual variables have no values to load. Load them when opening (loadable_variables=[...]), or "
            "write the references and open the store"
        )


def _virtual_names(data: xr.Dataset | xr.DataTree) -> Iterator[str]:
    nodes: Iterable[Any] = data.subtree if isinstance(data, xr.DataTree) else [data]
    for node in nodes:
        variables = {
            str(name): variable
            for name, variable in node.variables.items()
            if isinstance(variable._data, ManifestArray)
        }
        if any(repr(name) == _ONE_ARRAY for name in node.variables):
            yield from ("this array" for name in variables if name == _ONE_ARRAY)
        else:
            yield from (f"{node.path.rstrip('/')}/{n}" if isinstance(node, xr.DataTree) else n for n in variables)


def _refusing(method: Any) -> Any:
    @functools.wraps(method)
    def load(self: Any, *args: Any, **kwargs: Any) -> Any:
        refuse_virtual(self)
        return method(self, *args, **kwargs)

    return load


# compute() and what DataArrays have of this come down to it. Variable.load stays: xarray calls it to compare variables.
for _kind, _name in ((xr.Dataset, "load"), (xr.Dataset, "load_async"), (xr.DataTree, "load")):
    if hasattr(_kind, _name):
        setattr(_kind, _name, _refusing(getattr(_kind, _name)))
