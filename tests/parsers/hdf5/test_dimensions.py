from __future__ import annotations

import h5py
import netCDF4
import numpy as np

from tests.parsers.hdf5.conftest import Hdf5File
from vz_beam import open_virtual_datatree
from vz_beam.manifests.group import ManifestGroup


def names(group: ManifestGroup) -> dict[str, tuple[str, ...]]:
    return {name: array.metadata.dimension_names or () for name, array in group.arrays.items()}


def test_scales_name_the_dimensions_and_themselves(hdf5: Hdf5File) -> None:
    with hdf5.write() as file:
        for name, length in (("y", 2), ("x", 3)):
            file[name] = np.arange(length)
            file[name].make_scale("a long name")
        file["v"] = np.zeros((2, 3))
        file["v"].dims[0].attach_scale(file["y"])
        file["v"].dims[1].attach_scale(file["x"])
    assert names(hdf5.checked()) == {"v": ("y", "x"), "x": ("x",), "y": ("y",)}


def test_dimensions_without_scales_are_phony_one_for_each_length(hdf5: Hdf5File) -> None:
    with hdf5.write() as file:
        file["a"] = np.zeros((4, 6))
        file["b"] = np.zeros((6,))
        file["c"] = np.zeros((5, 4))
        file["g/d"] = np.zeros((4,))
    group = hdf5.checked()
    assert names(group) == {
        "a": ("phony_dim_0", "phony_dim_1"),
        "b": ("phony_dim_1",),
        "c": ("phony_dim_2", "phony_dim_0"),
    }
    assert names(group.groups["g"]) == {"d": ("phony_dim_3",)}


def test_phony_dimensions_have_no_name_that_is_taken(hdf5: Hdf5File) -> None:
    with hdf5.write() as file:
        file["g/phony_dim_0"] = np.arange(7)
        file["g/phony_dim_0"].make_scale()
        file["phony_dim_2"] = np.zeros((3, 4))
        file["a"] = np.zeros(5)
        file["b"] = np.zeros(7)
        file["b"].dims[0].attach_scale(file["g/phony_dim_0"])
    group = hdf5.checked()
    assert names(group) == {
        "a": ("phony_dim_1",),
        "b": ("phony_dim_0",),
        "phony_dim_2": ("phony_dim_3", "phony_dim_4"),
    }
    assert names(group.groups["g"]) == {"phony_dim_0": ("phony_dim_0",)}


def test_axes_of_array_types_have_no_name_that_means_another_length(hdf5: Hdf5File) -> None:
    with hdf5.write() as file:
        for path, length in (("v", 3), ("g/v", 3), ("g/h/v", 4), ("w", 2)):
            file.create_dataset(path, (2,), dtype=np.dtype(("f4", (length,))))[...] = np.ones((2, length))
        file["w_axis_0"] = np.arange(5)
        file["w_axis_0"].make_scale()
    group = hdf5.checked()
    assert names(group) == {
        "v": ("phony_dim_0", "v_axis_0"),
        "w": ("phony_dim_0", "w_axis_0_2"),
        "w_axis_0": ("w_axis_0",),
    }
    assert names(group.groups["g"])["v"][1] == "v_axis_0"
    assert names(group.groups["g"].groups["h"])["v"][1] == "v_axis_0_2"
    assert set(open_virtual_datatree(hdf5.path).groups) == {"/", "/g", "/g/h"}


def test_a_scale_that_was_deleted_names_no_dimension(hdf5: Hdf5File) -> None:
    with hdf5.write() as file:
        for name in ("x", "y"):
            file[name] = np.arange(3)
            file[name].make_scale()
        file["v"] = np.zeros((3, 3))
        for axis, name in enumerate(("x", "y")):
            file["v"].dims[axis].attach_scale(file[name])
        del file["x"]
    assert names(hdf5.checked()) == {"v": ("phony_dim_0", "y"), "y": ("y",)}


def test_a_square_has_two_phony_dimensions(hdf5: Hdf5File) -> None:
    with hdf5.write() as file:
        file["a"] = np.zeros((4, 4))
        file["b"] = np.zeros((4,))
    assert names(hdf5.checked()) == {"a": ("phony_dim_0", "phony_dim_1"), "b": ("phony_dim_0",)}


def test_a_dimension_given_twice_is_phony_the_second_time(hdf5: Hdf5File) -> None:
    with netCDF4.Dataset(hdf5.path, "w") as file:
        file.createDimension("x", 3)
        file.createVariable("covariance", "f4", ("x", "x"))[:] = 1
    assert names(hdf5.checked()) == {"covariance": ("x", "phony_dim_0")}


def test_a_dimension_without_a_variable_is_no_variable(hdf5: Hdf5File) -> None:
    with netCDF4.Dataset(hdf5.path, "w") as file:
        file.createDimension("t", None)
        file.createDimension("x", 3)
        file.createVariable("v", "f4", ("t", "x"))[:] = np.ones((2, 3))
    assert names(hdf5.checked()) == {"v": ("t", "x")}


