"""The exceptions of vz_beam. All of them survive pickle: every argument reaches ``super().__init__``.

VzBeamError
├── InputError            an argument or pattern that cannot work (also a ValueError)
│   ├── InputTypeError    an argument of a wrong type (also a TypeError)
│   ├── PatternError      names and keys of a pattern do not fit together
│   └── RunnerError       a Beam runner known to be wrong
├── SourceError           bytes could not be read
│   ├── SourceNotFoundError
│   ├── ExternalFileError  a file names one of another host or folder, which nobody asked for
│   └── TransientSourceError  worth another try: time-outs, 429, 5xx, connection resets
├── FormatError           bytes that are not what their format promises
│   └── TruncatedFileError
├── UnsupportedError      right bytes that references cannot express
│   ├── UnsupportedGridError  a chunk grid that is not regular (also a NotImplementedError)
│   └── ReadOnlyStoreError    a store that cannot be written (also a NotImplementedError)
├── ManifestError         an operation that a manifest array cannot do (also a ValueError)
│   ├── ManifestIndexError  an index or axis that is not there (also an IndexError)
│   ├── ManifestTypeError an argument of a wrong type (also a TypeError)
│   └── NeedsValuesError  one that would read data (also a NotImplementedError and a TypeError)
├── CombineError
│   ├── MismatchError     inputs that disagree; carries every disagreement (also a ValueError)
│   │   └── StoreMismatchError  a dataset and the store that it shall go into
│   ├── HolesError        inputs that are absent
│   ├── LateInputError    an input of a stream whose place is behind what is published
│   └── OverlapError      two different values for one place
└── StoreError
    ├── StoreExistsError
    ├── StoreNotFoundError
    ├── TooManyFailuresError
    └── IncompleteStoreError  what was written is not what was planned
"""

from __future__ import annotations


class VzBeamError(Exception):
    """Base of every error that vz_beam raises on purpose."""


class InputError(VzBeamError, ValueError):
    """An argument that cannot work."""


class InputTypeError(InputError, TypeError):
    """An argument of a wrong type."""


class PatternError(InputError):
    """Names, keys or files of a pattern that do not fit together."""


class RunnerError(InputError):
    """A Beam runner that is known to lose or change data."""


class SourceError(VzBeamError):
    """Bytes of a source could not be read."""


class SourceNotFoundError(SourceError):
    """A source that is not there."""


class ExternalFileError(SourceError):
    """A file refers to one of another host, or outside its folder, which is not opened unasked."""


class TransientSourceError(SourceError):
    """A failure that may pass: a time-out, status 429 or 5xx, a connection reset."""


class LimitError(SourceError):
    """A file takes more time or bytes to open than it may."""


class FormatError(VzBeamError):
    """A file whose bytes are not what its format promises."""


class TruncatedFileError(FormatError):
    """A file that ends before its own structures say."""


class UnsupportedError(VzBeamError):
    """Something that is right in its file, and that references cannot express."""


class UnsupportedGridError(UnsupportedError, NotImplementedError):
    """A chunk grid other than the regular one."""


class ReadOnlyStoreError(UnsupportedError, NotImplementedError):
    """Something to be written to, or deleted from, a store of references."""


class ManifestError(VzBeamError, ValueError):
    """An operation on manifests that cannot be done without touching data."""


class ManifestIndexError(ManifestError, IndexError):
    """An index or an axis that an array does not have: a ValueError and an IndexError, as numpy's AxisError is."""


class ManifestTypeError(ManifestError, TypeError):
    """An argument of a wrong type."""


class NeedsValuesError(ManifestError, NotImplementedError, TypeError):
    """An operation that would have to read, decode or convert the values of a virtual array.

    What VirtualiZarr raises here is a NotImplementedError or, where numpy finds no implementation, a TypeError.
    """


class CombineError(VzBeamError):
    """Inputs that do not make one dataset."""


class MismatchError(CombineError, ValueError):
    """Inputs that disagree. ``disagreements`` holds one text for each, files and values named."""

    def __init__(self, disagreements: tuple[str, ...]) -> None:
        super().__init__(disagreements)
        self.disagreements = disagreements

    def __str__(self) -> str:
        count = len(self.disagreements)
        listed = "\n".join(f"  * {text}" for text in self.disagreements)
        return (
            f"the inputs disagree in {count} place{'s' if count != 1 else ''}:\n{listed}\n"
            "Way out: leave the odd files out of the pattern, drop the variables "
            "(drop_variables=[...]), load them instead of referencing them "
            "(loadable_variables=[...]), give each kind of file a group of the store (mismatch='split'), or write the "
            f"chunks anew that do not fit (mismatch='rewrite').{self._grids()}"
        )

    def _grids(self) -> str:
        about_chunks = (" would have a partial chunk in ", "' chunk shape: ")
        if not any(words in text for words in about_chunks for text in self.disagreements):
            return ""
        return (
            " An Icechunk or Zarr store can also keep chunks of the lengths that each file has "
            "(chunk_grid='rectilinear')."
        )


class StoreMismatchError(MismatchError):
    """A dataset that does not say the same as the arrays of a store that it shall go into."""

    def __str__(self) -> str:
        count = len(self.disagreements)
        listed = "\n".join(f"  * {text}" for text in self.disagreements)
        told = (
            f"the dataset and the store disagree in {count} place{'s' if count != 1 else ''}, and nothing was "
            f"written:\n{listed}"
        )
        if "Way out: " in listed:
            return told
        return (
            f"{told}\nWay out: drop the variables (dataset.drop_vars) where the store can do without them, "
            "or write to another group or store."
        )


class InputsChangedError(StoreMismatchError):
    """Inputs of a store that are not what they were when it was written."""

    def __str__(self) -> str:
        listed = "\n".join(f"  * {text}" for text in self.disagreements)
        return (
            f"inputs of the store have changed, and nothing was written:\n{listed}\nWay out: put what they hold now "
            "into their old places (changed='replace'), or build the store anew (mode='overwrite')."
        )


class RewriteError(CombineError):
    """Values of an input that cannot be stored as most inputs store theirs."""


class HolesError(CombineError):
    """Inputs that the pattern promises and that did not arrive."""


class LateInputError(CombineError):
    """An input of a stream that comes when what follows it is published, and for which the store has no hole."""


class OverlapError(CombineError):
    """Two different values for one place of the combined dataset."""


class StoreError(VzBeamError):
    """A reference store could not be written or read."""


class StoreExistsError(StoreError):
    """The target is there already and ``mode`` does not allow to replace it."""


class StoreNotFoundError(StoreError):
    """No store where one is to be changed or compared."""


class TooManyFailuresError(StoreError):
    """More inputs failed than a run may leave out."""


class IncompleteStoreError(StoreError):
    """What arrived at the store is not what the layout promised."""
