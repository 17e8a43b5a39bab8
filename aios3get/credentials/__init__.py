"""Where credentials come from.

Any callable without arguments, sync or async, that gives ``Credentials`` is a provider. These are
the ones that come along, and what composes them.
"""

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

__all__ = [
    "ANONYMOUS",
    "Anonymous",
    "BearerToken",
    "Credentials",
    "CredentialsProvider",
    "CredentialsSource",
    "EnvironmentCredentials",
    "IBMCloudAPIKey",
    "Identity",
    "ProfileCredentials",
    "cached",
    "chain",
    "default_chain",
]
