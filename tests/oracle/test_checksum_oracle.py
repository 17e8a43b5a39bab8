import io
from base64 import b64encode
from typing import Any

import pytest
import xxhash
from awscrt import checksums as crt
from botocore import httpchecksum
from botocore.exceptions import FlexibleChecksumError
from botocore.loaders import Loader
from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict

from aios3get._protocol.checksum import Verifier, select_verifier
from aios3get._protocol.hashing import ALGORITHMS, encode_digest
from aios3get.errors import ChecksumMismatch

BODIES = [b"", b"a", b"123456789", bytes(range(256)) * 17, bytes(1 << 20)]

BOTOCORE = {
    name: httpchecksum._CHECKSUM_CLS[name.lower()]
    for name in ALGORITHMS
    if name.lower() in httpchecksum._CHECKSUM_CLS
}
CRT = {"CRC32": crt.crc32, "CRC32C": crt.crc32c, "CRC64NVME": crt.crc64nvme}
CRT_COMBINE = {
    "CRC32": crt.combine_crc32,
    "CRC32C": crt.combine_crc32c,
    "CRC64NVME": crt.combine_crc64nvme,
}
XXHASH = {"XXHASH64": xxhash.xxh64, "XXHASH3": xxhash.xxh3_64, "XXHASH128": xxhash.xxh3_128}


def digest(name: str, body: bytes) -> bytes:
    hasher = ALGORITHMS[name].new()
    hasher.update(body[:100])
    hasher.update(memoryview(body)[100:])
    return hasher.digest()


def number(value: bytes) -> int:
    return int.from_bytes(value, "big")


def model() -> Any:
    return Loader().load_service_model("s3", "service-2")


def test_algorithms_and_headers_are_those_of_the_model() -> None:
    described = model()
    operation = described["operations"]["GetObject"]
    members = described["shapes"]["GetObjectOutput"]["members"]
    assert set(ALGORITHMS) == set(operation["httpChecksum"]["responseAlgorithms"])
    for name, algorithm in ALGORITHMS.items():
        assert members[f"Checksum{name}"]["locationName"] == algorithm.header
    assert set(described["shapes"]["ChecksumType"]["enum"]) == {"COMPOSITE", "FULL_OBJECT"}


def test_botocore_computes_all_but_one() -> None:
    assert set(ALGORITHMS) - set(BOTOCORE) == {"MD5"}


@pytest.mark.parametrize("name", BOTOCORE)
@pytest.mark.parametrize("body", BODIES, ids=len)
def test_botocore_computes_the_same_text(name: str, body: bytes) -> None:
    assert BOTOCORE[name]().handle(body) == encode_digest(digest(name, body))


@pytest.mark.parametrize("name", CRT)
@given(body=st.binary(max_size=3000))
def test_crt_computes_the_same_crc(name: str, body: bytes) -> None:
    assert number(digest(name, body)) == CRT[name](body)


@pytest.mark.parametrize("name", CRT_COMBINE)
@given(
    first=st.binary(min_size=8, max_size=8),
    second=st.binary(min_size=8, max_size=8),
    length=st.integers(1, 50 * 2**40),
)
def test_crt_combines_crcs_alike_up_to_the_largest_object(
    name: str, first: bytes, second: bytes, length: int
) -> None:
    algorithm = ALGORITHMS[name]
    first, second = first[: algorithm.size], second[: algorithm.size]
    assert algorithm.combine is not None
    combined = algorithm.combine(first, second, length)
    assert number(combined) == CRT_COMBINE[name](number(first), number(second), length)


@pytest.mark.parametrize("name", XXHASH)
@given(body=st.binary(max_size=3000))
def test_xxhash_digests_are_big_endian(name: str, body: bytes) -> None:
    assert number(digest(name, body)) == XXHASH[name](body).intdigest()


@pytest.mark.parametrize("name", BOTOCORE)
@given(body=st.binary(max_size=300), flip=st.booleans())
def test_botocore_accepts_and_refuses_the_same_whole_bodies(
    name: str, body: bytes, flip: bool
) -> None:
    announced = digest(name, body)
    if flip:
        announced = bytes([announced[0] ^ 1]) + announced[1:]
    text = b64encode(announced).decode()
    planned = select_verifier(CIMultiDict({f"x-amz-checksum-{name}": text}), status=200)
    assert isinstance(planned, Verifier)
    planned.update(body)
    theirs = httpchecksum.StreamingChecksumBody(io.BytesIO(body), len(body), BOTOCORE[name](), text)
    if flip:
        with pytest.raises(FlexibleChecksumError):
            theirs.read()
        with pytest.raises(ChecksumMismatch, match=name):
            planned.finish()
    else:
        assert theirs.read() == body
        planned.finish()
        assert planned.verified
