import random
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aios3get import ByteRange, RetryPolicy, S3Client, errors
from aios3get._engine.parallel import ranges as ranges_module
from aios3get._engine.parallel.concurrency import USUAL_RATE, Link
from aios3get._engine.parallel.parts import MIB, MIN_PART, Span
from aios3get._engine.parallel.ranges import RangesSink, choose_gap, divide
from aios3get.testing import S3Server, faults
from tests.engine.parallel.conftest import CONTENT, PART, covering
from tests.reading_client import BUCKET, KEY, scripted_client
from tests.servers.scripted import (
    ScriptedServer,
    Step,
    close,
    hang,
    http_response,
    read_request,
    send,
    wait,
)

SIZE = len(CONTENT)


def expected(ranges: list[ByteRange]) -> list[bytes]:
    return [CONTENT[slice(*each.within(SIZE))] for each in ranges]


async def test_ranges_are_returned_in_the_requested_order(
    server: S3Server, client: S3Client
) -> None:
    server.put_object(BUCKET, KEY, CONTENT)
    ranges = [
        ByteRange(5000, 5010),
        ByteRange(0, 1),
        ByteRange(5000, 5010),
        ByteRange(5005, 5500),
        ByteRange(SIZE - 1, SIZE),
        ByteRange.last(20),
        ByteRange.from_offset(6500),
        ByteRange(7000, 99999),
        ByteRange(100, 4800),
    ]
    views = await client.get_ranges(BUCKET, KEY, ranges)
    assert [bytes(view) for view in views] == expected(ranges)
    assert all(view.readonly for view in views)


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("gap", [0, 50, None])
async def test_any_ranges_are_read(
    server: S3Server, client: S3Client, seed: int, gap: int | None
) -> None:
    server.put_object(BUCKET, KEY, CONTENT)
    chance = random.Random(seed)

    def make() -> ByteRange:
        start, size = chance.randrange(SIZE), chance.choice([1, 10, 100, 3000])
        kinds = [ByteRange(start, start + size), ByteRange(start), ByteRange.last(size)]
        return chance.choice(kinds if seed % 2 else kinds[:1])

    ranges = [make() for _ in range(chance.choice([1, 3, 30]))]
    views = await client.get_ranges(BUCKET, KEY, ranges, gap=gap)
    assert [bytes(view) for view in views] == expected(ranges)


async def test_close_ranges_take_few_requests_and_no_memory_for_the_bytes_between(
    server: S3Server, client: S3Client
) -> None:
    server.put_object(BUCKET, KEY, CONTENT)
    ranges = [ByteRange(start, start + 5) for start in range(0, 3000, 10)]
    views = await client.get_ranges(BUCKET, KEY, ranges)
    assert [bytes(view) for view in views] == expected(ranges)
    assert len(server.requests) <= 5
    assert sum({id(view.obj): len(memoryview(view.obj)) for view in views}.values()) == 5 * 300


async def test_close_ranges_that_fit_a_request_take_one(server: S3Server, client: S3Client) -> None:
    server.put_object(BUCKET, KEY, CONTENT)
    ranges = [ByteRange(6010, 6500), ByteRange(5700, 6000), ByteRange(6400, 6600)]
    views = await client.get_ranges(BUCKET, KEY, ranges)
    assert [bytes(view) for view in views] == expected(ranges)
    assert [request.headers["Range"] for request in server.requests] == ["bytes=5700-6599"]


async def test_distant_ranges_are_read_separately(server: S3Server, client: S3Client) -> None:
    server.put_object(BUCKET, KEY, CONTENT)
    ranges = [ByteRange(0, 10), ByteRange(300, 310), ByteRange(900, 905)]
    await client.get_ranges(BUCKET, KEY, ranges, gap=100)
    read = {request.headers["Range"] for request in server.requests}
    assert read == {"bytes=0-9", "bytes=300-309", "bytes=900-904"}


