"""The bytes that a request selects (all, a range, or a part) and their checksums."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from aios3get.testing.checksums import checksum
from aios3get.testing.responses import ErrorResponse
from aios3get.testing.stored_object import StoredObject

__all__ = ["Selection", "checksum_headers", "select"]

# int() refuses thousands of digits.
_match_range = re.compile(r"bytes=([0-9]{0,99})-([0-9]{0,99})").fullmatch


@dataclass(frozen=True, slots=True)
class Selection:
    """The bytes from ``start`` up to ``stop``.

    Attributes:
        start: the first byte.
        stop: the offset after the last byte.
        partial: whether the response is a 206.
        part: the part number of the request.
    """

    start: int
    stop: int
    partial: bool = False
    part: int | None = None


def select(version: StoredObject, header: str | None, part: str | None) -> Selection:
    """Apply ``Range`` and ``partNumber``.

    Raises:
        ErrorResponse: 400 for invalid combinations, 416 for bytes that the object does not have.
    """
    if header is not None and part is not None:
        raise ErrorResponse(
            400,
            "InvalidRequest",
            "Cannot specify both Range header and partNumber query parameter",
        )
    if part is not None:
        return _select_part(version, part)
    # RFC 9110 section 14.2: an invalid Range is ignored. S3 sends one range only
    # (API_GetObject: "Amazon S3 doesn't support retrieving multiple ranges").
    match = _match_range(header or "")
    if not match or not (match[1] or match[2]):
        return Selection(0, len(version.body))
    return _select_range(len(version.body), match[1], match[2], header or "")


def _select_range(size: int, first: str, last: str, header: str) -> Selection:
    if not first:
        start, stop = max(0, size - int(last)), size
    else:
        start, stop = int(first), min(int(last) + 1, size) if last else size
        if last and int(last) < start:
            return Selection(0, size)
    if start >= size:
        raise ErrorResponse(
            416,
            "InvalidRange",
            "The requested range is not satisfiable",
            {"RangeRequested": header, "ActualObjectSize": str(size)},
            {"Content-Range": f"bytes */{size}"},
        )
    return Selection(start, stop, partial=True)


def _select_part(version: StoredObject, text: str) -> Selection:
    if not re.fullmatch(r"[0-9]{1,5}", text) or not 1 <= int(text) <= 10000:
        raise ErrorResponse(
            400,
            "InvalidArgument",
            "Part number must be an integer between 1 and 10000, inclusive",
            {"ArgumentName": "partNumber", "ArgumentValue": text},
        )
    number, count = int(text), len(version.parts) or 1
    if number > count:
        raise ErrorResponse(
            416,
            "InvalidPartNumber",
            "The requested partnumber is not satisfiable",
            {"PartNumberRequested": text, "ActualPartCount": str(count)},
        )
    start, stop = version.part_bounds(number)
    # An empty object has no Content-Range to send.
    return Selection(start, stop, partial=stop > start, part=number)


def checksum_headers(version: StoredObject, selection: Selection) -> Mapping[str, str]:
    """Return the ``x-amz-checksum-*`` headers for these bytes; empty if S3 sends none."""
    values = _checksums(version, selection)
    headers = {f"x-amz-checksum-{name.lower()}": value for name, value in values.items()}
    return {**headers, "x-amz-checksum-type": version.checksum_type} if headers else {}


def _checksums(version: StoredObject, selection: Selection) -> Mapping[str, str]:
    is_whole = (selection.start, selection.stop) == (0, len(version.body))
    if version.checksum_type == "FULL_OBJECT":
        # A part of such an object has no checksum: localstack/localstack#12842, tried against AWS.
        return version.checksums if is_whole else {}
    bounds = [version.part_bounds(number + 1) for number in range(len(version.parts))]
    if (selection.start, selection.stop) in bounds and selection.partial:
        # userguide/checking-object-integrity.html: "specifying a part number or byte range that
        # aligns with a single part".
        piece = memoryview(version.body)[selection.start : selection.stop]
        return {name: checksum(name, piece) for name in version.checksums}
    if not is_whole:
        return {}
    # For a range of the whole object, S3 omits the "-N": boto/botocore#3346.
    suffix = "" if selection.partial else f"-{len(version.parts)}"
    return {name: value + suffix for name, value in version.checksums.items()}
