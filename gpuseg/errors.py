"""Every error that gpuseg raises on purpose, with its exit code.

::

    GpusegError                     exit  code
    ├── ConfigError (ValueError)       2  config
    ├── DataError (ValueError)         3  data
    │   ├── SchemaError                3  schema
    │   ├── InvalidValueError          3  invalid-value
    │   └── EmptyDataError             3  empty-data
    ├── ClusteringError (ValueError)   3  clustering
    ├── EngineError                    4  engine
    │   ├── DeviceUnavailableError     4  device-unavailable
    │   ├── UnsupportedOnDeviceError   4  unsupported-on-device
    │   └── DeviceMemoryError          4  device-memory
    ├── SourceUnavailableError         4  source-unavailable
    ├── IntegrityError                 5  integrity
    ├── WorkspaceError                 4  workspace
    └── GateFailed                     1  gate-failed

A message is one line: what failed, where (file, row, column), what was available, what to do next. It never holds a
profile id or another personal value; an offending value is shown only when it comes from the configuration.
"""

from typing import ClassVar


class GpusegError(Exception):
    """Base of every error that gpuseg raises on purpose."""

    exit_code: ClassVar[int] = 1
    code: ClassVar[str] = "error"


class ConfigError(GpusegError, ValueError):
    """The configuration or the command line asks for something that cannot be."""

    exit_code = 2
    code = "config"


class DataError(GpusegError, ValueError):
    """The data cannot be used as it is."""

    exit_code = 3
    code = "data"


class SchemaError(DataError):
    """A file, column or type is not what the configuration says."""

    code = "schema"


class InvalidValueError(DataError):
    """A single value breaks its column's contract; the message names file, row and column."""

    code = "invalid-value"


class EmptyDataError(DataError):
    """Nothing is left to work on."""

    code = "empty-data"


class ClusteringError(GpusegError, ValueError):
    """The matrix cannot be clustered as asked."""

    exit_code = 3
    code = "clustering"


class EngineError(GpusegError):
    """The hardware or the executor could not do its work."""

    exit_code = 4
    code = "engine"


class DeviceUnavailableError(EngineError):
    """The device that was asked for is not usable on this machine."""

    code = "device-unavailable"


class UnsupportedOnDeviceError(EngineError):
    """The capability table has no row for this algorithm on this device."""

    code = "unsupported-on-device"


class DeviceMemoryError(EngineError):
    """Not enough device memory, with the bytes needed and the bytes free."""

    code = "device-memory"


class SourceUnavailableError(GpusegError):
    """The place where data lies is silent, does not let us in, breaks off or asks to wait; the data may be in order."""

    exit_code = 4
    code = "source-unavailable"


class IntegrityError(GpusegError):
    """A stored file is not the one that was committed, or is not to be trusted; or data changed while it was read."""

    exit_code = 5
    code = "integrity"


class WorkspaceError(GpusegError):
    """A run directory cannot be used: locked by another writer, not writable, or out of space."""

    exit_code = 4
    code = "workspace"


class GateFailed(GpusegError):
    """A quality gate, audit or threshold was not met."""

    exit_code = 1
    code = "gate-failed"