async def test_long_range_is_divided(server: S3Server, client: S3Client) -> None:
    server.put_object(BUCKET, KEY, CONTENT)
    (view,) = await client.get_ranges(BUCKET, KEY, ["bytes=0-6999"])
    assert view == CONTENT[:7000]
    assert len(server.requests) > 2


async def test_all_requests_but_the_first_have_if_match(server: S3Server, client: S3Client) -> None:
    stored = server.put_object(BUCKET, KEY, CONTENT)
    await client.get_ranges(BUCKET, KEY, ["bytes=0-9", "bytes=-5"], gap=0)
    first, *others = server.requests
    assert "If-Match" not in first.headers
    assert [request.headers["If-Match"] for request in others] == [stored.etag]
    assert all(request.method == "GET" for request in server.requests)


async def test_no_ranges_take_no_request(server: S3Server, client: S3Client) -> None:
    assert await client.get_ranges(BUCKET, KEY, []) == []
    assert not server.requests


@pytest.mark.parametrize(
    "ranges",
    [
        [f"bytes={SIZE}-"],
        ["bytes=0-9", f"bytes={SIZE}-{SIZE + 5}"],
        [f"bytes={SIZE - 9}-{SIZE - 1}", f"bytes={SIZE + 5}-{SIZE + 9}"],
    ],
)
async def test_range_outside_the_object_is_refused(
    server: S3Server, client: S3Client, ranges: list[str]
) -> None:
    server.put_object(BUCKET, KEY, CONTENT)
    with pytest.raises(errors.InvalidRange) as caught:
        await client.get_ranges(BUCKET, KEY, ranges)
    assert caught.value.actual_object_size == SIZE


@pytest.mark.parametrize(
    "arguments",
    [
        {"ranges": ["bytes=5-1"]},
        {"ranges": [5]},
        {"gap": -1},
        {"gap": 1.5},
        {"connections": 0},
        {"range": "bytes=0-5"},
        {"part_number": 1},
    ],
    ids=str,
)
async def test_invalid_arguments_are_refused_before_any_request(
    server: S3Server, client: S3Client, arguments: dict[str, Any]
) -> None:
    with pytest.raises(errors.ParameterError):
        await client.get_ranges(BUCKET, KEY, **{"ranges": ["bytes=0-5"], **arguments})
    assert not server.requests


async def test_replaced_object_raises_object_changed(server: S3Server, client: S3Client) -> None:
    server.put_object(BUCKET, KEY, CONTENT)

    def replace() -> None:
        server.put_object(BUCKET, KEY, CONTENT[::-1])

    server.faults.add(faults.replace_object(replace, after=PART), where=covering(7000))
    with pytest.raises(errors.ObjectChanged):
        await client.get_ranges(BUCKET, KEY, ["bytes=0-9", "bytes=7000-7009"], gap=0)


@pytest.mark.parametrize("fault", [faults.no_etag(), faults.ignore_range()], ids=lambda f: f.name)
async def test_server_without_etag_or_ranges_is_refused(
    server: S3Server, client: S3Client, fault: faults.Fault
) -> None:
    server.put_object(BUCKET, KEY, CONTENT)
    server.faults.add(fault, times=None)
    with pytest.raises(errors.IntegrityError, match="ETag"):
        await client.get_ranges(BUCKET, KEY, ["bytes=0-9"])


@pytest.mark.parametrize(
    ("body", "message"), [(b"12345678", "2 bytes early"), (b"123456789012", "longer")]
)
async def test_whole_body_of_another_length_than_its_range_is_truncated_body(
    body: bytes, message: str
) -> None:
    chunk = b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)
    headers = ["Content-Range: bytes 0-9/10", 'ETag: "1"', "Transfer-Encoding: chunked"]
    response = http_response(chunk, *headers, status="206 Partial Content", length="")
    with ScriptedServer([read_request(), send(response)]) as server:
        async with scripted_client(server, retry=RetryPolicy(attempts=1)) as client:
            with pytest.raises(errors.TruncatedBody, match=message):
                await client.get_ranges(BUCKET, KEY, ["bytes=0-9"])


