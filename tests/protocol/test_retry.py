import pickle
from dataclasses import FrozenInstanceError
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aios3get import errors
from aios3get._protocol.correction import (
    CorrectClock,
    Correction,
    DropChecksumMode,
    RefreshCredentials,
    Sent,
    SwitchRegion,
    correction,
)
from aios3get._protocol.retry import Budget, Decision, GiveUp, RetryQuota, Wait
from aios3get._protocol.retry_policy import RetryPolicy
from aios3get.errors import (
    AccessDenied,
    BadRequest,
    ChecksumMismatch,
    ConfigurationError,
    ConnectionFailed,
    ConnectionLost,
    CredentialsError,
    ExpiredToken,
    InternalError,
    NoSuchKey,
    NotImplemented,
    RequestTimeTooSkewed,
    S3Error,
    ServerError,
    ServiceError,
    ServiceErrorDetails,
    ServiceUnavailable,
    SlowDown,
    Throttled,
    TransportTimeout,
    TruncatedBody,
    WrongRegion,
)

NOW = datetime(2006, 3, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
SENT = Sent(now=NOW, region="us-east-1", refreshable=True, checksum_mode=True)


def service(kind: type[ServiceError], status: int, **details: Any) -> ServiceError:
    return kind(ServiceErrorDetails(status=status, **details))


def budget(quota: RetryQuota | None = None, **policy: Any) -> Budget:
    return Budget(RetryPolicy(**policy), quota or RetryQuota())


TEMPORARY: list[S3Error] = [
    ConnectionFailed("refused"),
    ConnectionLost("reset"),
    TruncatedBody("the body ended 5 bytes early"),
    TransportTimeout("slow", limit="idle", seconds=30.0),
    TransportTimeout("slow", limit="connect", seconds=5.0),
    service(errors.RequestTimeout, 400, code="RequestTimeout"),
    service(BadRequest, 408),
    service(Throttled, 429),
    service(InternalError, 500, code="InternalError"),
    service(InternalError, 200, code="InternalError"),
    service(ServerError, 502),
    service(ServiceUnavailable, 503),
    service(SlowDown, 503, code="SlowDown"),
    service(ServerError, 504),
    service(ServerError, 520),
    service(AccessDenied, 503, code="AccessDenied"),
]
LASTING: list[S3Error] = [
    TransportTimeout("over", limit="deadline", seconds=1.0),
    CredentialsError("none"),
    ConfigurationError("wrong"),
    ChecksumMismatch("differs"),
    errors.ObjectChanged("replaced"),
    service(NoSuchKey, 404, code="NoSuchKey"),
    service(AccessDenied, 403, code="AccessDenied"),
    service(errors.NotModified, 304),
    service(NotImplemented, 501, code="NotImplemented", message="A header you provided"),
    service(BadRequest, 400, code="InvalidRequest"),
    service(errors.InvalidToken, 400, code="InvalidToken"),
]


@pytest.mark.parametrize("error", TEMPORARY, ids=repr)
def test_temporary_error_is_retried(error: S3Error) -> None:
    assert isinstance(budget().decide(error, SENT, 0.5), Wait)


@pytest.mark.parametrize("error", LASTING, ids=repr)
def test_lasting_error_is_not_retried(error: S3Error) -> None:
    assert budget().decide(error, SENT, 0.5) == GiveUp("the same request would fail again")


def test_retryable_of_the_instance_counts() -> None:
    untrusted = ConnectionFailed("the certificate is not trusted")
    untrusted.retryable = False
    assert isinstance(budget().decide(untrusted, SENT, 0.5), GiveUp)


@pytest.mark.parametrize("attempts", [1, 2, 3, 5])
def test_attempts_limit_the_retries(attempts: int) -> None:
    spent = budget(attempts=attempts)
    for _ in range(attempts - 1):
        assert isinstance(spent.decide(ConnectionLost(), SENT, 0.0), Wait)
    refused = spent.decide(ConnectionLost(), SENT, 0.0)
    assert refused == GiveUp(f"RetryPolicy allows {attempts} attempts without progress")


def test_progress_restarts_the_count_of_attempts() -> None:
    spent = budget(attempts=3, wait_initial=1.0)
    for _ in range(100):
        assert spent.decide(ConnectionLost(), SENT, 1.0) == Wait(1.0)
        assert spent.decide(ConnectionLost(), SENT, 1.0) == Wait(2.0)
        spent.responded()
        spent.progress()


def test_response_without_progress_does_not_restart_the_count() -> None:
    spent = budget(attempts=3)
    for _ in range(2):
        assert isinstance(spent.decide(ConnectionLost(), SENT, 0.0), Wait)
        spent.responded()
    assert isinstance(spent.decide(ConnectionLost(), SENT, 0.0), GiveUp)


@pytest.mark.parametrize(
    ("retry", "throttled", "longest"),
    [
        (1, False, 0.2),
        (2, False, 0.4),
        (3, False, 0.8),
        (4, False, 1.6),
        (8, False, 20.0),
        (5000, False, 20.0),
        (1, True, 1.0),
        (2, True, 2.0),
        (4, True, 8.0),
        (6, True, 20.0),
        (10**30, True, 20.0),
    ],
)
def test_wait_doubles_up_to_wait_max(retry: int, throttled: bool, longest: float) -> None:
    policy = RetryPolicy()
    assert policy.delay(retry, 1.0, throttled=throttled) == pytest.approx(longest)
    assert policy.delay(retry, 0.5, throttled=throttled) == pytest.approx(longest / 2)
    assert policy.delay(retry, 0.0, throttled=throttled) == 0.0


@pytest.mark.parametrize("initial", [0, 0.001, 3.0])
def test_wait_for_throttling_is_five_times_as_long(initial: float) -> None:
    policy = RetryPolicy(wait_initial=initial)
    assert policy.delay(1, 1.0, throttled=True) == 5 * policy.delay(1, 1.0) == 5 * initial


@given(
    retry=st.integers(1, 10**9),
    jitter=st.floats(0, 1, exclude_max=True),
    throttled=st.booleans(),
    initial=st.floats(0, 86400),
    longest=st.floats(0, 86400),
)
def test_wait_is_never_longer_than_wait_max(
    retry: int, jitter: float, throttled: bool, initial: float, longest: float
) -> None:
    policy = RetryPolicy(wait_initial=initial, wait_max=longest)
    assert 0.0 <= policy.delay(retry, jitter, throttled=throttled) <= longest


@pytest.mark.parametrize(
    ("error", "seconds"),
    [
        (service(SlowDown, 503, code="SlowDown"), 0.5),
        (service(Throttled, 429), 0.5),
        (service(ServiceUnavailable, 503), 0.1),
        (service(ServiceUnavailable, 503, retry_after=3.0), 3.0),
        (service(SlowDown, 503, code="SlowDown", retry_after=0.25), 0.5),
        (service(ServiceUnavailable, 503, retry_after=0.0), 0.1),
        (service(ServiceUnavailable, 503, retry_after=3600.0), 20.0),
        (ConnectionLost(), 0.1),
    ],
    ids=repr,
)
def test_wait_depends_on_the_error_and_retry_after(error: S3Error, seconds: float) -> None:
    assert budget().decide(error, SENT, 0.5) == Wait(seconds)


def test_first_stale_connection_is_replaced_without_a_retry() -> None:
    quota = RetryQuota()
    stale = Sent(now=NOW, stale=True)
    one = budget(quota, attempts=2)
    full = quota.left
    assert one.decide(ConnectionLost(), stale, 0.5) == Wait(0.0)
    assert quota.left == full
    assert one.decide(ConnectionLost(), stale, 0.5) == Wait(0.1)
    assert isinstance(one.decide(ConnectionLost(), stale, 0.5), GiveUp)
    one.progress()
    assert one.decide(ConnectionLost(), stale, 0.5) == Wait(0.0)


def test_error_response_on_a_kept_connection_is_a_retry() -> None:
    error = service(NoSuchKey, 404)
    assert isinstance(budget().decide(error, Sent(now=NOW, stale=True), 0.5), GiveUp)


def skewed(by: timedelta) -> ServiceError:
    return service(RequestTimeTooSkewed, 403, code="RequestTimeTooSkewed", server_time=NOW + by)


def head(kind: type[ServiceError], status: int, **details: Any) -> ServiceError:
    return service(kind, status, method="HEAD", **details)


EXPIRED = service(AccessDenied, 400, code="RequestExpired", server_time=NOW + HOUR)
REFUSED_HEADER = "Header 'x-amz-checksum-mode' with value 'ENABLED' not implemented"
REFUSED_501 = service(NotImplemented, 501, code="NotImplemented", message=REFUSED_HEADER)
REFUSED_400 = service(BadRequest, 400, code="InvalidRequest", message=REFUSED_HEADER)
REFUSED_ARGUMENT = service(
    BadRequest, 400, code="InvalidArgument", fields={"ArgumentName": "X-Amz-Checksum-Mode"}
)

UNSET_CLOCK = datetime(1970, 1, 1, tzinfo=UTC)
BEFORE_1970 = UNSET_CLOCK - timedelta(seconds=1)
END_OF_TIME = datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)
YEAR = timedelta(days=365)

