"""Providers of credentials.

A provider is any callable without arguments, sync or async, that returns ``Credentials``. This
package has the providers that come with aios3get, and the functions that combine them. A module is
imported when one of its names is first used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from aios3get._protocol.identity import (
    ANONYMOUS,
    Anonymous,
    BearerToken,
    Credentials,
    CredentialsProvider,
    Identity,
)
from aios3get.credentials.chain import chain, default_chain
from aios3get.credentials.environment import EnvironmentCredentials
from aios3get.credentials.source import CredentialsSource, cached

if TYPE_CHECKING:
    from aios3get.credentials.assume_role import AssumeRole
    from aios3get.credentials.botocore_session import from_botocore
    from aios3get.credentials.container import ContainerCredentials
    from aios3get.credentials.ibm import IBMCloudAPIKey
    from aios3get.credentials.imds import InstanceMetadata
    from aios3get.credentials.process import Process
    from aios3get.credentials.profile import ProfileCredentials
    from aios3get.credentials.sso import SSO
    from aios3get.credentials.sts import WebIdentity

__all__ = [
    "ANONYMOUS",
    "Anonymous",
    "AssumeRole",
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
    "SSO",
    "WebIdentity",
    "cached",
    "chain",
    "default_chain",
    "from_botocore",
]

_MODULES = {
    "AssumeRole": "assume_role",
    "ContainerCredentials": "container",
    "IBMCloudAPIKey": "ibm",
    "InstanceMetadata": "imds",
    "Process": "process",
    "ProfileCredentials": "profile",
    "SSO": "sso",
    "WebIdentity": "sts",
    "from_botocore": "botocore_session",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
