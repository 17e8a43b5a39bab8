"""Verification of Signature Version 4A with the public key of an access key.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html. The key
is derived with the counter mode of NIST SP 800-108. The order is that of P-256 (FIPS 186-4,
D.1.2.3).
"""

import hmac
from functools import lru_cache

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from aios3get.testing.credentials import ServerCredentials

__all__ = ["is_signed_by"]

_order = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
_label = b"AWS4-ECDSA-P256-SHA256"


@lru_cache(maxsize=64)
def _public_key(access_key_id: str, secret: str) -> ec.EllipticCurvePublicKey:
    candidates = (_candidate(access_key_id, secret, attempt) for attempt in range(1, 255))
    chosen = next(each for each in candidates if each <= _order - 2)
    return ec.derive_private_key(chosen + 1, ec.SECP256R1()).public_key()


def _candidate(access_key_id: str, secret: str, attempt: int) -> int:
    context = access_key_id.encode() + bytes([attempt])
    fixed = b"\x00\x00\x00\x01" + _label + b"\x00" + context + b"\x00\x00\x01\x00"
    return int.from_bytes(hmac.digest(f"AWS4A{secret}".encode(), fixed, "sha256"), "big")


def is_signed_by(credentials: ServerCredentials, to_sign: bytes, signature: str) -> bool:
    """Whether ``signature``, in hexadecimal DER, is a signature of ``to_sign`` by these keys."""
    key = _public_key(credentials.access_key_id, credentials.secret_access_key)
    try:
        key.verify(bytes.fromhex(signature), to_sign, ec.ECDSA(hashes.SHA256()))
    except (InvalidSignature, ValueError):
        return False
    return True
