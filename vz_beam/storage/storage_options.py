"""Storage options, in the words of obstore or of fsspec: a word of the other one is refused with the right one."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import Any

from vz_beam.errors import InputError

SECRET_WORDS = (
    "key", "secret", "token", "password", "passwd", "credential", "sas", "authorization", "cookie",
    "connection_string", "proxy",
)  # fmt: skip
"""An option whose name holds one of these may hold a credential: it stays in its process."""

_FAMILY = {
    "s3": "s3", "s3a": "s3", "gs": "gs", "gcs": "gs", "az": "az", "azure": "az", "abfs": "az", "abfss": "az",
    "http": "http", "https": "http",
}  # fmt: skip

_HEADERS = "client_options={'default_headers': {...}}"
_LEAVE_OUT = "nothing: leave it out"

_OBJECT_WORD_FOR = {
    "s3": {
        "anon": "skip_signature=True",
        "key": "access_key_id=...",
        "username": "access_key_id=...",
        "secret": "secret_access_key=...",
        "password": "secret_access_key=...",
        "region_name": "region=...",
        "client_kwargs": "region=..., endpoint=..., one by one",
        "config_kwargs": "client_options={...} and virtual_hosted_style_request=...",
        "requester_pays": "request_payer=True",
        "use_ssl": "client_options={'allow_http': True}",
        "profile": "credential_provider=obstore.auth.boto3.Boto3CredentialProvider(session)",
        "session": "credential_provider=obstore.auth.boto3.Boto3CredentialProvider(session)",
    },
    "gs": {
        "anon": "skip_signature=True",
        "token": "skip_signature=True where it was 'anon', service_account_path=... where it was a file, "
        "bearer_token=... where it was a token",
        "project": _LEAVE_OUT,
        "endpoint_url": "base_url=...",
        "access": _LEAVE_OUT,
        "consistency": _LEAVE_OUT,
        "requester_pays": "client_options={'default_headers': {'x-goog-user-project': project}}",
        "session_kwargs": "client_options={...}",
    },
    "az": {
        "anon": "skip_signature=True",
        "connection_string": "account_name=... and account_key=...",
        "credential": "credential_provider=... or account_key=...",
        "account_host": "endpoint=...",
        "account_url": "endpoint=...",
    },
    "http": {
        "headers": _HEADERS,
        "auth": "client_options={'default_headers': {'Authorization': ...}}",
        "client_kwargs": _HEADERS,
        "ssl": "client_options={'allow_invalid_certificates': True}",
        "timeout": "client_options={'timeout': '30s'}",
        "get_client": _LEAVE_OUT,
        "encoded": _LEAVE_OUT,
        "simple_links": _LEAVE_OUT,
        "same_scheme": _LEAVE_OUT,
    },
}
_NEEDLESS_WORDS = frozenset(
    {
        "asynchronous", "batch_size", "block_size", "cache_options", "cache_regions", "cache_type",
        "default_block_size", "default_cache_type", "default_fill_cache", "fill_cache", "listings_expiry_time", "loop",
        "max_paths", "mode", "skip_instance_cache", "use_listings_cache",
    }
)  # fmt: skip

_FSSPEC_WORD_FOR = {
    "s3": {
        "skip_signature": "anon=True",
        "access_key_id": "key=...",
        "aws_access_key_id": "key=...",
        "secret_access_key": "secret=...",
        "aws_secret_access_key": "secret=...",
        "session_token": "token=...",
        "endpoint": "endpoint_url=...",
        "region": "client_kwargs={'region_name': ...}",
        "request_payer": "requester_pays=True",
        "client_options": "client_kwargs={...} or config_kwargs={...}",
    },
    "gs": {
        "skip_signature": "token='anon'",
        "service_account": "token=...",
        "service_account_path": "token=...",
        "application_credentials": "token=...",
        "bearer_token": "token=...",
        "base_url": "endpoint_url=...",
    },
    "az": {"skip_signature": "anon=True", "sas_key": "sas_token=...", "endpoint": "account_host=..."},
    "http": {"client_options": "headers={...} or client_kwargs={...}"},
}
_OBJECT_ONLY_WORDS = frozenset({"client_options", "retry_config", "credential_provider", "skip_signature"})
_HTTP_WORDS = frozenset({"client_options", "retry_config"})


def object_options(scheme: str, options: Mapping[str, Any] | None) -> dict[str, Any]:
    """Options for obstore's store of ``scheme``.

    Raises:
        InputError: words of fsspec, all of them at once, each with obstore's word.
    """
    given = _checked(options)
    family = _FAMILY.get(scheme, "")
    words = _OBJECT_WORD_FOR.get(family, {})
    wrong = {word: words.get(word, _LEAVE_OUT) for word in given if word in words or word in _NEEDLESS_WORDS}
    for word, value in given.items():
        if isinstance(value, Mapping) and word in _FAMILY:
            wrong[word] = "its content, one level up: only fsspec's chains have options by protocol"
    if family == "http":
        wrong |= {w: f"one of {sorted(_HTTP_WORDS)}" for w in given if w not in _HTTP_WORDS and w not in wrong}
    _refuse(wrong, f"{scheme}:// is served by obstore", "fsspec")
    return given


def filesystem_options(protocols: tuple[str, ...], options: Mapping[str, Any] | None) -> dict[str, Any]:
    """Options for fsspec's filesystem, or chain of filesystems, of ``protocols``.

    Raises:
        InputError: words of obstore, all of them at once, each with fsspec's word.
    """
    given = _checked(options)
    chain = "::".join(protocols)
    wrong = {}
    layers: list[tuple[str, str, Mapping[str, Any]]] = [(protocols[0], "", given)]
    layers += [(name, f"{name}: ", given[name]) for name in protocols if isinstance(given.get(name), Mapping)]
    families = [family for family in map(_FAMILY.get, protocols) if family]
    for protocol, place, words in layers:
        family = _FAMILY.get(protocol)
        for word in words:
            if family is not None and word in _FSSPEC_WORD_FOR[family]:
                wrong[place + word] = _FSSPEC_WORD_FOR[family][word]
            elif word in _OBJECT_ONLY_WORDS:
                inner = families[0] if families else ""
                right = _FSSPEC_WORD_FOR.get(inner, {}).get(word, _LEAVE_OUT)
                wrong[place + word] = f"{{{inner!r}: {right}}}" if inner and not place else right
    _refuse(wrong, f"{chain}:// is served by fsspec", "obstore")
    return given


def plain_word(word: str) -> str:
    """A word of obstore without its store's name, which may stand before it.

    >>> plain_word("AWS_ACCESS_KEY_ID"), plain_word("region")
    ('access_key_id', 'region')
    """
    plain = word.lower()
    for prefix in ("aws_", "google_", "azure_storage_"):
        plain = plain.removeprefix(prefix)
    return plain


def unknown_option(scheme: str, word: str) -> InputError:
    """The error of a word that obstore's store of ``scheme`` does not know."""
    known = _OBJECT_WORDS.get(_FAMILY.get(scheme, ""), ())
    near = difflib.get_close_matches(word, known, n=1)
    hint = f"Did you mean {near[0]!r}?" if near else "Its words are those of obstore's store for this protocol."
    return InputError(f"storage_options has {word!r}, which obstore's store for {scheme}:// does not know. {hint}")