CORRECTIONS: list[tuple[S3Error, Sent, Correction | None]] = [
    (service(WrongRegion, 301, region="eu-west-1"), SENT, SwitchRegion("eu-west-1")),
    (service(WrongRegion, 400, region="eu-west-1"), SENT, SwitchRegion("eu-west-1")),
    (service(WrongRegion, 301), SENT, None),
    (service(WrongRegion, 307, region="us-east-1"), SENT, None),
    (service(WrongRegion, 301, region="eu-west-1"), Sent(now=NOW), None),
    (service(AccessDenied, 403, region="eu-west-1"), SENT, None),
    (service(ExpiredToken, 400, code="ExpiredToken"), SENT, RefreshCredentials()),
    (service(ExpiredToken, 400, code="ExpiredToken"), Sent(now=NOW), None),
    (service(BadRequest, 400, code="TokenRefreshRequired"), SENT, RefreshCredentials()),
    (head(BadRequest, 400), SENT, RefreshCredentials()),
    (head(BadRequest, 400), Sent(now=NOW), None),
    (service(BadRequest, 400), SENT, None),
    (service(BadRequest, 400, code="InvalidToken"), SENT, None),
    (skewed(HOUR), SENT, CorrectClock(HOUR)),
    (skewed(-HOUR), SENT, CorrectClock(-HOUR)),
    (skewed(HOUR), Sent(now=NOW, clock_offset=HOUR), CorrectClock(HOUR)),
    (skewed(HOUR), Sent(), None),
    (service(RequestTimeTooSkewed, 403, code="RequestTimeTooSkewed"), SENT, None),
    (skewed(timedelta(days=36_525)), SENT, CorrectClock(timedelta(days=36_525))),
    (skewed(timedelta(days=36_526)), SENT, None),
    (skewed(END_OF_TIME - NOW), SENT, None),
    (skewed(BEFORE_1970 - NOW), SENT, None),
    (skewed(timedelta()), Sent(now=UNSET_CLOCK), CorrectClock(NOW - UNSET_CLOCK)),
    (skewed(timedelta()), Sent(now=NOW + 60 * YEAR), CorrectClock(-60 * YEAR)),
    (head(AccessDenied, 403, server_time=END_OF_TIME), SENT, None),
    (EXPIRED, SENT, CorrectClock(HOUR)),
    (head(AccessDenied, 403, server_time=NOW + HOUR), SENT, CorrectClock(HOUR)),
    (head(AccessDenied, 403, server_time=NOW - HOUR), SENT, CorrectClock(-HOUR)),
    (head(AccessDenied, 403, server_time=NOW + HOUR), Sent(now=NOW, clock_offset=HOUR), None),
    (head(AccessDenied, 403, server_time=NOW + timedelta(minutes=10)), SENT, None),
    (head(NoSuchKey, 404, server_time=NOW + HOUR), SENT, None),
    (service(AccessDenied, 403, server_time=NOW + HOUR), SENT, None),
    (REFUSED_501, SENT, DropChecksumMode()),
    (REFUSED_400, SENT, DropChecksumMode()),
    (REFUSED_ARGUMENT, SENT, DropChecksumMode()),
    (REFUSED_400, Sent(now=NOW), None),
    (service(AccessDenied, 403, message=REFUSED_HEADER), SENT, None),
    (service(NotImplemented, 501, code="NotImplemented"), SENT, None),
    (head(NotImplemented, 501), SENT, DropChecksumMode()),
    (head(NotImplemented, 501), Sent(now=NOW), None),
    (ConnectionLost(), SENT, None),
]


