import pytest
from multidict import CIMultiDict

from aios3get._engine.parallel.stored_checksum import StoredChecksum, parse_stored_checksum
from aios3get._protocol.hashing import ALGORITHMS, encode_digest
from tests.engine.parallel.conftest import CONTENT

CRC = encode_digest(ALGORITHMS["CRC32C"].digest_of(CONTENT))


def headers(**values: str) -> CIMultiDict[str]:
    return CIMultiDict({f"x-amz-checksum-{name}": value for name, value in values.items()})


def test_checksum_without_type_is_of_the_whole_object() -> None:
    stored = parse_stored_checksum(headers(crc32c=CRC))
    assert isinstance(stored, StoredChecksum)
    assert stored.parts is None
    assert stored.text == CRC


def test_checksum_with_a_number_of_parts_is_composite() -> None:
    stored = parse_stored_checksum(headers(crc32c=f"{CRC}-12"))
    assert isinstance(stored, StoredChecksum)
    assert stored.parts == 12
    assert stored.text == f"{CRC}-12"


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"type": "FULL_OBJECT"},
        {"crc32c": "%%%"},
        {"crc32c": CRC + "-"},
        {"crc32c": CRC + "-x"},
        {"crc32c": CRC + "-999999"},
        {"crc32c": CRC + "-²"},
        {"crc32c": CRC, "type": "COMPOSITE"},
        {"crc128": CRC},
    ],
    ids=str,
)
def test_other_headers_give_a_reason(values: dict[str, str]) -> None:
    assert isinstance(parse_stored_checksum(headers(**values)), str)


def test_second_checksum_is_taken_where_the_first_is_malformed() -> None:
    stored = parse_stored_checksum(headers(crc64nvme="AAAA", crc32c=CRC))
    assert isinstance(stored, StoredChecksum)
    assert stored.algorithm.name == "CRC32C"
