"""The list of known ways to wrong data, part by part, and the test that shows each of them.

The numbers are those of the project's list: A attributes, B time, C missing data, D grids and codecs, E order and
merging, F HDF5, G other formats, H and I Kerchunk references, J Icechunk, K arrays and stores, L pipelines.
"""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
WRONG = "tests/transforms/test_wrong_data.py"
FORMATS = "tests/transforms/test_wrong_data_of_formats.py"
APPEND = "tests/transforms/test_append.py"
ICE = "tests/writers/test_icechunk_existing.py"
PIPELINE = "tests/transforms/test_pipeline.py"
RECORDS = "tests/parsers/kerchunk/test_record_files.py"
SPECIFICATION = "tests/parsers/kerchunk/test_specification.py"
DIFFERENCE = f"{WRONG}::a_difference_is_one_error_with_both_files_and_both_values"

CASES: dict[int, str] = {
    **dict.fromkeys((1, 3, 4, 5, 6, 7, 9, 10, 14, 28, 30, 36, 37, 39, 40), DIFFERENCE),
    2: f"{APPEND}::what_does_not_fit_is_told_in_the_words_of_combining",
    8: f"{WRONG}::case_8_dimensions_of_other_names_are_refused",
    11: f"{WRONG}::case_11_a_time_that_cannot_be_decoded_stays_as_it_is",
    12: f"{WRONG}::case_12_times_of_two_epochs_are_one_axis_where_they_are_loaded",
    13: f"{FORMATS}::case_13_times_of_another_epoch_are_appended_as_times_or_refused",
    15: f"{WRONG}::case_15_times_of_another_width_are_joined",
    16: f"{WRONG}::case_16_what_a_file_lacks_reads_as_missing_where_that_is_allowed",
    17: "tests/manifests/test_xarray_operations.py::holes_that_would_read_as_another_value_are_refused",
    18: f"{WRONG}::cases_17_and_18_a_hole_and_a_chunk_that_was_never_written_are_two_things",
    19: f"{FORMATS}::case_19_fill_values_of_netcdf3_are_missing",
    20: "tests/manifests/test_zarr_v2_reading.py::no_fill_value_leaves_the_attribute_as_it_is",
    21: f"{FORMATS}::case_21_fills_that_no_attribute_names_are_shown_and_counted",
    22: f"{WRONG}::case_22_a_partial_chunk_in_the_middle_is_refused_cut_or_rewritten",
    23: f"{APPEND}::a_partial_last_chunk_is_refused",
    **dict.fromkeys((24, 25), f"{WRONG}::cases_24_and_25_uncompressed_files_of_uneven_lengths_are_cut"),
    26: f"{WRONG}::case_26_a_partial_chunk_in_the_last_file_is_legal",
    27: f"{WRONG}::case_27_chunks_longer_than_their_data_are_trimmed_or_refused",
    29: f"{WRONG}::case_29_levels_of_compression_do_not_matter",
    31: "tests/manifests/test_array.py::a_manifest_that_does_not_fit_the_array_is_refused",
    32: "tests/parsers/dmrpp/test_documents.py::a_missing_chunk_reads_as_the_fill_value_wherever_it_is",
    33: "tests/storage/test_manifest_store.py::a_file_that_is_gone_or_too_short_is_an_error_and_not_fill",
    34: f"{WRONG}::case_34_what_descends_inside_a_file_stays_as_it_is_stored",
    35: f"{WRONG}::case_35_overlaps_are_kept_in_the_order_of_files_where_that_is_asked_for",
    38: "tests/combine/test_laws.py::any_order_grouping_and_repetition_of_inputs_gives_identical_shards",
    41: f"{WRONG}::cases_41_and_42_what_lacks_the_dimension_is_kept_once_and_must_agree",
    42: f"{WRONG}::case_42_what_lacks_the_dimension_and_is_virtual_is_compared_by_the_sizes_of_its_chunks",
    43: f"{WRONG}::case_43_two_files_that_say_other_things_of_one_variable_are_refused",
    44: f"{WRONG}::case_44_a_gap_of_the_pattern_is_an_error_and_one_of_the_times_a_note",
    45: f"{WRONG}::case_45_any_number_of_dimensions_are_joined",
    46: f"{FORMATS}::cases_46_to_49_layouts_and_masks_of_hdf5_have_the_values_that_h5py_reads",
    47: f"{FORMATS}::case_47_values_in_other_files_are_read_from_there",
    48: f"{FORMATS}::cases_46_to_49_layouts_and_masks_of_hdf5_have_the_values_that_h5py_reads",
    49: f"{FORMATS}::cases_46_to_49_layouts_and_masks_of_hdf5_have_the_values_that_h5py_reads",
    50: "tests/parsers/hdf5/test_dimensions.py::scales_are_found_by_path_and_not_by_characters",
    51: "tests/parsers/hdf5/test_dimensions.py::a_coordinate_that_was_never_written_stays_a_variable",
    52: f"{FORMATS}::case_52_attributes_are_those_of_the_file",
    53: "tests/parsers/hdf5/test_filters.py::filtered_chunks_decode_to_the_values",
    54: "tests/datasets/test_skipped.py::both_ways_out_work",
    55: f"{FORMATS}::case_55_texts_of_any_length_are_read",
    56: "tests/parsers/hdf5/test_groups.py::variables_are_dropped_by_name_or_path_at_all_levels",
    57: "tests/parsers/dmrpp/test_documents.py::byte_order_is_honoured",
    58: "tests/parsers/dmrpp/test_documents.py::a_filter_of_which_the_document_says_too_little_is_refused_by_name",
    59: "tests/parsers/dmrpp/test_documents.py::a_chunk_may_lie_in_another_file",
    60: "tests/parsers/dmrpp/test_documents.py::enumerations_and_characters_are_numbers_and_bytes",
    61: "tests/parsers/dmrpp/test_documents.py::dimensions_have_the_names_of_the_document_and_none_twice",
    62: "tests/parsers/zarr/test_stores.py::both_versions_encodings_separators_and_orders",
    63: "tests/parsers/zarr/test_stores.py::both_versions_encodings_separators_and_orders",
    64: f"{FORMATS}::case_64_attributes_of_netcdf3_keep_their_types",
    65: "tests/parsers/fits/test_hdus.py::stored_numbers_are_multiplied_and_then_shifted",
    66: "tests/parsers/grib/test_cubes.py::bytes_between_and_behind_messages_are_passed_over",
    67: "tests/parsers/grib/test_cubes.py::a_message_that_is_cut_or_damaged_is_named_by_its_place",
    68: "tests/parsers/tiff/test_images.py::images_of_one_kind_are_pages_and_others_have_names_of_their_own",
    69: "tests/parsers/hdf4/test_storage.py::names_attributes_and_fill_values_are_those_of_the_file",
    70: f"{SPECIFICATION}::chunk_keys_with_slashes_fortran_order_and_scalars_read_as_zarr_reads_them",
    71: f"{SPECIFICATION}::chunk_keys_with_slashes_fortran_order_and_scalars_read_as_zarr_reads_them",
    72: "tests/parsers/kerchunk/test_templates.py::the_generator_of_the_specification_makes_its_references",
    73: f"{FORMATS}::case_73_the_name_of_a_group_changes_no_text",
    74: f"{SPECIFICATION}::both_versions_are_read_with_documents_as_objects_or_texts",
    75: "tests/parsers/kerchunk/test_values.py::a_tree_has_every_group_as_xarray_shows_it_by_fsspec",
    76: "tests/writers/test_kerchunk_json.py::keys_are_sorted_and_a_scalar_has_key_0",
    77: "tests/datasets/test_storage_fill.py::zeros_stay_zeros_and_fills_stay_fills",
    78: "tests/manifests/test_zarr_v2.py::what_zarr_v2_cannot_say_is_refused_by_name",
    79: "tests/manifests/test_zarr_v2.py::strings_are_objects_with_a_filter_of_their_own",
    80: "tests/manifests/test_rechunking.py::lengths_that_do_not_divide_and_compressed_chunks_are_refused",
    81: "tests/storage/test_byte_sink.py::prefixes_are_compared_by_segments",
    82: "tests/writers/test_kerchunk_parquet.py::a_record_file_holds_a_row_for_every_chunk_and_true_nulls",
    83: "vz_beam/testing/writer_suite.py::a_killed_run_leaves_the_old_store_readable_and_the_next_run_clears_it",
    84: f"{ICE}::what_would_change_the_meaning_is_refused",
    85: f"{ICE}::all_that_differs_is_told_at_once",
    86: f"{APPEND}::files_that_the_store_has_are_passed_over",
    87: f"{ICE}::a_region_is_written_over_and_what_is_missing_is_erased",
    88: "tests/parsers/zarr/test_stores.py::chunks_inside_shards_are_references",
    89: f"{ICE}::a_region_that_does_not_fit_is_refused",
    90: "tests/datasets/test_to_icechunk.py::a_file_without_a_container_is_refused_before_anything_is_written",
    91: "tests/manifests/test_array_laws.py::basic_indexing",
    92: "tests/manifests/test_chunk_manifest.py::missing_chunks_stay_missing_when_paths_change",
    93: "tests/manifests/test_array.py::stack_and_expand_dims_take_negative_axes",
    94: "tests/manifests/test_array.py::broadcasting_repeats_references_and_refuses_to_show_padding",
    95: "tests/manifests/test_array.py::inlined_chunks_follow_their_array",
    96: "tests/storage/test_manifest_store.py::a_byte_range_never_shows_the_neighbour_of_its_chunk",
    97: "tests/storage/test_urls.py::any_local_name_is_read_back_by_us_and_from_kerchunk_references",
    98: "tests/storage/test_registry.py::a_prefix_is_compared_by_segments",
    99: "tests/combine/test_dimensions.py::a_single_file_without_dimensions_is_a_pattern_too",
    100: "tests/storage/test_urls.py::a_source_behind_a_cache_has_the_url_of_what_is_cached",
    101: "integration/test_object_stores.py::nothing_that_was_written_holds_the_secret",
    102: f"{PIPELINE}::bundles_that_run_twice_and_runs_that_repeat_give_the_same_bytes",
    103: "tests/pipelines/test_feedstocks.py::a_recipe_is_rewritten_and_run",
    104: "vz_beam/testing/parser_suite.py::the_parser_is_found_by_content",
    105: f"{PIPELINE}::failed_files_are_listed_and_the_rest_is_right",
    106: "tests/writers/test_lost_references.py::a_store_is_not_published_without_some_of_its_references",
    107: "tests/transforms/test_changed_inputs.py::without_the_word_the_way_out_is_told",
    108: "tests/storage/test_secrets.py::a_pickled_store_holds_the_group_alone",
    109: f"{PIPELINE}::runners_that_are_wrong_are_refused",
    110: f"{RECORDS}::a_lost_record_file_is_refused_by_name_where_fsspec_shows_the_fill",
    111: "tests/writers/test_icechunk.py::commits_are_planned_and_readers_see_them_as_one",
    112: "tests/storage/test_byte_source.py::a_range_gives_its_bytes_and_no_others",
    113: "tests/manifests/test_utils.py::structs_of_mixed_byte_orders_are_refused",
}
"""By number of the case; the number of its test where one shows several is that of its parameter."""


def test_every_case_of_the_list_has_a_test() -> None:
    assert sorted(CASES) == list(range(1, 114))


@pytest.mark.parametrize("number", sorted(CASES))
def test_the_test_of_a_case_is_there(number: int) -> None:
    path, _, name = CASES[number].partition("::")
    assert f"test_{name}" in _tests(path)


@cache
def _tests(path: str) -> frozenset[str]:
    nodes = ast.walk(ast.parse((ROOT / path).read_text()))
    return frozenset(node.name for node in nodes if isinstance(node, ast.FunctionDef))