@pytest.mark.parametrize(("error", "sent", "expected"), CORRECTIONS)
def test_correction_that_an_error_response_calls_for(
    error: S3Error, sent: Sent, expected: Correction | None
) -> None:
    assert correction(error, sent) == expected


@pytest.mark.parametrize(
    ("error", "sent"), [(error, sent) for error, sent, found in CORRECTIONS if found is not None]
)
def test_correction_is_free_and_happens_once(error: S3Error, sent: Sent) -> None:
    quota = RetryQuota()
    full = quota.left
    once = budget(quota, attempts=1)
    assert once.decide(error, sent, 0.5) == correction(error, sent)
    assert isinstance(once.decide(error, sent, 0.5), GiveUp)
    assert quota.left == full
    once.progress()
    assert once.decide(error, sent, 0.5) == correction(error, sent)


def test_different_corrections_follow_each_other() -> None:
    one = budget(attempts=1)
    made = [
        one.decide(error, SENT, 0.5)
        for error in (
            service(WrongRegion, 301, region="eu-west-1"),
            skewed(HOUR),
            service(ExpiredToken, 400, code="ExpiredToken"),
            REFUSED_501,
            service(WrongRegion, 301, region="eu-west-2"),
        )
    ]
    assert made[:4] == [
        SwitchRegion("eu-west-1"),
        CorrectClock(HOUR),
        RefreshCredentials(),
        DropChecksumMode(),
    ]
    assert isinstance(made[4], GiveUp)


