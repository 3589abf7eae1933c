"""The three sentences of the design on imports, Beam and input/output, and the limits on files, held by reading code.

Each check is a function from source text to a list of problems, so that bad snippets can show that it fails.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = "vz_beam"

ORDER = (
    "errors",
    "plugins",
    "manifests",
    "codecs",
    "patterns",
    "combine",
    "storage",
    "parsers",
    "writers",
    "datasets",
    *("parallel", "registry", "xarray"),  # modules that re-export names where users of VirtualiZarr look for them
    "testing",
    "transforms",
    "cli",
)
"""From left to right: a module imports from its own place or from further left."""

PURE = ("manifests", "codecs", "patterns", "combine")
WITH_BEAM = ("transforms", "cli")
SCANNED = ("vz_beam", "tests", "integration", "pipelines")
NAMELESS = ("core", "base", "utils", "util", "common", "helpers", "helper", "misc")
NAMED_BY_OTHERS = ("vz_beam/manifests/utils.py",)
"""Modules that parsers written for VirtualiZarr import by these names."""
MAX_LINES = 400

IO_MODULES = (
    *("aiohttp", "fsspec", "getpass", "glob", "h5netcdf", "http", "kerchunk", "multiprocessing", "netCDF4"),
    *("obstore", "os", "pathlib", "requests", "s3fs", "select", "shutil", "signal", "socket", "ssl", "subprocess"),
    *("tempfile", "time", "urllib.request", "urllib3"),
)
"""Modules that reach network, disk, clock or environment, submodules included."""
HARMLESS_NAMES = {"os": {"PathLike"}, "pathlib": {"PurePath", "PurePosixPath", "PureWindowsPath"}}
"""Names of those modules that touch nothing."""
IO_CALLS = ("breakpoint", "input", "open", "print")
IO_METHODS = (
    *("fromfile", "genfromtxt", "loadtxt", "memmap", "now", "open_dataset", "open_datatree", "open_mfdataset"),
    *("open_zarr", "read_bytes", "read_text", "savez", "to_netcdf", "to_zarr", "today", "utcnow", "write_bytes"),
    *("write_text",),
)

Imported = tuple[int, str, str]
"""Line, module, and the name taken from it, empty where the module itself is imported."""


def imports_of(path: str, source: str) -> Iterator[Imported]:
    """Every import of a file, inside functions too, relative ones resolved, ``import_module("...")`` included."""
    parts = path.removesuffix(".py").split("/")
    package = parts[:-1]
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name, "") for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*above, *filter(None, [node.module])])
            yield from ((node.lineno, module, alias.name) for alias in node.names)
        elif isinstance(node, ast.Call) and _called(node) in ("import_module", "__import__"):
            yield from (
                (node.lineno, a.value, "")
                for a in node.args[:1]
                if isinstance(a, ast.Constant) and isinstance(a.value, str)
            )


def place_of(module: str) -> str:
    """The part of the package that a module stands in; empty for the package itself and for other packages."""
    return module.split(".")[1] if module.startswith(PACKAGE + ".") else ""


def wrong_directions(path: str, source: str) -> list[str]:
    """Imports that run from left to right in ``ORDER``; the package's own ``__init__`` may name everything."""
    if path == f"{PACKAGE}/__init__.py":
        return []
    here = place_of(path.removesuffix(".py").removesuffix("/__main__").replace("/", ".")) or "cli"
    if here not in ORDER:
        return [f"{path} stands in no place of the import order"]
    problems = []
    for line, module, name in imports_of(path, source):
        if module.split(".")[0] != PACKAGE:
            continue
        there = place_of(f"{module}.{name}" if name and module == PACKAGE else module)
        if there not in ORDER:
            problems.append(f"{path}:{line} imports {name or module} from {PACKAGE} itself: name the module it is in")
        elif ORDER.index(there) > ORDER.index(here):
            problems.append(f"{path}:{line} in {here} imports from {there}, which stands to its right")
    return problems


def misplaced_beam(path: str, source: str) -> list[str]:
    """Imports of Beam outside ``transforms`` and ``cli``."""
    if path.split("/")[1].removesuffix(".py") in WITH_BEAM:
        return []
    return [f"{path}:{line} imports {m}" for line, m, _ in imports_of(path, source) if m.split(".")[0] == "apache_beam"]


