"""Credentials that the host of a container serves: Amazon ECS, EKS Pod Identity and others.

https://docs.aws.amazon.com/sdkref/latest/guide/feature-container-credentials.html
"""

from aios3get._config.small_files import read_small_file
from aios3get._protocol.credentials.container import (
    FULL_URI,
    NO_TOKEN,
    RELATIVE_URI,
    ContainerSettings,
    container_settings,
    credentials_request,
    is_token,
    parse_credentials,
)
from aios3get._protocol.credentials.failure import no_response
from aios3get._protocol.identity import Credentials
from aios3get.credentials.context import ProviderContext
from aios3get.credentials.provider import Provider, Unavailable
from aios3get.errors import ConfigurationError, CredentialsError, TransportError

__all__ = ["ContainerCredentials"]


class ContainerCredentials(Provider):
    """A provider of the credentials of an ECS task or an EKS pod with Pod Identity.

    The environment has the URL: ``AWS_CONTAINER_CREDENTIALS_RELATIVE_URI``, a path on
    169.254.170.2, else ``AWS_CONTAINER_CREDENTIALS_FULL_URI``, which without TLS must have a
    loopback address or a link-local address of ECS or EKS. The authorization token of the request
    is read from the file ``AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE`` each time, else taken from
    ``AWS_CONTAINER_AUTHORIZATION_TOKEN``.
    """

    def __repr__(self) -> str:
        return "ContainerCredentials()"

    def __str__(self) -> str:
        return "the container credentials service"

    async def load(self, context: ProviderContext) -> Credentials | Unavailable:
        """Request the credentials.

        Raises:
            CredentialsError: the service failed, or the token file cannot be read.
            ConfigurationError: an environment variable is invalid.
        """
        settings = container_settings(context.environ)
        if settings is None:
            return Unavailable(f"neither {RELATIVE_URI} nor {FULL_URI} is set")
        prefix = f"{settings.variable} is set, but"
        request = credentials_request(settings, await _token(settings))
        try:
            response = await context.fetch(request, timeout=5.0, connect_timeout=1.0)
        except TransportError as error:
            raise no_response(error, f"{prefix} ") from None
        return parse_credentials(response, f"{prefix} the response from {settings.host}")


async def _token(settings: ContainerSettings) -> str | None:
    path = settings.token_file
    if path is None:
        return settings.token
    try:
        token = (await read_small_file(path)).decode("latin-1")
    except OSError as error:
        raise CredentialsError(
            f"the file that AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE names cannot be read:"
            f" {error.strerror}: {path}"
        ) from None
    if not is_token(token):
        # Error reporters send the locals of a frame that raises.
        del token
        raise ConfigurationError(f"the file {path} {NO_TOKEN}")
    return token