def test_retry_takes_tokens_that_a_response_returns() -> None:
    quota = RetryQuota(1)
    one = budget(quota)
    one.decide(ConnectionLost(), SENT, 0.0)
    assert quota.left == 495
    one.decide(TransportTimeout(limit="idle"), SENT, 0.0)
    assert quota.left == 485
    one.responded()
    assert quota.left == 500
    one.responded()
    assert quota.left == 500


def test_tokens_are_returned_once() -> None:
    quota = RetryQuota(1)
    quota.take(100)
    one = budget(quota)
    one.decide(ConnectionLost(), SENT, 0.0)
    one.responded()
    assert quota.left == 400
    one.responded()
    assert quota.left == 401


@pytest.mark.parametrize("error", [service(errors.NotModified, 304), service(NoSuchKey, 404)])
def test_response_that_is_not_retried_refills_the_quota(error: S3Error) -> None:
    quota = RetryQuota(1)
    quota.take(100)
    one = budget(quota)
    one.decide(ConnectionLost(), SENT, 0.0)
    assert isinstance(one.decide(error, SENT, 0.0), GiveUp)
    assert quota.left == 400
    budget(quota).decide(error, SENT, 0.0)
    assert quota.left == 401


def test_failed_connection_refills_nothing() -> None:
    quota = RetryQuota(1)
    quota.take(100)
    budget(quota, attempts=1).decide(ConnectionLost(), SENT, 0.0)
    assert quota.left == 400


