import pytest

from aios3get import S3Client, errors
from aios3get._engine.listing import list_pages
from aios3get.testing import S3Server, faults
from tests.reading_client import nothing_leaks

BUCKET = "amzn-s3-demo-bucket"
KEYS = sorted(
    [*(f"logs/2026/{day:02}.jsonl" for day in range(1, 8)), "a+b c%20d&<e>.txt", "//lead", "é/ñ"]
)


async def keys_of(client: S3Client, prefix: str = "", **options: object) -> list[str]:
    pages = list_pages(client._start_exchange, BUCKET, prefix, **options)  # type: ignore[arg-type]
    return [entry.key async for page in pages for entry in page.objects]


@pytest.fixture(autouse=True)
def stored(server: S3Server) -> None:
    for key in KEYS:
        server.put_object(BUCKET, key, key.encode())


async def test_every_key_is_listed_over_several_pages(server: S3Server, client: S3Client) -> None:
    await keys_of(client)
    server.requests.clear()
    with nothing_leaks(client):
        assert await keys_of(client, max_keys=3) == KEYS
    assert len(server.requests) == 4


async def test_prefix_and_delimiter_group_keys(client: S3Client) -> None:
    [page] = [page async for page in list_pages(client._start_exchange, BUCKET, "", delimiter="/")]
    assert page.prefixes == ("/", "logs/", "é/")
    assert [entry.key for entry in page.objects] == ["a+b c%20d&<e>.txt"]


async def test_listing_that_breaks_off_is_requested_again(
    server: S3Server, client: S3Client
) -> None:
    server.faults.add(faults.drop_after(200), where=lambda request: not request.key)
    assert await keys_of(client, "logs/") == [key for key in KEYS if key.startswith("logs/")]
    assert len(server.requests) == 2


async def test_missing_bucket_is_no_such_bucket(client: S3Client) -> None:
    with pytest.raises(errors.NoSuchBucket) as caught:
        async for _ in list_pages(client._start_exchange, "amzn-s3-demo-bucket1", ""):
            pass
    assert caught.value.bucket == "amzn-s3-demo-bucket1"


async def test_response_that_is_no_listing_is_an_integrity_error(
    server: S3Server, client: S3Client
) -> None:
    server.faults.add(faults.status(200, body="<html/>"), where=lambda request: not request.key)
    with pytest.raises(errors.IntegrityError, match="not a ListBucketResult"):
        await keys_of(client)