def ten_bytes(
    body: bytes = b"0123456789", content: str = "0-9", etag: str = "1", length: int | None = None
) -> bytes:
    return http_response(
        body,
        f"Content-Range: bytes {content}/100",
        f'ETag: "{etag}"',
        status="206 Partial Content",
        length=length,
    )


LAST = ten_bytes(b"abcdefghij", "90-99")
WRONG = b"wrongbytes"


@pytest.mark.parametrize(
    ("steps", "error"),
    [
        ([send(ten_bytes())], None),
        ([send(ten_bytes()[:-1]), wait(0.05), send(b"9")], None),
        ([send(ten_bytes() + b"excess")], None),
        ([send(ten_bytes(b"01234", length=10)), close()], None),
        ([send(http_response(WRONG, status="503 Slow Down")), hang()], None),
        ([close()], None),
        ([send(ten_bytes(WRONG, "10-19"))], errors.RangeMismatch),
        ([send(ten_bytes(WRONG[:-1]))], errors.RangeMismatch),
        ([send(ten_bytes(WRONG + b"!"))], errors.RangeMismatch),
        ([send(ten_bytes(WRONG, etag="2"))], errors.ObjectChanged),
        ([send(http_response(WRONG, 'ETag: "1"'))], errors.ObjectChanged),
        ([send(http_response(WRONG, status="404 Not Found"))], errors.ObjectChanged),
        ([send(http_response(WRONG, status="403 Forbidden"))], errors.AccessDenied),
    ],
    ids=[
        *("good", "in two pieces", "excess", "cut", "slow down", "closed"),
        *("other range", "short", "long", "other version", "status 200", "not found", "forbidden"),
    ],
)
@pytest.mark.parametrize("hedge", [False, True], ids=["", "hedge"])
async def test_response_on_a_kept_connection(
    steps: list[Step], error: type[errors.S3Error] | None, hedge: bool
) -> None:
    def send_rest(connection: Any) -> None:
        start = 5 if b"bytes=5-9" in connection.requests[-1] else 0
        rest = ten_bytes(b"0123456789"[start:], f"{start}-9")
        connection.socket.sendall(rest)

    script = [read_request(), send(LAST), read_request(), *steps, hang()]
    with ScriptedServer(script, [read_request(), send_rest, hang()]) as server:
        async with scripted_client(server) as client:
            reading = client.get_ranges(
                BUCKET, KEY, ["bytes=90-99", "bytes=0-9"], gap=0, connections=1, hedge=hedge
            )
            if error is not None:
                with pytest.raises(error):
                    await reading
            else:
                assert await reading == [b"abcdefghij", b"0123456789"]


async def test_short_bodies_are_stored_as_they_arrive_on_a_kept_connection(
    server: S3Server, client: S3Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.put_object(BUCKET, KEY, CONTENT)
    stored: list[tuple[int, int]] = []

    def store(sink: RangesSink, offset: int, data: memoryview) -> None:
        stored.append((offset, len(data)))
        original(sink, offset, data)

    original = RangesSink.store
    monkeypatch.setattr(RangesSink, "store", store)
    ranges = [ByteRange(start, start + 10) for start in range(0, 5000, 500)]
    assert await client.get_ranges(BUCKET, KEY, ranges, gap=0, connections=1) == expected(ranges)
    # The response to the last range is the first one.
    assert stored == [(each.start, 10) for each in ranges[:-1]]


spans = st.lists(st.tuples(st.integers(0, 60), st.integers(1, 60)), max_size=8).map(
    lambda steps: [
        Span(start - size, start)
        for start, (_, size) in zip(
            [sum(map(sum, steps[: i + 1])) for i in range(len(steps))], steps, strict=True
        )
    ]
)


@given(spans.filter(bool), st.integers(1, 40), st.integers(0, 500), st.integers(0, 500), st.data())
def test_sink_keeps_the_bytes_of_its_spans_and_of_nothing_else(
    spans: list[Span], direct: int, start: int, stop: int, data: st.DataObject
) -> None:
    content = random.Random(5).randbytes(1000)
    sink = RangesSink(spans)
    writer = sink.writer(start)

    at = start
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ranges_module, "_DIRECT", direct)
        while at < stop:
            window = writer.window(data.draw(st.integers(1, stop - at)))
            count = data.draw(st.integers(1, len(window)))
            window[:count] = content[at : at + count]
            writer.write(window[:count])
            at += count
    for index, span in enumerate(spans):
        kept = bytes(sink.memory.view(index, 0, span.size))
        for offset in range(*span):
            written = start <= offset < stop
            assert kept[offset - span.start] == (content[offset] if written else 0)


