"""What a request has to change so that it can succeed: region, credentials, clock or a header."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

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
# A clock that was never set shows 1970, less than a century ago. A server whose time differs more
# is wrong itself, and its time could leave the years that datetime and time_t can hold.
_MOST_SKEW: Final = timedelta(days=36_525)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """What a decision needs to know about the request that failed.

    Attributes:
        now: the local clock, uncorrected, when the response arrived; None if somebody else signed
            the request, as with a presigned URL.
        clock_offset: what was added to the local clock for the signature.
        region: the region of the signature; None if the request must stay where it went, as with
            a custom endpoint.
        refreshable: the credentials came from a provider that can be asked again.
        checksum_mode: ``x-amz-checksum-mode`` was sent though the caller had not asked for it.
        stale: the connection was kept from an earlier request, and ended before a response.
    """

    now: datetime | None = None
    clock_offset: timedelta = timedelta()
    region: str | None = None
    refreshable: bool = False
    checksum_mode: bool = False
    stale: bool = False


@dataclass(frozen=True, slots=True)
class SwitchRegion:
    """Send again, at once, to the bucket's region."""

    region: str


@dataclass(frozen=True, slots=True)
class RefreshCredentials:
    """Send again, at once, with new credentials."""


@dataclass(frozen=True, slots=True)
class CorrectClock:
    """Send again, at once, signed with ``offset`` added to the local clock."""

    offset: timedelta


@dataclass(frozen=True, slots=True)
class DropChecksumMode:
    """Send again, at once, without ``x-amz-checksum-mode``."""


Correction = SwitchRegion | RefreshCredentials | CorrectClock | DropChecksumMode


def correction(error: S3Error, sent: Sent) -> Correction | None:
    """The change that may make the request succeed, or None.

    Responses to HEAD have no body and so no code. Where their status and ``Date`` fit, the most
    likely cause is assumed, because a correction costs one request.
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
    """The offset of the server's clock, if S3 refused the request for its time.

    None also if the server's time cannot be right.
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
