"""Small requests to the services that hand out credentials, apart from the client's connections."""

import os
from collections.abc import Mapping
from typing import Final
from urllib.parse import urlsplit

import aiohttp

from aios3get._http.proxies import Proxies
from aios3get.errors import ConnectionFailed, TransportError, TransportTimeout

__all__ = ["post_form"]

_MAX_BYTES: Final = 1_048_576


async def post_form(
    url: str, form: Mapping[str, str], *, seconds: float = 15.0
) -> tuple[int, bytes]:
    """POST a form and give the answer's status and its body, at most 1 MiB of it.

    Redirects are not followed: the form holds a secret.

    Raises:
        TransportTimeout: no complete answer within ``seconds``.
        ConnectionFailed: no connection, or it broke.
        TransportError: the body is larger than 1 MiB.
        ConfigurationError: the environment's proxy is not the URL of an HTTP proxy.
    """
    parts = urlsplit(url)
    added, route = Proxies.from_environment(os.environ).route(parts.scheme, parts.netloc)
    try:
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=seconds)) as session,
            session.post(
                url,
                data=dict(form),
                headers={"Accept": "application/json", **added},
                allow_redirects=False,
                **route,
            ) as answer,
        ):
            body = await _read(answer, parts.netloc)
            return answer.status, body
    except TimeoutError as error:
        raise TransportTimeout(
            f"{parts.hostname} did not answer within {seconds:g} s",
            limit="deadline",
            seconds=seconds,
        ) from error
    except aiohttp.ClientError as error:
        raise ConnectionFailed(
            f"no answer from {parts.hostname}: {type(error).__name__}"
        ) from error


async def _read(answer: aiohttp.ClientResponse, host: str) -> bytes:
    body = bytearray()
    async for chunk in answer.content.iter_any():
        body += chunk
        if len(body) > _MAX_BYTES:
            raise TransportError(f"the answer of {host} is larger than 1 MiB")
    return bytes(body)
