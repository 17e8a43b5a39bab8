"""PUT of a bucket.

https://docs.aws.amazon.com/AmazonS3/latest/API/API_CreateBucket.html
"""

import re
from xml.etree.ElementTree import Element, ParseError, fromstring

from aios3get.testing.recorded_request import RecordedRequest
from aios3get.testing.responses import ErrorResponse, Response
from aios3get.testing.store import Bucket

__all__ = ["bucket_created", "is_creation", "new_bucket", "refuse_again"]

# userguide/bucketnamingrules.html
_is_name = re.compile(
    r"(?!.*\.\.)(?![0-9]+(?:\.[0-9]+){3}$)[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]"
).fullmatch


def is_creation(request: RecordedRequest) -> bool:
    """Whether a PUT of a bucket is about itself, and not its ``?versioning`` or the like."""
    return request.method == "PUT" and all(
        name == "x-id" or name.lower().startswith("x-amz-") for name, _ in request.query
    )


def new_bucket(request: RecordedRequest, name: str, here: str, owner: str) -> Bucket:
    """The bucket that the request asks for.

    Args:
        request: the request.
        name: the bucket's name.
        here: the region of the endpoint.
        owner: who asks.

    Raises:
        ErrorResponse: S3 makes no such bucket, or not here.
    """
    if not _is_name(name):
        fields = {"BucketName": name}
        raise ErrorResponse(400, "InvalidBucketName", "The specified bucket is not valid.", fields)
    if request.option("x-amz-acl") not in (None, "private"):
        message = "Bucket cannot have ACLs set with ObjectOwnership's BucketOwnerEnforced setting"
        raise ErrorResponse(400, "InvalidBucketAclWithObjectOwnership", message)
    return Bucket(
        name=name,
        region=here if name.endswith("--x-s3") else _region(request.body, here),
        owner=owner,
        versioning=request.option("x-amz-bucket-object-lock-enabled") == "true",
    )


def _region(body: bytes, here: str) -> str:
    told = _constraint(body)
    region = {"": "us-east-1", "EU": "eu-west-1"}.get(told, told)
    # The endpoint of us-east-1 makes buckets of every region.
    if here not in ("us-east-1", region):
        raise ErrorResponse(
            400,
            "IllegalLocationConstraintException",
            f"The {told or 'unspecified'} location constraint is incompatible for the region "
            "specific endpoint this request was sent to.",
        )
    return region


def _constraint(body: bytes) -> str:
    if not body:
        return ""
    try:
        document: Element = fromstring(body)
    except (ParseError, LookupError, ValueError):
        message = "The XML you provided was not well-formed or did not validate against our "
        raise ErrorResponse(400, "MalformedXML", f"{message}published schema") from None
    return document.findtext("{*}LocationConstraint") or ""


def bucket_created(bucket: Bucket) -> Response:
    """The answer to the PUT that made it."""
    return Response(200, (("Location", f"/{bucket.name}"),))


def refuse_again(bucket: Bucket, owner: str) -> None:
    """Nothing, if ``owner`` may create the bucket once more, as in us-east-1 alone.

    Raises:
        ErrorResponse: the bucket is there.
    """
    fields = {"BucketName": bucket.name}
    if bucket.owner != owner:
        message = (
            "The requested bucket name is not available. The bucket namespace is shared by all "
            "users of the system. Please select a different name and try again."
        )
        raise ErrorResponse(409, "BucketAlreadyExists", message, fields)
    if bucket.region != "us-east-1":
        message = (
            "Your previous request to create the named bucket succeeded and you already own it."
        )
        raise ErrorResponse(409, "BucketAlreadyOwnedByYou", message, fields)
