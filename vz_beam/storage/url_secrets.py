"""URLs without what lets their holder in: for messages, and for stores."""

from __future__ import annotations

import re
from urllib.parse import unquote

_USERINFO = re.compile(r"(?P<scheme>\b(?!abfss?:|wasbs?:)[A-Za-z][A-Za-z0-9+.\-]*://)[^/?#\s'\"]*@")
_HTTP_QUERY = re.compile(r"(?P<url>\bhttps?://[^\s?'\"<>]*)\?[^\s'\"<>]*?(?=::|[\s'\"<>)]|$)")
_PASSWORD = re.compile(r"^(?!abfss?:|wasbs?:)[A-Za-z][A-Za-z0-9+.\-]*://[^/?#]*@")

# The words of a signature, by the one word that shows that the query is signed: Azure's are too short to drop alone.
_SIGNED = {
    "sig": frozenset(
        {"sv", "ss", "srt", "sp", "se", "st", "spr", "sr", "sip", "sig", "skoid", "sktid", "skt", "ske", "sks", "skv"}
    ),
    "signature": frozenset({"signature", "expires", "awsaccesskeyid", "googleaccessid", "key-pair-id", "policy"}),
}
_SIGNED_PREFIXES = ("x-amz-", "x-goog-")
_ALWAYS_SECRET = frozenset(
    {"token", "access_token", "auth_token", "authtoken", "api_key", "apikey", "api-key", "password", "passwd", "secret"}
)


def shown(text: str) -> str:
    """A URL, or text around URLs, as messages may show it: user names, passwords and HTTP queries are left out.

    >>> shown("https://me:pw@host/a.nc?token=abc"), shown("s3://bucket/what?.nc")
    ('https://host/a.nc?...', 's3://bucket/what?.nc')
    """
    return _HTTP_QUERY.sub(r"\g<url>?...", _USERINFO.sub(r"\g<scheme>", text))


def has_password(url: str) -> bool:
    """Whether the URL carries a user or password before its host.

    >>> has_password("ftp://me:pw@host/a"), has_password("abfs://container@account.dfs.core.windows.net/a")
    (True, False)
    """
    return any(_PASSWORD.match(part) is not None for part in url.split("::"))


def without_secrets(url: str) -> str:
    """The URL as it may go into a store: without user and password, an HTTP query without tokens and signatures.

    What names the file is kept.

    >>> without_secrets("https://host/get?file=a.nc&X-Amz-Signature=1&X-Amz-Date=2&token=3")
    'https://host/get?file=a.nc'
    >>> without_secrets("ftp://me:pw@host/a.nc")
    'ftp://host/a.nc'
    """
    url = _USERINFO.sub(r"\g<scheme>", url)
    if not url.startswith(("http://", "https://")) or "?" not in url:
        return url
    base, _, query = url.partition("?")
    fields = query.split("&")
    words = [unquote(field.partition("=")[0]).lower() for field in fields]
    secret = set(_ALWAYS_SECRET)
    for mark, family in _SIGNED.items():
        if mark in words:
            secret |= family
    kept = [
        field
        for field, word in zip(fields, words, strict=True)
        if word not in secret and not word.startswith(_SIGNED_PREFIXES)
    ]
    return f"{base}?{'&'.join(kept)}" if kept else base
