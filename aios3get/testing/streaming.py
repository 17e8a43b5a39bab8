"""Uploads in ``aws-chunked`` coding, with signed or unsigned chunks and trailing headers.

https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-streaming.html and
https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-streaming-trailers.html
"""

import hashlib
import hmac
import re
from collections.abc import Mapping
from dataclasses import dataclass

from aios3get.testing.responses import ErrorResponse
from aios3get.testing.verify import Signature

__all__ = ["decode_chunks"]

_is_size = re.compile(rb"[0-9a-fA-F]{1,16}").fullmatch
_empty = hashlib.sha256(b"").hexdigest()


@dataclass(slots=True)
class _Chain:
    """Each chunk's signature covers the one before it."""

    signature: Signature
    key: bytes
    previous: str

    def check(self, data: bytes, told: bytes) -> None:
        self._check("AWS4-HMAC-SHA256-PAYLOAD", (_empty, _sha256(data)), told)

    def check_trailer(self, trailer: bytes, told: bytes) -> None:
        self._check("AWS4-HMAC-SHA256-TRAILER", (_sha256(trailer),), told)

    def _check(self, kind: str, hashes: tuple[str, ...], told: bytes) -> None:
        lines = (kind, self.signature.stamp, self.signature.scope, self.previous, *hashes)
        computed = hmac.digest(self.key, "\n".join(lines).encode(), "sha256").hex()
        if not hmac.compare_digest(computed.encode(), told):
            message = "The chunk signature we calculated does not match the one you provided."
            raise ErrorResponse(403, "SignatureDoesNotMatch", message)
        self.previous = computed


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _incomplete() -> ErrorResponse:
    message = "You did not provide the number of bytes specified by the Content-Length HTTP header"
    return ErrorResponse(400, "IncompleteBody", message)


def decode_chunks(
    body: bytes, signature: Signature | None, key: bytes | None
) -> tuple[bytes, Mapping[str, str]]:
    """The bytes, and the trailing headers by their names in lower case.

    ``key`` is the signing key where chunks are signed, else None.

    Raises:
        ErrorResponse: the coding or a signature is wrong.
    """
    chain = _Chain(signature, key, signature.value) if signature and key else None
    pieces: list[bytes] = []
    while True:
        line, mark, body = body.partition(b"\r\n")
        size_text, _, extension = line.partition(b";")
        size = int(size_text, 16) if _is_size(size_text) else -1
        if not mark or not 0 <= size <= len(body):
            raise _incomplete()
        piece, body = body[:size], body[size:]
        if chain is not None:
            chain.check(piece, extension.removeprefix(b"chunk-signature="))
        if size == 0:
            return b"".join(pieces), _trailers(body, chain)
        pieces.append(piece)
        if not body.startswith(b"\r\n"):
            raise _incomplete()
        body = body[2:]


def _trailers(rest: bytes, chain: _Chain | None) -> Mapping[str, str]:
    lines = [line for line in rest.split(b"\r\n") if line]
    trailers = {
        name.strip().lower(): value.strip()
        for name, _, value in (line.decode("latin-1").partition(":") for line in lines)
    }
    told = trailers.pop("x-amz-trailer-signature", None)
    if chain is not None and trailers:
        covered = "".join(f"{name}:{value}\n" for name, value in sorted(trailers.items()))
        chain.check_trailer(covered.encode("latin-1"), (told or "").encode("latin-1"))
    return trailers
