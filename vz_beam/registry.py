"""``ObjectStoreRegistry``: stores by URL prefix, under the name that VirtualiZarr's users know from ``obspec_utils``.

That one is taken as well wherever a registry is asked for.
"""

from vz_beam.storage.registry import PrefixRegistry as ObjectStoreRegistry

__all__ = ["ObjectStoreRegistry"]
