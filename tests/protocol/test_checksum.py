import hashlib
import sys
import zlib
from base64 import b64encode
from collections.abc import Callable
from dataclasses import FrozenInstanceError, replace
from importlib.util import find_spec, module_from_spec
from itertools import pairwise
from unittest.mock import Mock

import awscrt.checksums
import pytest
from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict, CIMultiDictProxy

from aios3get._protocol import checksum
from aios3get._protocol.checksum import Unverified, Verified, Verifier, select_verifier
from aios3get._protocol.hashing import ALGORITHMS, Buffer, encode_digest
from aios3get.errors import ChecksumMismatch

CRCS = ["CRC32", "CRC32C", "CRC64NVME"]

# Check values over the nine digits, from the catalogue of parametrised CRC algorithms
# (https://reveng.sourceforge.io/crc-catalogue/all.htm).
CHECK_VALUES = {"CRC32": 0xCBF43926, "CRC32C": 0xE3069283, "CRC64NVME": 0xAE8B14860A799888}


def digest(name: str, *pieces: Buffer) -> bytes:
    hasher = ALGORITHMS[name].new()
    for piece in pieces:
        hasher.update(piece)
    return hasher.digest()


def announce(name: str, body: bytes) -> str:
    return encode_digest(digest(name, body))


def response(**headers: str) -> CIMultiDictProxy[str]:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return CIMultiDictProxy(CIMultiDict(named))


def verifier_of(selected: Verifier | Unverified) -> Verifier:
    assert isinstance(selected, Verifier), selected
    return selected


def reason_of(selected: Verifier | Unverified) -> str:
    assert isinstance(selected, Unverified)
    selected.update(b"x")
    selected.finish()
    found = selected.verified
    assert found is selected.unread
    assert not found
    assert found.state == "unverified"
    assert found.algorithm is None
    assert str(found) == f"not verified: {found.reason}"
    return found.reason


def test_algorithms_and_headers_are_those_of_the_api() -> None:
    assert {name: (a.header, a.size) for name, a in ALGORITHMS.items()} == {
        "CRC32": ("x-amz-checksum-crc32", 4),
        "CRC32C": ("x-amz-checksum-crc32c", 4),
        "CRC64NVME": ("x-amz-checksum-crc64nvme", 8),
        "SHA1": ("x-amz-checksum-sha1", 20),
        "SHA256": ("x-amz-checksum-sha256", 32),
        "SHA512": ("x-amz-checksum-sha512", 64),
        "MD5": ("x-amz-checksum-md5", 16),
        "XXHASH64": ("x-amz-checksum-xxhash64", 8),
        "XXHASH3": ("x-amz-checksum-xxhash3", 8),
        "XXHASH128": ("x-amz-checksum-xxhash128", 16),
    }


@pytest.mark.parametrize("name", ALGORITHMS)
def test_digest_has_the_size_expected_of_headers(name: str) -> None:
    assert len(digest(name, b"")) == len(digest(name, b"body")) == ALGORITHMS[name].size


@pytest.mark.parametrize("name", CRCS)
def test_crc_of_the_check_string(name: str) -> None:
    assert digest(name, b"123456789") == CHECK_VALUES[name].to_bytes(ALGORITHMS[name].size, "big")
    assert digest(name) == bytes(ALGORITHMS[name].size)


@given(st.binary(max_size=4096))
def test_crc32_and_hashes_equal_those_of_the_standard_library(body: bytes) -> None:
    assert digest("CRC32", body) == zlib.crc32(body).to_bytes(4, "big")
    for name in ("MD5", "SHA1", "SHA256", "SHA512"):
        assert digest(name, body) == hashlib.new(name, body, usedforsecurity=False).digest()


@pytest.mark.parametrize("name", ALGORITHMS)
@given(body=st.binary(max_size=2048), cuts=st.lists(st.integers(0, 2048), max_size=6))
def test_digest_does_not_depend_on_chunk_sizes(name: str, body: bytes, cuts: list[int]) -> None:
    edges = sorted({0, *(min(cut, len(body)) for cut in cuts), len(body)})
    pieces = [body[start:stop] for start, stop in pairwise(edges)]
    assert digest(name, *pieces) == digest(name, body) == ALGORITHMS[name].digest_of(body)