def input_or_output(path: str, source: str) -> list[str]:
    """Imports and calls of a PURE folder that reach network, disk, clock or environment."""
    folder = path.split("/")[1]
    if folder not in PURE:
        return []
    problems = [
        f"{path}:{line} imports {name and name + ' from '}{module}"
        for line, module, name in imports_of(path, source)
        if _does_io(module, name) or (module.split(".")[0] == "h5py" and folder != "codecs")
    ]
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Call):
            continue
        name = _called(node)
        if isinstance(node.func, ast.Name) and name in IO_CALLS:
            problems.append(f"{path}:{node.lineno} calls {name}()")
        elif isinstance(node.func, ast.Attribute) and name in IO_METHODS:
            problems.append(f"{path}:{node.lineno} calls .{name}()")
        elif name == "datetime64" and any(
            isinstance(a, ast.Constant) and a.value in ("now", "today") for a in node.args
        ):
            problems.append(f"{path}:{node.lineno} asks datetime64 for the time")
    return problems


def too_long(path: str, source: str) -> list[str]:
    """A file of more than ``MAX_LINES`` lines."""
    count = len(source.splitlines())
    return [f"{path} has {count} lines, more than {MAX_LINES}"] if count > MAX_LINES else []


def nameless(path: str, source: str) -> list[str]:
    """A file or folder of a name that says nothing."""
    parts = path.removesuffix(".py").split("/")
    if path in NAMED_BY_OTHERS:
        return []
    return [f"{path}: {part!r} is missing its name" for part in parts if part.strip("_") in NAMELESS]


def _does_io(module: str, name: str) -> bool:
    """Whether the module, the name in it, or a package above them is one of ``IO_MODULES``."""
    if name in HARMLESS_NAMES.get(module, ()):
        return False
    full = f"{module}.{name}." if name else f"{module}."
    return any(full.startswith(f"{io_module}.") for io_module in IO_MODULES)


def _called(node: ast.Call) -> str:
    if isinstance(node.func, ast.Attribute):
        return node.func.attr
    return node.func.id if isinstance(node.func, ast.Name) else ""


Check = Callable[[str, str], list[str]]
PACKAGE_CHECKS: tuple[Check, ...] = (wrong_directions, misplaced_beam, input_or_output, nameless)


def _sources(*folders: str) -> dict[str, str]:
    return {
        path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8")
        for folder in folders
        for path in sorted((ROOT / folder).rglob("*.py"))
    }


@pytest.mark.parametrize("check", PACKAGE_CHECKS)
def test_the_package_keeps_the_rule(check: Check) -> None:
    sources = _sources(PACKAGE)
    assert f"{PACKAGE}/errors.py" in sources
    assert [problem for path, source in sources.items() for problem in check(path, source)] == []


def test_no_file_is_longer_than_the_limit() -> None:
    assert [problem for path, source in _sources(*SCANNED).items() for problem in too_long(path, source)] == []


def test_importing_the_package_loads_neither_beam_nor_a_format_library() -> None:
    assert _loaded_by("import vz_beam") == []


def test_loaded_libraries_are_seen() -> None:
    assert _loaded_by("import vz_beam, h5py") == ["h5py"]


def _loaded_by(statement: str) -> list[str]:
    heavy = "('apache_beam', 'h5py', 'xarray', 'zarr', 'pyarrow', 'obstore', 'fsspec', 'pandas')"
    code = f"{statement}\nimport sys\nprint(*[name for name in {heavy} if name in sys.modules])"
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    return run.stdout.split()


