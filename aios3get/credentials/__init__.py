"""Where credentials come from.

Any callable without arguments, sync or async, that gives ``Credentials`` is a provider. These are
the ones that come along, and what composes them.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from aios3get._protocol.identity import (
    ANONYMOUS,
    Anonymous,
    BearerToken,
    Credentials,
    CredentialsProvider,
    Identity,
)
from aios3get.credentials.cached import CredentialsSource, cached
from aios3get.credentials.chain import chain, default_chain
from aios3get.credentials.environment import EnvironmentCredentials
from aios3get.credentials.ibm import IBMCloudAPIKey
from aios3get.credentials.profile import ProfileCredentials

if TYPE_CHECKING:
    from aios3get.credentials.container import ContainerCredentials
    from aios3get.credentials.imds import InstanceMetadata
    from aios3get.credentials.process import Process

__all__ = [
    "ANONYMOUS",
    "Anonymous",
    "BearerToken",
    "ContainerCredentials",
    "Credentials",
    "CredentialsProvider",
    "CredentialsSource",
    "EnvironmentCredentials",
    "IBMCloudAPIKey",
    "Identity",
    "InstanceMetadata",
    "Process",
    "ProfileCredentials",
    "cached",
    "chain",
    "default_chain",
]

# Imported when they are first used: most programs need one of them, or none.
_MODULES: Final = {
    "ContainerCredentials": "container",
    "InstanceMetadata": "imds",
    "Process": "process",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
    return value
