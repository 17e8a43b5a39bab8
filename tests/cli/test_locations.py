import pytest

from aios3get.cli.locations import LinkLocation, ObjectLocation, parse_location

AP = "arn:aws:s3:us-west-2:123456789012:accesspoint/example-ap"
OUTPOST = "arn:aws:s3-outposts:us-west-2:123456789012:outpost/op-01/accesspoint/example-ap"
LAMBDA = "arn:aws:s3-object-lambda:us-west-2:123456789012:accesspoint/example-ap"
MULTI_REGION = "arn:aws:s3::123456789012:accesspoint/mfzwi23gnjvgw.mrap"
EXPRESS = "arn:aws:s3express:us-west-2:123456789012:accesspoint/example--usw2-az1--xa-s3"
LINK = "https://amzn-s3-demo-bucket.s3.amazonaws.com/a%20b/sample.jpg?X-Amz-Signature=secret"


@pytest.mark.parametrize(
    ("text", "bucket", "key"),
    [
        ("s3://amzn-s3-demo-bucket/photos/sample.jpg", "amzn-s3-demo-bucket", "photos/sample.jpg"),
        ("s3://amzn-s3-demo-bucket//a/../b?c#d%20", "amzn-s3-demo-bucket", "/a/../b?c#d%20"),
        ("arn:aws:s3:::amzn-s3-demo-bucket/photos/a", "amzn-s3-demo-bucket", "photos/a"),
        *(
            (f"{prefix}{arn}/photos/a:b", arn, "photos/a:b")
            for arn in (AP, OUTPOST, LAMBDA, MULTI_REGION, EXPRESS)
            for prefix in ("", "s3://")
        ),
    ],
)
def test_bucket_and_key_are_split(text: str, bucket: str, key: str) -> None:
    assert parse_location(text) == ObjectLocation(bucket, key)


@pytest.mark.parametrize(
    ("text", "advice"),
    [
        ("photos/sample.jpg", "s3://bucket/key"),
        ("s3://amzn-s3-demo-bucket", "both a bucket and a key"),
        ("s3://amzn-s3-demo-bucket/", "both a bucket and a key"),
        ("s3:///key", "both a bucket and a key"),
        (AP, "both a bucket and a key"),
        ("arn:aws:iam::123456789012:role/example/key", "ARN of an access point"),
    ],
)
def test_incomplete_location_is_refused_with_advice(text: str, advice: str) -> None:
    with pytest.raises(ValueError, match=advice):
        parse_location(text)


def test_link_keeps_its_query_out_of_texts() -> None:
    link = parse_location(LINK)
    assert link == LinkLocation(LINK)
    assert link.name == "sample.jpg"
    assert "secret" not in f"{link} {link!r}"
