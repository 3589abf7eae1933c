"""Executors for ``open_virtual_mfdataset(parallel=...)`` under the names that VirtualiZarr's users import them by.

There is none for Lithops: any class of ``concurrent.futures.Executor`` that is made without arguments will do.
"""

from vz_beam.datasets.executors import DaskExecutor as DaskDelayedExecutor
from vz_beam.datasets.executors import SerialExecutor
from vz_beam.datasets.executors import executor_class as get_executor

__all__ = ["DaskDelayedExecutor", "SerialExecutor", "get_executor"]
