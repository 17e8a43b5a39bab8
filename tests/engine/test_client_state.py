from collections.abc import AsyncIterator

import pytest

from aios3get._engine import client_state
from aios3get._engine.client_state import ClientState
from aios3get.client import S3Client

NOW = 1_369_353_600.0  # Fri, 24 May 2013 00:00:00 GMT


@pytest.fixture
async def state() -> AsyncIterator[ClientState]:
    async with S3Client(region="us-east-1") as client:
        state = (await client._start_exchange()).state
        state.clock = lambda: NOW
        yield state


async def test_now_is_the_local_clock_with_the_offset(state: ClientState) -> None:
    assert state.now() == NOW
    state.clock_offset = -90.0
    assert state.now() == NOW - 90


@pytest.mark.parametrize(
    ("date", "offset"),
    [
        ("Fri, 24 May 2013 00:10:00 GMT", 0.0),
        ("Thu, 23 May 2013 23:50:00 GMT", 0.0),
        ("Fri, 24 May 2013 01:00:00 GMT", 3600.0),
        ("", 3600.0),
        ("tomorrow", 3600.0),
    ],
)
async def test_offset_ends_once_a_response_confirms_the_local_clock(
    state: ClientState, date: str, offset: float
) -> None:
    state.clock_offset = 3600.0
    state.check_clock(date)
    assert state.clock_offset == offset


async def test_regions_of_the_oldest_buckets_are_forgotten_beyond_the_limit(
    state: ClientState, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client_state, "_MAX_REGIONS", 2)
    for number in (1, 2, 2, 3):
        state.remember_region(f"bucket{number}", "eu-central-1")
    assert list(state.regions) == ["bucket2", "bucket3"]