def test_crc64nvme_is_computed_by_awscrt_once_it_is_imported(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    expected = CHECK_VALUES["CRC64NVME"].to_bytes(8, "big")
    calls: list[object] = []

    def crc64nvme(data: Buffer, value: int) -> int:
        calls.append(data)
        crc: int = awscrt.checksums.crc64nvme(data, value)
        return crc

    monkeypatch.setitem(sys.modules, "awscrt.checksums", Mock(crc64nvme=crc64nvme))
    assert digest("CRC64NVME", b"1234", b"56789") == expected
    assert calls == [b"1234", b"56789"]
    # Old releases have no such function.
    monkeypatch.setitem(sys.modules, "awscrt.checksums", Mock(spec=["crc32"]))
    assert digest("CRC64NVME", b"1234", b"56789") == expected
    monkeypatch.delitem(sys.modules, "awscrt.checksums")
    assert digest("CRC64NVME", b"1234", b"56789") == expected
    assert len(calls) == 2


@given(
    st.lists(st.binary(max_size=4096), max_size=4),
    st.sampled_from([bytes, bytearray, memoryview]),
)
def test_awscrt_and_anycrc_compute_the_same_crc64nvme(
    pieces: list[bytes], kind: Callable[[bytes], Buffer]
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "awscrt.checksums", awscrt.checksums)
        by_awscrt = digest("CRC64NVME", *map(kind, pieces))
        patch.delitem(sys.modules, "awscrt.checksums")
        assert digest("CRC64NVME", *map(kind, pieces)) == by_awscrt


@pytest.mark.parametrize("name", ALGORITHMS)
def test_hasher_accepts_every_kind_of_buffer(name: str) -> None:
    body = bytes(range(256))
    whole = digest(name, body)
    assert digest(name, bytearray(body)) == whole
    assert digest(name, memoryview(body)) == whole
    assert digest(name, memoryview(bytearray(body))[:100], memoryview(body)[100:]) == whole
    assert digest(name, memoryview(body)[:0], b"", bytearray(), body) == whole


@pytest.mark.parametrize("name", CRCS)
def test_view_of_wider_items_is_hashed_as_bytes(name: str) -> None:
    body = bytes(range(64))
    assert digest(name, memoryview(body).cast("I")) == digest(name, body)


@pytest.mark.parametrize("name", ALGORITHMS)
def test_view_with_gaps_is_rejected(name: str) -> None:
    with pytest.raises((TypeError, BufferError, ValueError)):
        digest(name, memoryview(bytes(range(64)))[::2])


def combine(name: str, first: bytes, second: bytes, second_length: int) -> bytes:
    function = ALGORITHMS[name].combine
    assert function is not None
    return function(first, second, second_length)


@pytest.mark.parametrize("name", CRCS)
@given(first=st.binary(max_size=1000), second=st.binary(max_size=1000))
def test_combined_crc_is_that_of_the_whole(name: str, first: bytes, second: bytes) -> None:
    combined = combine(name, digest(name, first), digest(name, second), len(second))
    assert combined == digest(name, first + second)


def test_only_crcs_combine() -> None:
    assert {name for name, each in ALGORITHMS.items() if each.combine is not None} == {*CRCS}


@pytest.mark.parametrize("name", ALGORITHMS)
@pytest.mark.parametrize("kind", [{"x-amz-checksum-type": "FULL_OBJECT"}, {}])
def test_whole_object_is_verified(name: str, kind: dict[str, str]) -> None:
    body = b"the body"
    selected = select_verifier(
        response(**{f"x-amz-checksum-{name}": announce(name, body)}, **kind), status=200
    )
    verifier = verifier_of(selected)
    assert verifier.verified.state == "pending"
    assert not verifier.verified
    assert "compared at the end of the body" in str(verifier.verified)
    verifier.update(body[:3])
    verifier.update(body[3:])
    verifier.finish()
    assert verifier.verified
    assert verifier.verified.algorithm == name
    assert str(verifier.verified) == (f"verified: the bytes match the {name} of the response")


@pytest.mark.parametrize("name", ALGORITHMS)
def test_flipped_bit_is_a_mismatch(name: str) -> None:
    expected = announce(name, b"\x00")
    verifier = verifier_of(
        select_verifier(response(**{f"x-amz-checksum-{name}": expected}), status=200)
    )
    verifier.update(b"\x01")
    with pytest.raises(ChecksumMismatch, match=name) as caught:
        verifier.finish()
    error = caught.value
    assert (error.algorithm, error.expected) == (name, expected)
    assert error.actual == announce(name, b"\x01")
    assert verifier.verified.state == "mismatch"
    assert not verifier.verified


def test_empty_body_is_verified() -> None:
    verifier = verifier_of(
        select_verifier(response(x_amz_checksum_crc64nvme="AAAAAAAAAAA="), status=200)
    )
    verifier.finish()
    assert verifier.verified


def test_fastest_of_several_checksums_is_selected() -> None:
    headers = response(
        x_amz_checksum_sha256=announce("SHA256", b"x"),
        x_amz_checksum_crc32c=announce("CRC32C", b"x"),
    )
    assert verifier_of(select_verifier(headers, status=200)).verified.algorithm == "CRC32C"


def test_invalid_checksum_is_passed_over() -> None:
    headers = response(x_amz_checksum_crc32c="?", x_amz_checksum_sha1=announce("SHA1", b"x"))
    assert verifier_of(select_verifier(headers, status=200)).verified.algorithm == "SHA1"


def test_unverified_names_the_reason_of_each_checksum() -> None:
    headers = response(x_amz_checksum_crc32c="?", x_amz_checksum_sha1="AAAA")
    reason = reason_of(select_verifier(headers, status=200))
    assert "CRC32C '?' is not base64" in reason
    assert "SHA1 'AAAA' has 3 bytes, not 20" in reason


CRC = "AAAAAA=="
WHOLE = "bytes 0-9/10"
SOME = "bytes 0-4/10"

# What comes with x-amz-checksum-crc32, the request, and whether the checksum is of these bytes.
COVERAGE = [
    (CRC, None, 200, None, False, True),
    (CRC, "FULL_OBJECT", 200, None, False, True),
    (f" {CRC} ", "FULL_OBJECT", 200, None, False, True),
    (f"{CRC}-7", None, 200, None, False, False),
    (f"{CRC}-7", "COMPOSITE", 200, None, False, False),
    (f"{CRC}-1", "FULL_OBJECT", 200, None, False, False),
    (CRC, "COMPOSITE", 200, None, False, False),
    (CRC, "SOMETHING_NEW", 200, None, False, False),
    # Range: bytes=0- of a composite, whose "-N" S3 leaves off
    (CRC, "COMPOSITE", 206, WHOLE, False, False),
    (CRC, None, 206, WHOLE, False, False),
    (CRC, "FULL_OBJECT", 206, WHOLE, False, True),
    # a range that meets a part, or a server that sends the object's checksum with any range
    (CRC, "COMPOSITE", 206, SOME, False, False),
    (CRC, None, 206, SOME, False, False),
    (CRC, "FULL_OBJECT", 206, SOME, False, False),
    (CRC, "FULL_OBJECT", 206, "bytes 5-9/10", False, False),
    (CRC, "FULL_OBJECT", 206, "bytes 0-9/*", False, False),
    (CRC, "FULL_OBJECT", 206, "bytes */10", False, False),
    (CRC, "FULL_OBJECT", 206, "nonsense", False, False),
    (CRC, "FULL_OBJECT", 206, None, False, False),
    # partNumber
    (CRC, "COMPOSITE", 206, SOME, True, True),
    (f"{CRC}-2", "COMPOSITE", 206, SOME, True, False),
    (CRC, "COMPOSITE", 206, WHOLE, True, True),
    (CRC, "FULL_OBJECT", 206, WHOLE, True, True),
    (CRC, "FULL_OBJECT", 206, SOME, True, False),
    (CRC, None, 206, SOME, True, False),
    (CRC, "COMPOSITE", 200, None, True, False),
    (CRC, "FULL_OBJECT", 200, None, True, False),
    (CRC, None, 200, None, True, False),
]


@pytest.mark.parametrize(("value", "kind", "status", "content_range", "part", "covers"), COVERAGE)
def test_checksum_is_compared_only_if_it_is_of_these_bytes(
    value: str, kind: str | None, status: int, content_range: str | None, part: bool, covers: bool
) -> None:
    optional = {"x-amz-checksum-type": kind, "content-range": content_range}
    headers = response(
        x_amz_checksum_crc32=value, **{k: v for k, v in optional.items() if v is not None}
    )
    selected = select_verifier(headers, status=status, part=part)
    assert isinstance(selected, Verifier) is covers
    if not covers:
        assert reason_of(selected)


def test_reason_of_a_value_with_a_count_of_parts_is_the_parts() -> None:
    reason = reason_of(select_verifier(response(x_amz_checksum_crc32="UymZPQ==-7"), status=200))
    assert reason == "the announced CRC32 'UymZPQ==-7' covers the parts' checksums, not the bytes"


def test_reason_of_a_composite_names_part_number() -> None:
    headers = response(x_amz_checksum_sha256="x", x_amz_checksum_type="COMPOSITE")
    assert "part_number" in reason_of(select_verifier(headers, status=200))


@pytest.mark.parametrize(
    "odd",
    [
        "",
        "=",
        "A",
        "AAAAAA",
        "AAAAAA=",
        "AAAA AA==",
        "AAAAAA==\x00",
        "žžžž",
        "_____w==",
        "AAAA",
        "A" * 4000,
    ],
)
def test_invalid_value_is_not_an_error(odd: str) -> None:
    reason = reason_of(select_verifier(response(x_amz_checksum_crc32=odd), status=200))
    assert "CRC32" in reason
    assert len(reason) < 200


def test_reason_names_an_unknown_algorithm() -> None:
    headers = response(
        X_Amz_Checksum_BLAKE3="AAAA", x_amz_checksum_aes="AA", x_amz_checksum_type="FULL_OBJECT"
    )
    assert reason_of(select_verifier(headers, status=200)) == (
        "this version does not support the checksum AES, BLAKE3"
    )


def test_type_without_a_checksum_is_unverified() -> None:
    headers = response(x_amz_checksum_type="FULL_OBJECT")
    assert "has no checksum" in reason_of(select_verifier(headers, status=200))


def test_reason_names_the_package_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    absent = ALGORITHMS["XXHASH3"]._replace(available=False)
    monkeypatch.setattr(checksum, "_by_header", {absent.header: absent})
    reason = reason_of(
        select_verifier(response(x_amz_checksum_xxhash3=announce("XXHASH3", b"")), status=200)
    )
    assert 'pip install "aios3get[xxhash]"' in reason


def test_other_algorithms_work_without_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "xxhash", None)
    spec = find_spec("aios3get._protocol.hashing")
    assert spec is not None
    assert spec.loader is not None
    without = module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "aios3get._protocol.hashing", without)
    spec.loader.exec_module(without)
    available = {name for name, found in without.ALGORITHMS.items() if found.available}
    assert set(ALGORITHMS) - available == {"XXHASH64", "XXHASH3", "XXHASH128"}


