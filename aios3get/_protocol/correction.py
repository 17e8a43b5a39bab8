"""Corrections of a failed request: its region, credentials, clock or a header."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final, NamedTuple

from aios3get.errors import ExpiredToken, S3Error, ServiceError, WrongRegion

__all__ = [
    "CorrectClock",
    "Correction",
    "DropChecksumMode",
    "RefreshCredentials",
    "Sent",
    "SwitchRegion",
    "correction",
    "is_clock_right",
]

# https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html
_SKEWED: Final = frozenset({"RequestTimeTooSkewed", "RequestExpired"})
_ALLOWED_SKEW: Final = timedelta(minutes=15)
# A clock that was never set shows 1970, less than a century ago. A larger difference means that the
# server's time is wrong, and it could exceed the range of datetime and time_t.
_MOST_SKEW: Final = timedelta(days=36_525)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class Sent(NamedTuple):
    """The facts about a failed request that a decision needs.

    Attributes:
        now: the local clock, uncorrected, when the response arrived; None for a presigned URL,
            which was signed elsewhere.
        clock_offset: the offset that was added to the local clock for the signature.
        region: the region of the signature; None if the region cannot be corrected, as with a
            custom endpoint.
        refreshable: whether a provider can return other credentials.
        checksum_mode: whether ``x-amz-checksum-mode`` was sent by default.
        stale: whether the connection was kept from an earlier request, and ended before a response.
    """

    now: datetime | None = None
    clock_offset: timedelta = timedelta()
    region: str | None = None
    refreshable: bool = False
    checksum_mode: bool = False
    stale: bool = False


class SwitchRegion(NamedTuple):
    """Retry immediately in the bucket's region."""

    region: str


@dataclass(frozen=True, slots=True)
class RefreshCredentials:
    """Retry immediately with new credentials."""


class CorrectClock(NamedTuple):
    """Retry immediately, signed with ``offset`` added to the local clock."""

    offset: timedelta


@dataclass(frozen=True, slots=True)
class DropChecksumMode:
    """Retry immediately without ``x-amz-checksum-mode``."""


Correction = SwitchRegion | RefreshCredentials | CorrectClock | DropChecksumMode


def correction(error: S3Error, sent: Sent) -> Correction | None:
    """Return the change that may make the request succeed, or None.

    A response to HEAD has no body and therefore no error code. If its status and ``Date`` match,
    the most likely cause is assumed, because a correction costs only one request.
    """
    if not isinstance(error, ServiceError):
        return None
    if isinstance(error, WrongRegion):
        return _switch(error.region, sent.region)
    if sent.refreshable and _is_expired(error):
        return RefreshCredentials()
    if (offset := _skew(error, sent)) is not None:
        return CorrectClock(offset)
    if sent.checksum_mode and _refuses_checksum_mode(error):
        return DropChecksumMode()
    return None


def is_clock_right(server_time: datetime, now: datetime) -> bool:
    """Whether S3 accepts signatures by the clock ``now`` at ``server_time``."""
    return abs(server_time - now) <= _ALLOWED_SKEW


def _switch(bucket_region: str | None, signed_region: str | None) -> SwitchRegion | None:
    if bucket_region is None or signed_region is None or bucket_region == signed_region:
        return None
    return SwitchRegion(bucket_region)


def _has_no_code(error: ServiceError) -> bool:
    return not error.code and error.details.method == "HEAD"


def _is_expired(error: ServiceError) -> bool:
    if isinstance(error, ExpiredToken) or error.code == "TokenRefreshRequired":
        return True
    return error.status == 400 and _has_no_code(error)


def _skew(error: ServiceError, sent: Sent) -> timedelta | None:
    """Return the offset of the server's clock if S3 rejected the request for its time.

    None also if the server's time is implausible.
    """
    if sent.now is None or error.server_time is None:
        return None
    offset = error.server_time - sent.now
    if abs(offset) > _MOST_SKEW or error.server_time < _EPOCH:
        return None
    if error.code in _SKEWED:
        return offset
    right = is_clock_right(error.server_time, sent.now + sent.clock_offset)
    return offset if not right and error.status == 403 and _has_no_code(error) else None


def _refuses_checksum_mode(error: ServiceError) -> bool:
    if error.status == 501 and _has_no_code(error):
        return True
    text = " ".join((error.message, *error.details.fields.values()))
    return error.status in (400, 501) and "x-amz-checksum-mode" in text.lower()