def measured(latency: float, rate: float) -> Link:
    link = Link(latency)
    link.add_transfer(1_000_000, 1_000_000 / rate)
    return link


LATENCIES = st.floats(0.0001, 2.0)
RATES = st.floats(1e4, 1e10)


@given(LATENCIES, RATES, st.integers(0, 1 << 30))
def test_gap_takes_no_longer_than_a_request_unless_it_is_short(
    latency: float, rate: float, widest: int
) -> None:
    gap = choose_gap(widest, measured(latency, rate))
    assert 65_536 <= gap <= 2 * MIB
    assert gap <= max(65_536, widest)
    assert gap == 65_536 or gap / rate <= latency * 1.001


def test_gap_is_short_for_a_near_server_and_for_a_slow_link() -> None:
    assert choose_gap(1 << 30, measured(0.0005, 2e9)) == 65_536
    assert choose_gap(1 << 30, measured(0.1, 200_000)) == 65_536
    assert choose_gap(1 << 30, Link(0.01)) == int(0.01 * USUAL_RATE)
    assert choose_gap(1 << 30, Link(0.1)) == 2 * MIB


@given(st.integers(0, 1 << 34), st.integers(1, 100_000), LATENCIES)
def test_requests_are_divided_among_all_connections(
    size: int, requests: int, latency: float
) -> None:
    connections, together = divide(size, requests, latency)
    assert connections >= 8
    assert MIB <= together <= MIN_PART
    assert connections <= divide(size, requests, 2 * latency)[0]
    assert connections <= divide(size, 2 * requests, latency)[0]


def test_connections_follow_from_latency_and_number_of_requests() -> None:
    assert divide(10 * MIB, 10, 0.0005)[0] == 8
    assert divide(64 * MIB, 1000, 0.0005)[0] == 78
    assert divide(64 * MIB, 1000, 0.1)[0] > 400
    # 100 MiB that may be read with one request are read by many at a distance.
    connections, together = divide(100 * MIB, 1, 0.1)
    assert connections > 40
    assert 100 * MIB / together <= connections


@pytest.mark.parametrize("latency", [0.0, 0.05])
async def test_few_bytes_more_than_wanted_are_read_at_any_latency(
    server: S3Server, client: S3Client, monkeypatch: pytest.MonkeyPatch, latency: float
) -> None:
    monkeypatch.undo()  # of the small parts
    content = random.Random(6).randbytes(16 * MIB)
    server.put_object(BUCKET, KEY, content)
    server.latency = latency
    chance = random.Random(7)
    ranges = [ByteRange(at, at + 1000) for at in chance.choices(range(16 * MIB - 1000), k=20)]
    ranges.append(ByteRange(0, 1 * MIB))
    views = await client.get_ranges(BUCKET, KEY, ranges)
    assert views == [content[each.start : each.stop] for each in ranges]
    read = sorted(
        (int(first), int(last) + 1)
        for first, last in (
            request.headers["Range"].removeprefix("bytes=").split("-")
            for request in server.requests
        )
    )
    assert all(before[1] <= after[0] for before, after in pairwise(read))
    wanted = MIB + 20 * 1000
    assert sum(stop - start for start, stop in read) <= 5 * wanted + 21 * 65_536
