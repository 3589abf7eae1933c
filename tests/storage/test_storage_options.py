from __future__ import annotations

from typing import Any

import pytest

from vz_beam.errors import InputError
from vz_beam.storage.byte_sink import open_sink
from vz_beam.storage.byte_source import open_source
from vz_beam.storage.storage_options import SECRET_WORDS, filesystem_options, object_options


@pytest.mark.parametrize(
    ("url", "options", "right"),
    [
        ("s3://b/k", {"anon": True}, "skip_signature=True"),
        ("s3://b/k", {"key": "k"}, "access_key_id="),
        ("s3://b/k", {"secret": "s"}, "secret_access_key="),
        ("s3://b/k", {"client_kwargs": {"endpoint_url": "x"}}, "endpoint="),
        ("s3://b/k", {"default_block_size": 5}, "leave it out"),
        ("s3://b/k", {"s3": {"anon": True}}, "one level up"),
        ("gs://b/k", {"token": "anon"}, "skip_signature=True"),
        ("gs://b/k", {"project": "p"}, "leave it out"),
        ("az://b/k", {"connection_string": "x"}, "account_key="),
        ("https://h/k", {"headers": {"a": "b"}}, "default_headers"),
        ("https://h/k", {"anything": 1}, "client_options"),
        ("s3://b/k", {"regoin": "x"}, "Did you mean 'region'"),
        ("s3://b/k", {"zzz": "x"}, "does not know"),
        ("simplecache::s3://b/k", {"s3": {"skip_signature": True}}, "anon=True"),
        ("simplecache::s3://b/k", {"skip_signature": True}, "{'s3': anon=True}"),
        ("simplecache::gs://b/k", {"gs": {"skip_signature": True}}, "token='anon'"),
        ("ftp://h/k", {"client_options": {}}, "leave it out"),
    ],
)
def test_a_word_of_the_other_library_is_refused_with_the_right_one(
    url: str, options: dict[str, Any], right: str
) -> None:
    with pytest.raises(InputError) as caught:
        open_source(url, options)
    assert right in str(caught.value)


def test_every_wrong_word_is_named_at_once_and_no_value_is() -> None:
    with pytest.raises(InputError) as caught:
        open_sink("s3://b/k", {"key": "hush", "secret": "hush", "anon": False})
    assert all(word in str(caught.value) for word in ("* key:", "* secret:", "* anon:"))
    assert "hush" not in str(caught.value)


def test_words_that_fit_pass() -> None:
    options = {"endpoint": "http://x", "skip_signature": True}
    assert object_options("s3", options) == options
    assert filesystem_options(("s3",), {"anon": True}) == {"anon": True}
    assert object_options("s3", None) == {}


@pytest.mark.parametrize("options", [["anon"], {1: 2}])
def test_options_that_are_no_dict_of_texts_are_refused(options: Any) -> None:
    with pytest.raises(InputError, match="storage_options"):
        open_source("s3://b/k", options)


def test_words_of_credentials_are_known_as_such() -> None:
    for word in ("access_key_id", "secret_access_key", "session_token", "account_key", "sas_token", "password", "key"):
        assert any(part in word for part in SECRET_WORDS)
    for word in ("region", "endpoint", "skip_signature", "account_name", "anon"):
        assert not any(part in word for part in SECRET_WORDS)


def test_stores_cannot_be_written_over_http() -> None:
    with pytest.raises(InputError, match="cannot be written over http"):
        open_sink("https://host/store")
