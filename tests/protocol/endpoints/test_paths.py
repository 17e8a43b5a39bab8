import pytest

from aios3get._protocol.endpoints.paths import split_path

ACCESS_POINT = "arn:aws:s3:us-west-2:123456789012:accesspoint/example-ap"
OUTPOST = "arn:aws:s3-outposts:us-west-2:123456789012:outpost/op-01/accesspoint/example-ap"
LAMBDA = "arn:aws:s3-object-lambda:us-west-2:123456789012:accesspoint/example-ap"
MULTI_REGION = "arn:aws:s3::123456789012:accesspoint/mfzwi23gnjvgw.mrap"
EXPRESS = "arn:aws:s3express:us-west-2:123456789012:accesspoint/example--usw2-az1--xa-s3"


@pytest.mark.parametrize(
    ("path", "bucket", "key"),
    [
        ("", "", ""),
        ("amzn-s3-demo-bucket", "amzn-s3-demo-bucket", ""),
        ("amzn-s3-demo-bucket//a/../b?c#d%20", "amzn-s3-demo-bucket", "/a/../b?c#d%20"),
        ("arn:aws:s3:::amzn-s3-demo-bucket/photos/a", "amzn-s3-demo-bucket", "photos/a"),
        ("arn:aws:s3:::amzn-s3-demo-bucket", "amzn-s3-demo-bucket", ""),
        *(
            (f"{arn}{rest}", arn, key)
            for arn in (ACCESS_POINT, OUTPOST, LAMBDA, MULTI_REGION, EXPRESS)
            for rest, key in [("", ""), ("/", ""), ("/photos/a:b", "photos/a:b"), ("//a", "/a")]
        ),
    ],
)
def test_path_is_split_behind_the_bucket_or_access_point(path: str, bucket: str, key: str) -> None:
    assert split_path(path) == (bucket, key)


@pytest.mark.parametrize(
    "path", ["arn:aws:iam::123456789012:role/example/key", "arn:aws:s3:us-west-2:1:accesspoint/a"]
)
def test_arn_of_anything_else_is_refused(path: str) -> None:
    with pytest.raises(ValueError, match="ARN of an access point or bucket"):
        split_path(path)
