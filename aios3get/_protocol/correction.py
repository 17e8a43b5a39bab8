"""What an error answer asks to be corrected: the region, the credentials, the clock, a header."""

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
]

# https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html
_SKEWED: Final = frozenset({"RequestTimeTooSkewed", "RequestExpired"})
_ALLOWED_SKEW: Final = timedelta(minutes=15)
# A clock that was never set stands at 1970, less than a century away. A server's time further off
# is wrong itself, and signing by it could leave the years that datetime and time_t can hold.
_MOST_SKEW: Final = timedelta(days=36_525)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """What a decision must know about the request that failed.

    Attributes:
        now: the local clock, uncorrected, when the answer came; None if the signature was made
            elsewhere, as a presigned URL's.
        clock_offset: what was added to the local clock for signing.
        region: the region signed for; None if the request must stay where it went, as with a
            custom endpoint.
        refreshable: the credentials came from a source that can be asked again.
        checksum_mode: ``x-amz-checksum-mode`` was sent without the caller's asking.
        stale: the connection had been used before and ended without a byte of an answer.
    """

    now: datetime | None = None
    clock_offset: timedelta = timedelta()
    region: str | None = None
    refreshable: bool = False
    checksum_mode: bool = False
    stale: bool = False


@dataclass(frozen=True, slots=True)
class SwitchRegion:
    """Send again, at once, to the region where the bucket is."""

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
    """What to change so that the request can succeed, or None if the answer asks for nothing.

    Answers to HEAD have no body and so no code; where their status and ``Date`` fit, the likeliest
    cause is assumed, for a correction costs one request.
    """
    if not isinstance(error, ServiceError):
        return None
    if isinstance(error, WrongRegion):
        return _switch(error.region, sent.region)
    if sent.refreshable and _expired(error):
        return RefreshCredentials()
    if (offset := _skew(error, sent)) is not None:
        return CorrectClock(offset)
    if sent.checksum_mode and _refuses_checksum_mode(error):
        return DropChecksumMode()
    return None


def _switch(named: str | None, asked: str | None) -> SwitchRegion | None:
    if named is None or asked is None or named == asked:
        return None
    return SwitchRegion(named)


def _nameless(error: ServiceError) -> bool:
    return not error.code and error.details.method == "HEAD"


def _expired(error: ServiceError) -> bool:
    if isinstance(error, ExpiredToken) or error.code == "TokenRefreshRequired":
        return True
    return error.status == 400 and _nameless(error)


def _skew(error: ServiceError, sent: Sent) -> timedelta | None:
    """The clock offset that the server's time calls for, if the clock is what it refuses.

    None too if the server's time cannot be right.
    """
    if sent.now is None or error.server_time is None:
        return None
    offset = error.server_time - sent.now
    if abs(offset) > _MOST_SKEW or error.server_time < _EPOCH:
        return None
    if error.code in _SKEWED:
        return offset
    beyond = abs(offset - sent.clock_offset) > _ALLOWED_SKEW
    return offset if beyond and error.status == 403 and _nameless(error) else None


def _refuses_checksum_mode(error: ServiceError) -> bool:
    if error.status == 501 and _nameless(error):
        return True
    said = " ".join((error.message, *error.details.fields.values()))
    return error.status in (400, 501) and "x-amz-checksum-mode" in said.lower()