def test_good_calls_refill_the_quota() -> None:
    quota = RetryQuota(1)
    budget(quota).decide(ConnectionLost(), SENT, 0.0)
    for _ in range(3):
        budget(quota).responded()
    assert quota.left == 498


def test_empty_quota_ends_retries() -> None:
    quota = RetryQuota(1)
    for _ in range(100):
        assert isinstance(budget(quota).decide(ConnectionLost(), SENT, 0.0), Wait)
    refused = budget(quota).decide(ConnectionLost(), SENT, 0.0)
    assert isinstance(refused, GiveUp)
    assert "quota" in refused.reason
    assert quota.left == 0


@pytest.mark.parametrize(("concurrency", "tokens"), [(1, 500), (64, 1920), (1000, 30_000)])
def test_quota_allows_a_retry_of_every_concurrent_call(concurrency: int, tokens: int) -> None:
    quota = RetryQuota(concurrency)
    assert quota.left == tokens
    stalled = TransportTimeout(limit="idle")
    for _ in range(concurrency):
        assert isinstance(budget(quota).decide(stalled, SENT, 0.0), Wait)


EVENTS = st.sampled_from(["responded", "progress", "lost", "timeout", "throttled", "skewed"])


@given(
    attempts=st.integers(1, 6),
    events=st.lists(st.tuples(st.integers(0, 3), EVENTS), max_size=200),
    stale=st.booleans(),
)
def test_no_order_of_events_exceeds_a_budget(
    attempts: int, events: list[tuple[int, str]], stale: bool
) -> None:
    quota = RetryQuota(1)
    calls = [budget(quota, attempts=attempts) for _ in range(4)]
    waits = [0] * 4
    causes: dict[str, S3Error] = {
        "lost": ConnectionLost(),
        "timeout": TransportTimeout(limit="idle"),
        "throttled": service(SlowDown, 503),
        "skewed": skewed(HOUR),
    }
    for which, event in events:
        call = calls[which]
        if event == "responded":
            call.responded()
        elif event == "progress":
            call.progress()
            waits[which] = 0
        else:
            decision: Decision = call.decide(causes[event], Sent(now=NOW, stale=stale), 0.99)
            waits[which] += isinstance(decision, Wait)
        assert waits[which] <= attempts - 1 + stale
        assert 0 <= quota.left <= 500


@pytest.mark.parametrize("attempts", [0, -1, 2.0, True, "3", None])
def test_invalid_attempts_are_a_configuration_error(attempts: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"attempts .* whole number") as caught:
        RetryPolicy(attempts=attempts)
    assert repr(attempts) in str(caught.value)


@pytest.mark.parametrize("name", ["wait_initial", "wait_max"])
@pytest.mark.parametrize(
    "seconds", [-0.1, float("nan"), float("inf"), 86_401, 10**400, True, "1", None, timedelta(1)]
)
def test_invalid_wait_is_a_configuration_error(name: str, seconds: Any) -> None:
    with pytest.raises(ConfigurationError, match=name):
        RetryPolicy(**{name: seconds})


def test_policy_is_a_frozen_value_with_the_documented_defaults() -> None:
    policy = RetryPolicy()
    assert policy == RetryPolicy(attempts=5, wait_initial=0.2, wait_max=20.0)
    assert pickle.loads(pickle.dumps(policy)) == policy
    assert len({policy, RetryPolicy()}) == 1
    with pytest.raises(FrozenInstanceError):
        policy.attempts = 9  # type: ignore[misc]  # the point of the test
    assert RetryPolicy(attempts=1, wait_initial=0, wait_max=0).delay(1, 1.0) == 0