def test_a_coordinate_that_was_never_written_stays_a_variable(hdf5: Hdf5File) -> None:
    with netCDF4.Dataset(hdf5.path, "w") as file:
        file.createDimension("t", None)
        file.createDimension("x", 3)
        file.createVariable("t", "f8", ("t",))
        file.createVariable("x", "f8", ("x",))
    assert names(hdf5.checked()) == {"t": ("t",), "x": ("x",)}


def test_a_variable_named_as_a_dimension_it_lacks_keeps_its_name(hdf5: Hdf5File) -> None:
    with netCDF4.Dataset(hdf5.path, "w") as file:
        file.createDimension("lat", 2)
        file.createDimension("point", 3)
        file.createVariable("lat", "f4", ("point",))[:] = [1, 2, 3]
        file.createVariable("v", "f4", ("lat",))[:] = [4, 5]
    with h5py.File(hdf5.path) as file:
        assert "_nc4_non_coord_lat" in file
    assert names(hdf5.parse()) == {"lat": ("point",), "v": ("lat",)}


def test_a_coordinate_of_two_dimensions_has_them_in_order(hdf5: Hdf5File) -> None:
    with netCDF4.Dataset(hdf5.path, "w") as file:
        file.createDimension("lat", 2)
        file.createDimension("x", 3)
        file.createVariable("lat", "f4", ("lat", "x"))[:] = np.ones((2, 3))
        file.createVariable("v", "f4", ("x", "lat"))[:] = np.ones((3, 2))
    assert names(hdf5.checked()) == {"lat": ("lat", "x"), "v": ("x", "lat")}


def test_scales_are_found_by_path_and_not_by_characters(hdf5: Hdf5File) -> None:
    with hdf5.write() as file:
        file["gx"] = np.arange(3)
        file["gx"].make_scale()
        file["g/v"] = np.zeros(3)
        file["g/v"].dims[0].attach_scale(file["gx"])
    assert names(hdf5.checked().groups["g"]) == {"v": ("gx",)}


def test_a_dimension_of_a_parent_keeps_its_name_also_where_only_the_group_is_taken(hdf5: Hdf5File) -> None:
    with netCDF4.Dataset(hdf5.path, "w") as file:
        file.createDimension("x", 3)
        file.createGroup("g").createGroup("h").createVariable("v", "f4", ("x",))[:] = 1
    assert names(hdf5.checked().groups["g"].groups["h"]) == {"v": ("x",)}
    assert names(hdf5.parse(group="/g/h")) == {"v": ("x",)}


def test_a_dimension_keeps_its_name_where_its_coordinate_is_dropped(hdf5: Hdf5File) -> None:
    with netCDF4.Dataset(hdf5.path, "w") as file:
        file.createDimension("x", 3)
        file.createVariable("x", "f4", ("x",))[:] = 1
        file.createVariable("v", "f4", ("x",))[:] = 1
    assert names(hdf5.parse(drop_variables=["x"])) == {"v": ("x",)}


def test_of_several_scales_the_one_of_netcdf_names_the_dimension(hdf5: Hdf5File) -> None:
    with hdf5.write() as file:
        for name in ("other", "x"):
            file[name] = np.arange(3)
            file[name].make_scale()
        file["x"].attrs["_Netcdf4Dimid"] = np.int32(0)
        file["v"], file["w"] = np.zeros(3), np.zeros(3)
        file["v"].dims[0].attach_scale(file["other"])
        file["v"].dims[0].attach_scale(file["x"])
        file["w"].dims[0].attach_scale(file["other"])
    found = names(hdf5.checked())
    assert (found["v"], found["w"]) == (("x",), ("other",))


def test_scales_of_one_name_and_two_lengths_do_not_meet_in_a_group(hdf5: Hdf5File) -> None:
    with hdf5.write() as file:
        for path, length in (("a/x", 3), ("b/x", 4)):
            file[path] = np.arange(length)
            file[path].make_scale()
            file[f"v{length}"] = np.zeros(length)
            file[f"v{length}"].dims[0].attach_scale(file[path])
    assert names(hdf5.checked()) == {"v3": ("x",), "v4": ("phony_dim_0",)}


def test_an_unlimited_dimension_is_as_long_as_its_longest_variable(hdf5: Hdf5File) -> None:
    with netCDF4.Dataset(hdf5.path, "w") as file:
        file.createDimension("t", None)
        file.createVariable("t", "f8", ("t",), chunksizes=(4,))[:] = [1, 2]
        file.createGroup("g").createVariable("v", "i4", ("t",), chunksizes=(4,))[:] = np.arange(5)
    group = hdf5.parse()
    assert (group.arrays["t"].shape, group["g/v"].shape) == ((5,), (5,))  # type: ignore[union-attr]
    assert names(group) == {"t": ("t",)}
