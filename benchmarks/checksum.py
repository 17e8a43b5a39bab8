"""What checking a body costs: per response in microseconds, per algorithm in GB/s.

python benchmarks/checksum.py [seconds a figure]
"""

import os
import sys
import timeit
from collections.abc import Callable

from multidict import CIMultiDict, CIMultiDictProxy

from aios3get._protocol.checksum import Verifier, select_verifier
from aios3get._protocol.hashing import ALGORITHMS, encode_digest

PLAIN = {
    "x-amz-id-2": "8mRx3vVWbVdBVWrm1LnWJOTXIhFBXTtzAOyxYYiZrJXJ0bSZqSXgKVGsVsNVfVcK",
    "x-amz-request-id": "5FAKEQ4EXAMPLE42",
    "Date": "Wed, 01 Mar 2006 12:00:00 GMT",
    "Last-Modified": "Wed, 01 Mar 2006 11:00:00 GMT",
    "ETag": '"fba9dede5f27731c9771645a39863328"',
    "x-amz-server-side-encryption": "AES256",
    "Accept-Ranges": "bytes",
    "Content-Type": "binary/octet-stream",
    "Content-Length": "1024",
    "Server": "AmazonS3",
}


SECONDS = float(sys.argv[1]) if len(sys.argv) > 1 else 1.0


def microseconds(action: Callable[[], object]) -> float:
    timer = timeit.Timer(action)
    timer.timeit(1)
    count = max(1, int(SECONDS / 5 / timer.timeit(1)))
    return min(timer.repeat(5, count)) / count * 1e6


def headers(more: dict[str, str]) -> CIMultiDictProxy[str]:
    return CIMultiDictProxy(CIMultiDict(PLAIN | more))


def per_response(name: str, body: bytes) -> None:
    digest = _digest(name, body)
    response = headers({ALGORITHMS[name].header: digest, "x-amz-checksum-type": "FULL_OBJECT"})

    def check() -> None:
        verifier = select_verifier(response, status=200)
        assert isinstance(verifier, Verifier)
        verifier.update(body)
        verifier.finish()

    print(f"  select + update + finish, {name:9} {microseconds(check):7.2f} µs")


def _digest(name: str, body: bytes) -> str:
    return encode_digest(ALGORITHMS[name].digest_of(body))


def throughput(name: str, sizes: tuple[int, ...]) -> None:
    algorithm = ALGORITHMS[name]
    if not algorithm.available:
        print(f"  {name:9} not installed")
        return
    figures: list[str] = []
    for size in sizes:
        hasher, chunk = algorithm.new(), memoryview(os.urandom(size))
        spent = microseconds(lambda hasher=hasher, chunk=chunk: hasher.update(chunk))  # type: ignore[misc]  # mypy cannot type the bound defaults
        figures.append(f"{spent / 1e3:7.3f} ms {size / spent / 1e3:6.2f} GB/s")
    print(f"  {name:9} " + "   ".join(figures))


def main() -> None:
    body = os.urandom(1024)
    plain = headers({})
    print("One response with a body of 1 KiB:")
    nothing = microseconds(lambda: select_verifier(plain, status=200))
    print(f"  select without a checksum           {nothing:7.2f} µs")
    for name in ("CRC64NVME", "CRC32", "SHA256"):
        per_response(name, body)
    sizes = (64 << 10, 256 << 10, 1 << 20)
    print("One update, which the event loop waits for, of 64 KiB, 256 KiB and 1 MiB:")
    for name in ALGORITHMS:
        throughput(name, sizes)


if __name__ == "__main__":
    main()
