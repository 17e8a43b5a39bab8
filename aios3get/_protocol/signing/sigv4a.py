"""Signature Version 4A, which multi-region access points require.

It differs from SigV4 in the signature, which is ECDSA (P-256, SHA-256) with a key derived from the
secret access key, and in the scope, where a signed region set replaces the region.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
https://docs.aws.amazon.com/AmazonS3/latest/userguide/MultiRegionAccessPointRequests.html
"""

import hmac
from collections.abc import Iterable, Iterator
from functools import lru_cache
from types import MethodType
from typing import TYPE_CHECKING, NamedTuple

from aios3get._protocol.identity import Credentials
from aios3get._protocol.signing.sigv4 import Signer, amz_date
from aios3get.errors import ConfigurationError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, EllipticCurvePrivateKey

__all__ = [
    "SigningKey",
    "candidates",
    "scalar",
    "signature",
    "signer_for",
    "signing_key",
]

ALGORITHM = "AWS4-ECDSA-P256-SHA256"
# The number of points of P-256, NIST SP 800-186 section 3.2.1.3.
CURVE_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551


def signer_for(credentials: Credentials, region_set: str, service: str, now: float) -> Signer:
    """Return the SigV4A signer for one second.

    Args:
        credentials: the credentials that sign.
        region_set: the regions that the signature is valid for: ``*``, or a comma-separated list.
        service: the signing name, ``s3``.
        now: seconds since the epoch on the server's clock.

    Raises:
        ConfigurationError: the ``cryptography`` package is not installed.
    """
    stamp = amz_date(int(now))
    parameters = {"X-Amz-Region-Set": region_set}
    if credentials.session_token:
        parameters["X-Amz-Security-Token"] = credentials.session_token
    key = signing_key(credentials.access_key_id, credentials.secret_access_key)
    scope = f"{stamp[:8]}/{service}/aws4_request"
    return Signer(ALGORITHM, stamp, scope, credentials, parameters, MethodType(signature, key))


class SigningKey(NamedTuple):
    """A private key and its signature algorithm."""

    private: "EllipticCurvePrivateKey"
    algorithm: "ECDSA"


def signature(key: SigningKey, text: str) -> str:
    """Return the ECDSA signature of a string to sign, as hexadecimal DER; it is randomized."""
    return key.private.sign(text.encode(), key.algorithm).hex()


@lru_cache(maxsize=64)
def signing_key(access_key_id: str, secret_access_key: str) -> SigningKey:
    """Derive the P-256 key of an access key.

    The first call of a process imports ``cryptography``, which reads files for tens of
    milliseconds; run it in a thread.

    Raises:
        ConfigurationError: ``cryptography`` is not installed.
    """
    try:
        from cryptography.hazmat.primitives.asymmetric import ec  # noqa: PLC0415 - an extra
        from cryptography.hazmat.primitives.hashes import SHA256  # noqa: PLC0415 - an extra
    except ImportError as cause:
        raise ConfigurationError(
            "multi-region access points are signed with SigV4A, which needs the cryptography "
            'package; install it with: pip install "aios3get[sigv4a]"'
        ) from cause
    secret = scalar(candidates(access_key_id, secret_access_key))
    return SigningKey(ec.derive_private_key(secret, ec.SECP256R1()), ec.ECDSA(SHA256()))


def scalar(numbers: Iterable[int]) -> int:
    """Return the private key: the first candidate up to the curve's order minus two, plus one."""
    return next(number + 1 for number in numbers if number <= CURVE_ORDER - 2)


def candidates(access_key_id: str, secret_access_key: str) -> Iterator[int]:
    """Generate the candidates for the private key of an access key, in order.

    NIST SP 800-108 in counter mode with HMAC-SHA256 and one block of 256 bits. The "external
    counter" of the IAM guide, 1 to 254, is the last byte of the context.
    """
    key = f"AWS4A{secret_access_key}".encode()
    label, block, bits = ALGORITHM.encode(), (1).to_bytes(4, "big"), (256).to_bytes(4, "big")
    for counter in range(1, 255):
        context = access_key_id.encode() + bytes([counter])
        yield int.from_bytes(
            hmac.digest(key, block + label + b"\0" + context + bits, "sha256"), "big"
        )
