"""Icechunk repositories by their URLs: the storage they are in, the containers of what they reference, their branches.

Source: https://icechunk.io/en/stable/reference/.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import unquote

from vz_beam.combine.layout import Layout
from vz_beam.errors import InputError, StoreError, UnsupportedError, UnsupportedGridError
from vz_beam.storage.storage_options import object_options, plain_word
from vz_beam.storage.urls import canonical_url, local_path_of, root_and_key, scheme_of
from vz_beam.writers.icechunk_locations import icechunk_url

MAIN = "main"
BUILDING = "vz_beam-building"
"""The branch on which a run commits, until ``main`` is moved to its end."""
INITIAL = "1CECHNKREP0F1RSTCMT0"
"""The snapshot that every repository starts with, which holds nothing."""
MANIFEST_REFERENCES = 2**17
"""References that one manifest holds at most: some 3 MB, which a commit that adds to it writes anew. Icechunk cannot
read a manifest of more than 15,000,000 or so."""

_S3_WORDS = {
    "access_key_id": "access_key_id",
    "secret_access_key": "secret_access_key",
    "session_token": "session_token",
    "token": "session_token",
    "region": "region",
    "default_region": "region",
    "endpoint": "endpoint_url",
    "endpoint_url": "endpoint_url",
    "skip_signature": "anonymous",
    "request_payer": "requester_pays",
}
_PUBLIC_S3_WORDS = ("region", "endpoint_url", "allow_http", "anonymous", "force_path_style", "requester_pays")
_GS_WORDS = {
    "service_account": "service_account_file",
    "service_account_path": "service_account_file",
    "service_account_key": "service_account_key",
    "application_credentials": "application_credentials",
    "bearer_token": "bearer_token",
    "skip_signature": "anonymous",
}
_AZ_ACCOUNT = "AZURE_STORAGE_ACCOUNT_NAME"
_NAME_ACCOUNT = "Way out: storage_options={'account_name': ...}"
_AZ = ("az", "azure", "abfs", "abfss")
_AZ_WORDS = {"account_name": "account", "account_key": "access_key", "sas_token": "sas_token", "sas_key": "sas_token"}
_ACCESS = {"file": "LocalFileSystemAccess", "http": "HttpAccess", "https": "HttpAccess"}
"""What icechunk 2 calls the access to a container that needs no credentials; 1.x says ``None``."""
_KNOWS_RECTILINEAR = 2
"""The version of Icechunk, and of its format, from which on chunks may have several lengths."""
_CREDENTIALS = (
    "access_key_id", "service_account_file", "service_account_key", "application_credentials", "bearer_token",
    "access_key", "sas_token", "anonymous",
)  # fmt: skip


def icechunk_module() -> Any:
    """The package.

    Raises:
        InputError: it is not installed.
    """
    try:
        return importlib.import_module("icechunk")
    except ImportError:
        raise InputError("icechunk is not installed. Way out: pip install 'vz-beam[icechunk]'") from None


def storage_of(url: str, storage_options: Mapping[str, Any] | None) -> Any:
    """Icechunk's storage for a URL or path, from options in the words of obstore.

    Raises:
        InputError: options that Icechunk has no word for.
        UnsupportedError: a place where Icechunk cannot write.
    """
    icechunk = icechunk_module()
    url = canonical_url(url)
    path, scheme = local_path_of(url), scheme_of(url)
    if path is not None:
        return icechunk.local_filesystem_storage(path)
    root, key = root_and_key(url)
    if scheme in ("s3", "s3a"):
        bucket = root.partition("://")[2].strip("/")
        return icechunk.s3_storage(bucket=bucket, prefix=key, **_s3_words(scheme, storage_options))
    if scheme in ("gs", "gcs"):
        bucket = root.partition("://")[2].strip("/")
        return icechunk.gcs_storage(bucket=bucket, prefix=key, **_words(scheme, storage_options, _GS_WORDS, "base_url"))
    if scheme in _AZ:
        container, _, account = root.partition("://")[2].strip("/").partition("@")
        words = _words(scheme, storage_options, _AZ_WORDS, "endpoint")
        words.pop("anonymous", None)
        account = str(words.pop("account", "")) or account.partition(".")[0] or os.environ.get(_AZ_ACCOUNT, "")
        if not account:
            raise InputError(f"{url} does not say which account. {_NAME_ACCOUNT}")
        config = _azure_endpoint(words)
        words.pop("config", None)
        return icechunk.azure_storage(account=account, container=container, prefix=key, config=config, **words)
    raise UnsupportedError(
        f"{url}: Icechunk writes to local folders, s3://, gs:// and az://. Way out: one of these, or a store of "
        "Kerchunk references (.parquet)"
    )


def open_repository(url: str, storage_options: Mapping[str, Any] | None) -> Any:
    """The repository at a URL; ``None`` where there is none."""
    icechunk = icechunk_module()
    path = local_path_of(canonical_url(url))
    if path is not None and not os.path.isdir(path):
        return None  # asking icechunk would make the folder
    storage = storage_of(url, storage_options)
    with told(url):
        return icechunk.Repository.open(storage) if icechunk.Repository.exists(storage) else None


def create_repository(url: str, storage_options: Mapping[str, Any] | None, layout: Layout) -> Any:
    """A new repository, whose manifests are split where arrays have many chunks."""
    icechunk = icechunk_module()
    config = icechunk.RepositoryConfig.default()
    splits = {
        icechunk.ManifestSplitCondition.path_matches(f"^/{_as_pattern(path)}$"): {
            icechunk.ManifestSplitDimCondition.Axis(axis): count
        }
        for path, (axis, count) in _splits(layout).items()
    }
    if splits:
        splitting = icechunk.ManifestSplittingConfig.from_dict(splits)
        config.manifest = icechunk.ManifestConfig(splitting=splitting)
    version = {}
    if any(array.metadata.uneven_chunks for array in layout.arrays.values()):
        if int(icechunk.__version__.partition(".")[0]) < _KNOWS_RECTILINEAR:
            raise UnsupportedGridError(
                f"{url}: Icechunk {icechunk.__version__} has no word for chunks of several lengths (a rectilinear "
                "grid). Way out: Icechunk 2 or later (Python 3.12 or later), or a Zarr store (.zarr)"
            )
        version["spec_version"] = _KNOWS_RECTILINEAR
    with told(url):
        return icechunk.Repository.create(storage_of(url, storage_options), config=config, **version)


def without_caches(repository: Any, url: str, storage_options: Mapping[str, Any] | None) -> Any:
    """The same repository, which keeps no manifest that was written: by default it keeps 15,000,000 references."""
    icechunk = icechunk_module()
    config = repository.config
    config.caching = icechunk.CachingConfig(num_chunk_refs=0, num_bytes_chunks=0)
    with told(url):
        return icechunk.Repository.open(storage_of(url, storage_options), config=config)


def is_published(repository: Any) -> bool:
    """Whether anything was committed to ``main``."""
    return bool(repository.lookup_branch(MAIN) != INITIAL)


def add_containers(
    repository: Any,
    url: str,
    storage_options: Mapping[str, Any] | None,
    urls: Iterable[str],
    sources: Mapping[str, Any],
) -> list[str]:
    """Give a repository the virtual chunk containers that it lacks, and save them; the prefixes that it needs.

    Args:
        repository: of the store.
        url: of the repository.
        storage_options: for it.
        urls: of referenced files, as Icechunk takes them.
        sources: options of the inputs' stores that are no secrets, such as ``region``.

    Raises:
        UnsupportedError: places that Icechunk cannot read chunks from.
    """
    icechunk = icechunk_module()
    config = repository.config
    known = tuple(config.virtual_chunk_containers or ())
    needed = _prefixes(urls)
    new = [prefix for prefix in needed if not prefix.startswith(known)]
    for prefix in new:
        config.set_virtual_chunk_container(icechunk.VirtualChunkContainer(prefix, _store_of(prefix, sources)))
    if new:
        with told(url):
            icechunk.Repository.open(storage_of(url, storage_options), config=config).save_config()
    return sorted({next((p for p in (*known, *new) if prefix.startswith(p)), prefix) for prefix in needed})


def container_access(repository: Any, source_options: Mapping[str, Any] | None) -> dict[str, Any]:
    """What opens the containers of a repository, with the options of the files' stores, in the words of obstore."""
    icechunk = icechunk_module()
    access: dict[str, Any] = {}
    for prefix in repository.config.virtual_chunk_containers or ():
        scheme = scheme_of(prefix)
        kind = getattr(icechunk.credentials, _ACCESS.get(scheme, ""), None)
        access[prefix] = kind
        if scheme == "s3":
            words = _s3_words(scheme, source_options)
            names = ("access_key_id", "secret_access_key", "session_token", "anonymous", "from_env")
            access[prefix] = icechunk.s3_credentials(**{name: words[name] for name in names if name in words})
        elif scheme in ("gs", "gcs"):
            words = _words(scheme, source_options, _GS_WORDS, "base_url")
            access[prefix] = icechunk.gcs_credentials(**{name: words[name] for name in words if name != "config"})
        elif scheme in _AZ:
            words = _words(scheme, source_options, _AZ_WORDS, "endpoint")
            given = {name: words[name] for name in ("access_key", "sas_token", "from_env") if name in words}
            access[prefix] = icechunk.azure_credentials(**given)
    return icechunk.containers_credentials(access)  # type: ignore[no-any-return]