@pytest.mark.parametrize(
    ("check", "path", "source", "problem"),
    [
        (wrong_directions, "vz_beam/codecs/lzf.py", "from vz_beam.storage import open_source", "imports from storage"),
        (wrong_directions, "vz_beam/codecs/lzf.py", "import vz_beam.storage.byte_source", "imports from storage"),
        (wrong_directions, "vz_beam/codecs/lzf.py", "from ..parsers import hdf5", "imports from parsers"),
        (wrong_directions, "vz_beam/parsers/hdf5/tree.py", "from ...writers.x import y", "imports from writers"),
        (wrong_directions, "vz_beam/parsers/hdf5/__init__.py", "from ...writers import y", "imports from writers"),
        (wrong_directions, "vz_beam/errors.py", "from .plugins import find", "imports from plugins"),
        (wrong_directions, "vz_beam/errors.py", "def f():\n    from vz_beam import cli", "imports from cli"),
        (wrong_directions, "vz_beam/errors.py", "import_module('vz_beam.cli')", "imports from cli"),
        (wrong_directions, "vz_beam/testing/x.py", "import vz_beam.transforms", "imports from transforms"),
        (wrong_directions, "vz_beam/combine/x.py", "from vz_beam import FilePattern", "from vz_beam itself"),
        (wrong_directions, "vz_beam/combine/x.py", "import vz_beam", "from vz_beam itself"),
        (wrong_directions, "vz_beam/elsewhere.py", "", "in no place"),
        (misplaced_beam, "vz_beam/datasets/x.py", "import apache_beam as beam", "imports apache_beam"),
        (misplaced_beam, "vz_beam/combine/x.py", "def f():\n    from apache_beam.coders import Coder", "apache_beam"),
        (input_or_output, "vz_beam/patterns/x.py", "import os.path", "imports os.path"),
        (input_or_output, "vz_beam/patterns/x.py", "from os import PathLike, environ", "environ from os"),
        (input_or_output, "vz_beam/patterns/x.py", "from pathlib import Path", "Path from pathlib"),
        (input_or_output, "vz_beam/combine/x.py", "import urllib.request", "urllib.request"),
        (input_or_output, "vz_beam/combine/x.py", "from urllib import request", "request from urllib"),
        (input_or_output, "vz_beam/combine/x.py", "def f():\n    import obstore.store", "obstore"),
        (input_or_output, "vz_beam/combine/x.py", "import h5py", "h5py"),
        (input_or_output, "vz_beam/manifests/x.py", "open('x')", "calls open()"),
        (input_or_output, "vz_beam/manifests/x.py", "datetime.datetime.now()", "calls .now()"),
        (input_or_output, "vz_beam/manifests/x.py", "np.datetime64('now')", "asks datetime64"),
        (input_or_output, "vz_beam/codecs/x.py", "xr.open_dataset(url)", "calls .open_dataset()"),
        (too_long, "vz_beam/x.py", "x = 1\n" * 401, "401 lines"),
        (nameless, "vz_beam/combine/_utils.py", "", "'_utils'"),
        (nameless, "vz_beam/common/x.py", "", "'common'"),
    ],
)
def test_a_broken_rule_is_seen(check: Check, path: str, source: str, problem: str) -> None:
    problems = check(path, source)
    assert len(problems) == 1
    assert problem in problems[0]


@pytest.mark.parametrize(
    ("check", "path", "source"),
    [
        (wrong_directions, "vz_beam/__init__.py", "import_module('vz_beam.cli')"),
        (wrong_directions, "vz_beam/__main__.py", "from vz_beam.cli import main"),
        (wrong_directions, "vz_beam/cli/__init__.py", "from vz_beam.testing import samples"),
        (wrong_directions, "vz_beam/combine/x.py", "from vz_beam.combine.y import z\nfrom vz_beam import errors"),
        (wrong_directions, "vz_beam/combine/x.py", "from .y import z\nfrom . import w\nimport numpy"),
        (misplaced_beam, "vz_beam/transforms/x.py", "import apache_beam as beam"),
        (misplaced_beam, "vz_beam/cli/x.py", "import apache_beam as beam"),
        (input_or_output, "vz_beam/patterns/x.py", "from os import PathLike\nfrom pathlib import PurePosixPath"),
        (input_or_output, "vz_beam/patterns/x.py", "import urllib.parse\nimport io\nimport timeit"),
        (input_or_output, "vz_beam/patterns/x.py", "np.datetime64('1999-01-04')\nsource.open()"),
        (input_or_output, "vz_beam/codecs/x.py", "import h5py"),
        (input_or_output, "vz_beam/storage/x.py", "import os\nopen('x')"),
        (too_long, "vz_beam/x.py", "x = 1\n" * 400),
        (nameless, "vz_beam/writers/corestore.py", ""),
    ],
)
def test_what_the_rules_allow_passes(check: Check, path: str, source: str) -> None:
    assert check(path, source) == []
