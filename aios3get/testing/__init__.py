"""An S3 for tests: ``S3Server`` on loopback, with faults on demand.

The modules are imported on first use, because pytest loads this package for its fixture in every
run of every project that has aios3get installed.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from aios3get.testing import faults
    from aios3get.testing.answers import Refusal
    from aios3get.testing.credentials import ServerCredentials
    from aios3get.testing.received import ReceivedRequest
    from aios3get.testing.server import S3Server
    from aios3get.testing.store import StoredObject

__all__ = [
    "S3Server",
    "ServerCredentials",
    "StoredObject",
    "ReceivedRequest",
    "Refusal",
    "faults",
]

_homes = {
    "S3Server": "server",
    "ServerCredentials": "credentials",
    "StoredObject": "store",
    "ReceivedRequest": "received",
    "Refusal": "answers",
}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    home = import_module(f".{_homes.get(name, name)}", __name__)
    return getattr(home, name, home)
