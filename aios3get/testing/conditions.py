"""The four conditional headers, in the order of precedence of RFC 9110 section 13.2.2."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from aios3get.testing.responses import ErrorResponse, http_date
from aios3get.testing.stored_object import StoredObject

__all__ = ["check_conditions"]


def check_conditions(headers: Mapping[str, str], version: StoredObject) -> None:
    """Check ``If-Match`` and the other conditions of a request.

    Raises:
        ErrorResponse: 412, or 304 with the validators.
    """
    if_match = headers.get("If-Match")
    if if_match is not None:
        if not _matches(if_match, version.etag, weak=False):
            raise _precondition_failed("If-Match")
    elif _is_newer(version, headers.get("If-Unmodified-Since")):
        raise _precondition_failed("If-Unmodified-Since")
    if_none_match = headers.get("If-None-Match")
    if if_none_match is not None:
        if _matches(if_none_match, version.etag, weak=True):
            raise _not_modified(version)
    elif _is_newer(version, headers.get("If-Modified-Since")) is False:
        raise _not_modified(version)


# S3 accepts an ETag with or without its quotes.
_find_tags = re.compile(r'(W/)?(?:"([^"]*)"|([^",\s]+))').findall


def _matches(condition: str, etag: str, *, weak: bool) -> bool:
    # RFC 9110 sections 13.1.1 and 13.1.2: If-Match compares strongly, so that a weak ETag matches
    # nothing, and If-None-Match weakly.
    tags: list[tuple[str, str, str]] = _find_tags(condition)
    names = {quoted or bare for mark, quoted, bare in tags if weak or not mark}
    return condition.strip() == "*" or etag.strip('"') in names


def _is_newer(version: StoredObject, date: str | None) -> bool | None:
    # RFC 9110 sections 13.1.3 and 13.1.4: an invalid date is ignored.
    try:
        moment = parsedate_to_datetime(date or "")
    except ValueError:
        return None
    return version.last_modified > _aware(moment)


def _aware(moment: datetime) -> datetime:
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _precondition_failed(condition: str) -> ErrorResponse:
    return ErrorResponse(
        412,
        "PreconditionFailed",
        "At least one of the pre-conditions you specified did not hold",
        {"Condition": condition},
    )


def _not_modified(version: StoredObject) -> ErrorResponse:
    headers = {"ETag": version.etag, "Last-Modified": http_date(version.last_modified)}
    if version.version_id != "null":
        headers["x-amz-version-id"] = version.version_id
    return ErrorResponse(304, "NotModified", "Not Modified", headers=headers)