_CLIENT_WORDS = ("client_options", "retry_config", "credential_provider", "skip_signature")
_OBJECT_WORDS: dict[str, tuple[str, ...]] = {
    "s3": (
        *_CLIENT_WORDS, "access_key_id", "secret_access_key", "session_token", "endpoint", "region", "request_payer",
        "virtual_hosted_style_request", "unsigned_payload", "imdsv1_fallback", "checksum_algorithm",
    ),
    "gs": (*_CLIENT_WORDS, "service_account_path", "service_account_key", "application_credentials", "base_url"),
    "az": (
        *_CLIENT_WORDS, "account_name", "account_key", "sas_token", "client_id", "client_secret", "tenant_id",
        "endpoint", "use_azure_cli", "use_emulator",
    ),
    "http": (*_CLIENT_WORDS[:2],),
}  # fmt: skip


def _checked(options: Mapping[str, Any] | None) -> dict[str, Any]:
    if options is None:
        return {}
    if not isinstance(options, Mapping):
        raise InputError(f"storage_options is a dict or None, not a {type(options).__name__}")
    if any(not isinstance(word, str) for word in options):
        raise InputError("the names in storage_options are texts")
    return dict(options)


def _refuse(wrong: Mapping[str, str], whose: str, other: str) -> None:
    if wrong:
        listed = "\n".join(f"  * {word}: {right}" for word, right in wrong.items())
        raise InputError(f"{whose}, and storage_options has words of {other} in it. What to write instead:\n{listed}")
