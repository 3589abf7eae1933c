"""The flow as Apache Beam transforms: wiring only, every step is a function of the folders before."""

from vz_beam.transforms import coders as coders  # registers the coders of keys when a pipeline is built or unpickled
from vz_beam.transforms.building import build
from vz_beam.transforms.combining import Combined, CombineManifests
from vz_beam.transforms.opening import Opened, OpenWithVirtualizarr
from vz_beam.transforms.runners import local_runner
from vz_beam.transforms.writing import WriteReferences

__all__ = ["CombineManifests", "Combined", "OpenWithVirtualizarr", "Opened", "WriteReferences", "build", "local_runner"]
