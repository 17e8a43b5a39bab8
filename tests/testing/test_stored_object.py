from base64 import b64decode
from datetime import datetime
from typing import Any

import pytest

from aios3get.testing import S3Server
from tests.testing_client import BODY, BUCKET, KEY


def test_checksums_have_their_published_check_values(server: S3Server) -> None:
    stored = server.put_object(
        BUCKET, KEY, b"123456789", checksum_algorithm=["CRC32", "CRC32C", "CRC64NVME"]
    )
    values = {name: b64decode(value).hex() for name, value in stored.checksums.items()}
    assert values == {"CRC32": "cbf43926", "CRC32C": "e3069283", "CRC64NVME": "ae8b14860a799888"}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"parts": (1, 2)}, "parts sum up to 3 bytes, but the body has 10240"),
        ({"parts": (10241, -1)}, r"parts \(10241, -1\) must be .* none negative"),
        ({"parts": (10240, *[0] * 10_000)}, "1 to 10,000 sizes"),
        ({"sse_customer_key": b"short"}, "is bytes of length 5; it must be 32 bytes"),
        ({"sse_customer_key": "k" * 32}, "is str of length 32; it must be 32 bytes: decode"),
        ({"sse_customer_key": 32}, "is int; it must be 32 bytes"),
        ({"last_modified": datetime(2013, 5, 24)}, "last_modified .* has no time zone; pass"),
        ({"restore": datetime(2013, 5, 24)}, "restore .* has no time zone; pass"),
        ({"restore": "tomorrow"}, "restore 'tomorrow' must be an aware datetime, 'ongoing' or"),
        ({"metadata": {"a": "x\r\nEvil: 1"}}, r"metadata\['a'\] is .* percent-encode it"),
        ({"metadata": {"a": "\udcff"}}, r"metadata\['a'\] is '\\udcff', which is not Unicode"),
        ({"metadata": {"a b": "x"}}, "metadata has 'a b', which is not a valid header name; use"),
        ({"metadata": {"": "x"}}, "metadata has '', which is not a valid header name"),
        ({"headers": {"Evil:": "x"}}, "headers has 'Evil:', which is not a valid header name"),
        ({"headers": {"Expires": "a\nb"}}, r"headers\['Expires'\] is 'a\\nb'; a header"),
        (
            {"headers": {"content-LENGTH": "99"}},
            "headers has 'content-LENGTH', which the server sets",
        ),
        ({"headers": {"Transfer-Encoding": "chunked"}}, "headers has 'Transfer-Encoding'"),
        ({"content_type": "text/\x00"}, "content_type is"),
        ({"etag": '"a"\r\n'}, "etag is .* a header cannot contain"),
        ({"version_id": "a\nb"}, "version_id is"),
        ({"storage_class": "\x7f"}, "storage_class is"),
        ({"access_tier": "\x01"}, "access_tier is"),
        ({"checksum_algorithm": "CRC16"}, "'CRC16' is none of CRC32, "),
        ({"checksum_algorithm": "SHA1", "checksum_type": "COMPOSITE"}, "only an object with parts"),
        ({"checksum_type": "PARTIAL"}, "'PARTIAL' is neither FULL_OBJECT nor COMPOSITE"),
    ],
)
def test_object_that_s3_could_not_store_is_refused(
    server: S3Server, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        server.put_object(BUCKET, KEY, BODY, **options)
    assert not server.bucket(BUCKET).versions


@pytest.mark.parametrize("key", ["", "k" * 1025, "é" * 513, "\udcff"])
def test_key_that_s3_could_not_store_is_refused(server: S3Server, key: str) -> None:
    with pytest.raises(ValueError, match=r"^key "):
        server.put_object(BUCKET, key)


def test_wrong_customer_key_is_not_shown(server: S3Server) -> None:
    with pytest.raises(ValueError, match="sse_customer_key") as caught:
        server.put_object(BUCKET, KEY, sse_customer_key="secret")  # type: ignore[arg-type]
    assert "secret" not in str(caught.value)


def test_unknown_option_is_refused_by_name(server: S3Server) -> None:
    options: Any = {"storage": "GLACIER"}
    with pytest.raises(TypeError, match="unexpected keyword argument 'storage'"):
        server.put_object(BUCKET, KEY, **options)


def test_body_is_kept_without_a_copy(server: S3Server) -> None:
    assert server.put_object(BUCKET, KEY, BODY).body is BODY
