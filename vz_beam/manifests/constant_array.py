"""An array of one value, in the memory of one element: what comparing virtual arrays gives."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from vz_beam.errors import NeedsValuesError


class ConstantArray(np.ndarray[Any, np.dtype[Any]]):
    """A numpy array that repeats one value; ufuncs of such arrays give such arrays, so ``a == b`` costs nothing.

    xarray joins the answers of several comparisons (``(a == b) | isnull(a)``), and would otherwise make arrays of
    the virtual array's shape of them.
    """

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **kwargs: Any) -> Any:
        small = [compact(value) for value in inputs]
        same_shape = all(np.ndim(value) == 0 or np.shape(value) == self.shape for value in inputs)
        if method == "__call__" and ufunc.nout == 1 and same_shape and not kwargs:
            assumed = all(isinstance(value, AssumedArray) or np.ndim(value) == 0 for value in inputs)
            kind = AssumedArray if assumed else ConstantArray
            return constant(ufunc(*small), self.shape, kind)
        if method == "reduce" and isinstance(self, AssumedArray):
            raise NeedsValuesError(
                "which values are missing is not known without reading data: load the variable, or ask after opening "
                "the written store"
            )
        if method == "reduce" and ufunc in (np.logical_and, np.logical_or) and self.size and _over_all(self, kwargs):
            return getattr(ufunc, method)(small[0], axis=None)
        plain = [value.view(np.ndarray) if isinstance(value, ConstantArray) else value for value in inputs]
        return getattr(ufunc, method)(*plain, **kwargs)

    def astype(self, dtype: Any, *args: Any, **kwargs: Any) -> Any:
        """The value in another type, as often."""
        return constant(np.asarray(compact(self)).astype(dtype), self.shape, type(self))


class AssumedArray(ConstantArray):
    """An answer that nobody looked up, such as that no value is NaN: good for comparing arrays, and nothing else.

    Beside a known answer it does not count; alone it can be neither counted nor chosen by.
    """


def constant(value: Any, shape: tuple[int, ...], kind: type[ConstantArray] = ConstantArray) -> ConstantArray:
    """``value``, a scalar or an array that is to be repeated, in an array of ``shape``.

    >>> bool((constant(True, (10**6, 10**6)) & constant(False, (10**6, 10**6))).any())
    False
    """
    return np.broadcast_to(np.asarray(value), shape).view(kind)


def compact(array: Any) -> Any:
    """The array with one element along each axis along which it only repeats itself; scalars as they are."""
    if not isinstance(array, np.ndarray):
        return array
    plain = array.view(np.ndarray)
    return plain[tuple(slice(0, 1) if stride == 0 else slice(None) for stride in plain.strides)]


def _over_all(array: NDArray[Any], kwargs: dict[str, Any]) -> bool:
    axis = kwargs.get("axis", 0)
    every = axis is None or (isinstance(axis, tuple) and len(axis) == array.ndim)
    plain = all(kwargs.get(name) in (None, False) for name in ("keepdims", "out"))
    return every and plain and kwargs.get("where", True) is True