def access_text(repository: Any) -> str:
    """What a reader says to Icechunk of the containers of a repository, as Python; empty where there are none."""
    credentials = icechunk_module().credentials
    words = []
    for prefix in sorted(repository.config.virtual_chunk_containers or ()):
        name = _ACCESS.get(scheme_of(prefix), "")
        words.append(f"{prefix!r}: {f'icechunk.credentials.{name}' if hasattr(credentials, name) else None}")
    return f"authorize_virtual_chunk_access={{{', '.join(words)}}}" if words else ""


class told:
    """Turns errors of Icechunk into ours, with the URL of the repository."""

    def __init__(self, url: str) -> None:
        self._url = url

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        if isinstance(error, icechunk_module().IcechunkError):
            raise StoreError(f"{self._url}: Icechunk says {_first_lines(error)}") from None


def _first_lines(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return " ".join(lines[:4])[:500]


def _as_pattern(path: str) -> str:
    return "".join(letter if letter.isalnum() or letter in "/_" else f"\\x{{{ord(letter):x}}}" for letter in path)


def _splits(layout: Layout) -> dict[str, tuple[int, int]]:
    """For each array of references, an axis and a number of chunks along it that one manifest holds.

    The axis is the first one where that is possible, along which most stores grow: a commit writes each manifest anew
    that it adds to, and no other.
    """
    found = {}
    for path, array in layout.arrays.items():
        grid_shape = array.metadata.chunk_grid.grid_shape
        if array.is_loaded or not grid_shape:
            continue
        inner = 1
        for axis in reversed(range(len(grid_shape))):
            if axis == 0 or inner * grid_shape[axis] > MANIFEST_REFERENCES:
                found[path] = (axis, max(1, MANIFEST_REFERENCES // max(1, inner)))
                break
            inner *= grid_shape[axis]
    return found


def _prefixes(urls: Iterable[str]) -> list[str]:
    """The containers that hold files: buckets and hosts, and of local files the folder that has all of them."""
    prefixes: set[str] = set()
    folders: list[str] = []
    for url in urls:
        scheme, _, rest = url.partition("://")
        if scheme == "file":
            folders.append(unquote(rest).rpartition("/")[0] or "/")
        elif scheme in ("s3", "gs", "gcs", "http", "https") or (scheme in _AZ and "@" not in rest.partition("/")[0]):
            prefixes.add(f"{scheme}://{rest.partition('/')[0]}/")
        else:
            raise UnsupportedError(
                f"{url}: containers are for file://, s3://, gs://, az://CONTAINER and http(s)://. Way out: "
                "Kerchunk references (.parquet), or give the repository a container first and append to it"
            )
    if folders:
        common = os.path.commonpath(folders)
        while _is_encoded(common):  # a container is looked for by both the encoded URL and the decoded one
            common = os.path.dirname(common)
        prefixes.add(f"file://{common.rstrip('/')}/")
    return sorted(prefixes)


def _is_encoded(path: str) -> bool:
    return icechunk_url(f"file://{path}") != f"file://{path}"


def _store_of(prefix: str, sources: Mapping[str, Any]) -> Any:
    icechunk = icechunk_module()
    scheme = scheme_of(prefix)
    if scheme == "file":
        return icechunk.local_filesystem_store(local_path_of(prefix))
    if scheme == "s3":
        words = _s3_words("s3", sources)
        given = {name: words[name] for name in _PUBLIC_S3_WORDS if name in words}
        return icechunk.s3_store(**{"region": "us-east-1", "s3_compatible": "endpoint_url" in given, **given})
    if scheme in ("gs", "gcs"):
        return icechunk.gcs_store({"google_base_url": str(sources["base_url"])} if "base_url" in sources else None)
    if scheme in _AZ:
        words = _words(scheme, sources, _AZ_WORDS, "endpoint")
        account = str(words.get("account") or os.environ.get(_AZ_ACCOUNT, ""))
        if not account:
            raise InputError(f"{prefix} does not say which account. {_NAME_ACCOUNT}")
        return icechunk.ObjectStoreConfig.Azure({"account": account, **_azure_endpoint(words)})
    return icechunk.http_store({"allow_http": "true"} if scheme == "http" else None)


def _azure_endpoint(words: Mapping[str, Any]) -> dict[str, str]:
    """Where an account is served that is not at its usual place, in the words of Icechunk."""
    config = dict(words.get("config", {}))
    if endpoint := config.pop("endpoint", None):
        config["azure_storage_endpoint"] = endpoint
    return config


def _s3_words(scheme: str, options: Mapping[str, Any] | None) -> dict[str, Any]:
    given = dict(object_options(scheme, options))
    is_hosted = bool(given.pop("virtual_hosted_style_request", given.pop("aws_virtual_hosted_style_request", False)))
    words = _words(scheme, given, _S3_WORDS, None)
    endpoint = words.get("endpoint_url")
    if endpoint is not None:
        words["force_path_style"] = not is_hosted
        words["allow_http"] = str(endpoint).startswith("http://")
    return words


def _words(
    scheme: str, options: Mapping[str, Any] | None, names: Mapping[str, str], endpoint: str | None
) -> dict[str, Any]:
    """Options in Icechunk's words; where none of them is a credential, those of the environment are asked for."""
    words: dict[str, Any] = {}
    for word, value in object_options(scheme, options).items():
        plain = plain_word(word)
        if plain in names:
            words[names[plain]] = value
        elif plain == endpoint:
            words["config"] = {endpoint: str(value), "allow_http": str(str(value).startswith("http://")).lower()}
        elif plain not in ("client_options", "retry_config"):
            raise InputError(
                f"storage_options has {word!r}, and Icechunk's storage for {scheme}:// takes {', '.join(sorted(names))}"
            )
    if not any(words.get(name) for name in _CREDENTIALS):
        words["from_env"] = True
    return words