def test_reason_without_a_checksum_depends_on_the_request() -> None:
    nothing = response(etag='"x"')
    assert "the response has no checksum" in reason_of(select_verifier(nothing, status=200))
    assert "for a range" in reason_of(select_verifier(nothing, status=206))
    whole = response(content_range="bytes 0-4/5")
    assert "even of the whole object" in reason_of(select_verifier(whole, status=206))
    assert "checksum_mode=True" in reason_of(select_verifier(nothing, status=200, requested=False))


def test_checksum_without_a_request_is_compared() -> None:
    verifier_of(select_verifier(response(x_amz_checksum_crc32=CRC), status=200, requested=False))


def test_verified_is_a_frozen_value() -> None:
    verified = Verified("verified", "SHA1", "so it is")
    assert verified == replace(verified)
    assert len({verified, replace(verified)}) == 1
    with pytest.raises(FrozenInstanceError):
        verified.reason = "else"  # type: ignore[misc]  # the point of the test


@given(
    st.dictionaries(
        st.sampled_from(
            ["Content-Range", "x-amz-checksum-type", "x-amz-checksum-new"]
            + [str(a.header) for a in ALGORITHMS.values()]
        ),
        st.binary(max_size=30).map(lambda raw: raw.decode("latin-1"))
        | st.binary(max_size=70).map(lambda raw: b64encode(raw).decode()),
    ),
    st.integers(100, 599),
    st.booleans(),
    st.booleans(),
)
def test_selecting_a_verifier_never_raises(
    headers: dict[str, str], status: int, part: bool, requested: bool
) -> None:
    selected = select_verifier(CIMultiDict(headers), status=status, part=part, requested=requested)
    assert isinstance(selected, Verifier) or selected.verified.reason
