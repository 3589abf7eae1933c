"""Messages in the words of the command line."""

from __future__ import annotations

import pytest

from vz_beam.cli.option_words import in_option_words


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("mode='overwrite' to replace it", "--mode overwrite to replace it"),
        ("names=['a,b']", "names=['a,b']"),
        ("names=[\"it's\", 'b']", "--names 'it'\"'\"'s,b'"),
        ("names=[1, 2]", "names=[1, 2]"),
        ("names=[] and names=[a]", "names=[] and names=[a]"),
        ("other='a'", "other='a'"),
        ("concat_dim=None", "concat_dim=None"),
    ],
)
def test_only_what_the_command_can_say_is_said_as_its_options(text: str, expected: str) -> None:
    assert in_option_words(text, {"mode", "names", "concat_dim"}) == expected
