"""What a signature costs: ours, botocore's, and the hashing that both cannot do without.

python benchmarks/sign.py [rounds]
"""

import hmac
import sys
from collections.abc import Callable
from hashlib import sha256
from importlib.util import find_spec
from statistics import median
from time import perf_counter

from aios3get._protocol.endpoints.resolver import Endpoint
from aios3get._protocol.identity import Credentials
from aios3get._protocol.signing.presign import presign_url
from aios3get._protocol.signing.signed_request import signed_request

EXAMPLE = Credentials("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")
HOST = "examplebucket.s3.eu-west-1.amazonaws.com"
PATH = "/photos/2006/February/sample.jpg"
ENDPOINT = Endpoint("https", HOST, "", "s3", "eu-west-1")
ANYWHERE = Endpoint("https", HOST, "", "s3", "*", auth="sigv4a")
HEADERS = {"x-amz-checksum-mode": "ENABLED"}
NOW = 1_369_353_600.0
CALLS_A_ROUND = 200

# As long as a GetObject's canonical request and string to sign.
REQUEST, TEXT, KEY = b"r" * 340, b"t" * 140, b"k" * 32


def floor() -> None:
    sha256(REQUEST).hexdigest()
    hmac.digest(KEY, TEXT, "sha256").hex()


def ours_in_headers() -> None:
    signed_request("GET", ENDPOINT, PATH, (), HEADERS, EXAMPLE, NOW)


def ours_in_the_url() -> None:
    presign_url(ENDPOINT, PATH, (), {}, identity=EXAMPLE, now=NOW, expires_in=3600)


def ours_for_all_regions() -> None:
    signed_request("GET", ANYWHERE, PATH, (), HEADERS, EXAMPLE, NOW)


def botocores() -> dict[str, Callable[[], None]]:
    from botocore.auth import S3SigV4Auth, S3SigV4QueryAuth
    from botocore.awsrequest import AWSRequest
    from botocore.credentials import ReadOnlyCredentials

    credentials = ReadOnlyCredentials(EXAMPLE.access_key_id, EXAMPLE.secret_access_key, None)
    in_headers = S3SigV4Auth(credentials, "s3", "eu-west-1")
    in_the_url = S3SigV4QueryAuth(credentials, "s3", "eu-west-1")
    url = f"https://{HOST}{PATH}"
    return {
        "botocore: headers": lambda: in_headers.add_auth(AWSRequest("GET", url, HEADERS)),
        "botocore: presigned URL": lambda: in_the_url.add_auth(AWSRequest("GET", url)),
    }


def microseconds(call: Callable[[], None]) -> float:
    start = perf_counter()
    for _ in range(CALLS_A_ROUND):
        call()
    return (perf_counter() - start) / CALLS_A_ROUND * 1e6


def main(rounds: int) -> None:
    calls: dict[str, Callable[[], None]] = {
        "one SHA-256, one HMAC (floor)": floor,
        "aios3get: headers": ours_in_headers,
        "aios3get: presigned URL": ours_in_the_url,
    }
    if find_spec("cryptography"):
        calls["aios3get: SigV4A headers"] = ours_for_all_regions
    if find_spec("botocore"):
        calls |= botocores()
    for call in calls.values():
        microseconds(call)
    # Side by side in each round, so that a busy machine slows all of them alike.
    times = [{name: microseconds(call) for name, call in calls.items()} for _ in range(rounds)]
    print(f"{'':32}{'median':>10}{'x floor':>9}")
    for name in calls:
        middle = median(row[name] for row in times)
        ratio = median(row[name] / row["one SHA-256, one HMAC (floor)"] for row in times)
        print(f"{name:32}{middle:7.1f} µs{ratio:9.1f}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 30)
