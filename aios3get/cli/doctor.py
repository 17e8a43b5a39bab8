"""``aios3get doctor``: checks the requirements of a request step by step."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Final, Literal
from urllib.parse import urlsplit

from aios3get import S3Client, errors
from aios3get._engine.client_state import ClientState
from aios3get._protocol.identity import Anonymous, BearerToken
from aios3get.cli.failures import describe
from aios3get.cli.locations import LinkLocation, Location
from aios3get.credentials.provider import Unavailable

__all__ = ["Finding", "examine"]

Verdict = Literal["ok", "warning", "failed", "skipped"]

_MARKS: Final = {"ok": "[ok]  ", "warning": "[warn]", "failed": "[FAIL]", "skipped": "[skip]"}
_SECONDS: Final = 5.0
# S3 rejects signatures with a larger clock skew:
# https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html
_ALLOWED_SKEW: Final = timedelta(minutes=15)
_NOTABLE_SKEW: Final = timedelta(seconds=30)

# The first class that an error belongs to counts.
_ADVICE: Final[dict[type[errors.S3Error], str]] = {
    errors.InvalidAccessKeyId: "check the access key ID, and that it is one of this server's",
    errors.SignatureDoesNotMatch: "check the secret access key",
    errors.ExpiredToken: "get new credentials",
    errors.PresignedUrlExpired: "ask for a new link",
    errors.AccessDenied: "allow s3:GetObject; without s3:ListBucket, a missing key has the same"
    " error",
    errors.NotFound: "check bucket and key",
}


@dataclass(frozen=True, slots=True)
class Finding:
    """The result of one step.

    Attributes:
        step: the name of the step.
        verdict: the outcome.
        text: a description of the result, without a secret.
        advice: how to correct a problem; empty if there is none.
    """

    step: str
    verdict: Verdict
    text: str
    advice: str = ""

    @property
    def mark(self) -> str:
        """The verdict as the beginning of a line."""
        return _MARKS[self.verdict]

    @property
    def failed(self) -> bool:
        """Whether requests cannot succeed."""
        return self.verdict == "failed"


async def examine(s3: S3Client, location: Location | None) -> AsyncIterator[Finding]:
    """Check each step in turn; skip the steps that depend on a failed one.

    Args:
        s3: the client to check.
        location: an object that the client should be able to read; None to send no request. A link
            needs neither region nor credentials.
    """
    try:
        exchange = await s3._start_exchange()
    except errors.S3Error as error:
        yield Finding("configuration", "failed", describe(error), "correct the named setting")
        return
    state = exchange.state
    if isinstance(location, LinkLocation):
        link = urlsplit(location.url)
        scheme, host = link.scheme, link.netloc
    else:
        yield _region(state)
        yield await _credentials(state)
        bucket = "amzn-s3-demo-bucket" if location is None else location.bucket
        try:
            endpoint = state.resolver.resolve(bucket)
        except errors.S3Error as error:
            yield Finding("endpoint", "failed", describe(error))
            return
        yield Finding("endpoint", "ok", f"{endpoint.url}, signed for {endpoint.signing_region}")
        scheme, host = endpoint.scheme, endpoint.host
    async for finding in _connection(state, scheme, host):
        yield finding
        if finding.failed:
            return
    yield await _probe(s3, location)


def _region(state: ClientState) -> Finding:
    return Finding("region", "ok", state.resolver.settings.region)


async def _credentials(state: ClientState) -> Finding:
    try:
        source, identity = await state.credentials.locate()
    except errors.S3Error as error:
        return Finding("credentials", "failed", describe(error))
    if isinstance(identity, Unavailable):
        return Finding(
            "credentials",
            "failed",
            "none found; " + "; ".join(identity.sources(source)),
            "run aws configure or aws sso login, set AWS_PROFILE, or use --no-sign-request for"
            " public objects",
        )
    if isinstance(identity, Anonymous):
        return Finding("credentials", "ok", "none: requests are sent unsigned")
    if isinstance(identity, BearerToken):
        text = f"a bearer token of {source}"
    else:
        kind = "temporary" if identity.session_token else "long-term"
        text = f"{kind} key {identity.access_key_id} of {source}"
    until = identity.expires_at
    if until is not None:
        text += f", until {until.isoformat(timespec='seconds')}"
        if until <= datetime.now(UTC):
            return Finding("credentials", "failed", text, "get new ones: these have expired")
    return Finding("credentials", "ok", text)


async def _connection(state: ClientState, scheme: str, address: str) -> AsyncIterator[Finding]:
    if state.proxies.proxy_for(scheme, address) is not None:
        yield Finding("connection", "skipped", "a configured proxy opens the connection")
        return
    host, _, port_text = address.partition(":")
    secure = scheme == "https"
    port = int(port_text) if port_text else 443 if secure else 80
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(_SECONDS):
            infos = await loop.getaddrinfo(host, port, type=1)
    except (OSError, TimeoutError) as error:
        yield Finding(
            "DNS",
            "failed",
            f"{host}: {describe(error)}",
            "check the endpoint's name and the network",
        )
        return
    addresses = sorted({str(each[4][0]) for each in infos})
    yield Finding("DNS", "ok", f"{host} is {', '.join(addresses[:4])}")
    context: ssl.SSLContext | None = None
    if secure:
        context = _context(state.verify)
    step = "TLS" if secure else "TCP"
    try:
        async with asyncio.timeout(_SECONDS):
            reader, writer = await asyncio.open_connection(host, port, ssl=context)
    except ssl.SSLCertVerificationError as error:
        yield Finding(
            step,
            "failed",
            f"the certificate is not trusted: {error.verify_message}",
            "pass your organisation's CA with --ca-bundle or AWS_CA_BUNDLE",
        )
        return
    except (OSError, TimeoutError) as error:
        yield Finding(
            step,
            "failed",
            f"no connection to port {port}: {describe(error)}",
            "check firewall, VPC endpoint and proxy settings",
        )
        return
    try:
        tls = writer.get_extra_info("ssl_object")
        version = f"{tls.version()}, " if tls is not None else ""
        trust = "certificate not checked" if secure and state.verify is False else "connected"
        yield Finding(step, "ok", f"{version}{trust}")
        yield await _clock(reader, writer, address)
    finally:
        writer.transport.abort()


def _context(verify: ssl.SSLContext | bool) -> ssl.SSLContext:
    if isinstance(verify, ssl.SSLContext):
        return verify
    context = ssl.create_default_context()
    if not verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


async def _clock(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, host: str) -> Finding:
    """Compare the clock with the ``Date`` of a response, which every server sends (RFC 9110)."""
    writer.write(f"HEAD / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
    try:
        async with asyncio.timeout(_SECONDS):
            head = await reader.readuntil(b"\r\n\r\n")
    except (OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
        return Finding("HTTP", "failed", "no response", "check that the endpoint serves HTTP here")
    now = datetime.now(UTC)
    dates = [
        line[5:].strip()
        for line in head.decode("latin-1").split("\r\n")
        if line.lower().startswith("date:")
    ]
    try:
        skew = parsedate_to_datetime(dates[0]) - now
    except (IndexError, TypeError, ValueError):
        return Finding("clock", "skipped", "the server sends no date")
    side = "behind" if skew > timedelta() else "ahead of"
    text = f"this machine is {abs(skew.total_seconds()):.0f} s {side} the server"
    if abs(skew) > _ALLOWED_SKEW:
        return Finding("clock", "warning", text, "set the clock; each process corrects it once")
    if abs(skew) > _NOTABLE_SKEW:
        return Finding("clock", "warning", text, "set the clock: it decides when links expire")
    return Finding("clock", "ok", f"within {_NOTABLE_SKEW.seconds} s of the server's")


async def _probe(s3: S3Client, location: Location | None) -> Finding:
    if location is None:
        return Finding("request", "skipped", "pass s3://bucket/key to send one")
    # A response to HEAD does not say why it was refused.
    if isinstance(location, LinkLocation):
        call = s3.get_url(location.url)
    else:
        call = s3.get_object(location.bucket, location.key)
    try:
        async with call as obj:
            info = obj.info
    except errors.S3Error as error:
        advice = next((text for kind, text in _ADVICE.items() if isinstance(error, kind)), "")
        return Finding("request", "failed", describe(error), advice)
    return Finding("request", "ok", f"{location}: {info.object_size} bytes, ETag {info.etag}")
