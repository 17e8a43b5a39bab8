import asyncio
import gc
import weakref

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aios3get._engine import buffers
from aios3get._engine.buffers import (
    HUGE_PAGE,
    PACKED_SIZE,
    BufferPool,
    PackedBuffers,
    allocate,
)

SIZE = 3 * HUGE_PAGE


@pytest.mark.parametrize("size", [0, 1, HUGE_PAGE - 1, HUGE_PAGE, HUGE_PAGE + 1])
def test_allocated_memory_is_writable_zeros(size: int) -> None:
    memory = allocate(size)
    assert memory == bytes(size)
    memory[:] = b"\1" * size
    assert memory == b"\1" * size


async def test_given_memory_is_taken_again_for_the_same_size() -> None:
    pool = BufferPool()
    first, second = pool.take(SIZE), pool.take(SIZE)
    assert first.obj is not second.obj
    pool.give(first)
    assert pool.take(1000).obj is not first.obj
    assert pool.take(SIZE).obj is first.obj
    assert pool.take(SIZE).obj is not first.obj


async def test_memory_of_other_sizes_is_not_held_beside_new_memory() -> None:
    pool = BufferPool()
    given = [pool.take(SIZE) for _ in range(3)]
    for memory in given:
        pool.give(memory)
    kept = [weakref.ref(memory.obj) for memory in given]
    del given, memory
    pool.take(1000)
    assert [reference() is not None for reference in kept] == [True, True, True]
    pool.take(SIZE + 1)
    assert [reference() is not None for reference in kept] == [True, False, False]


async def test_short_memory_is_not_kept() -> None:
    pool = BufferPool()
    memory = allocate(1000)
    pool.give(memory)
    assert pool.take(1000).obj is not memory.obj


async def test_kept_memory_is_limited_and_latest_size_is_preferred(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(buffers, "_MOST_KEPT", 2 * SIZE)
    pool = BufferPool()
    other, *memories = allocate(SIZE - 1), allocate(SIZE), allocate(SIZE), allocate(SIZE)
    for memory in (other, *memories):
        pool.give(memory)
    assert [pool.take(SIZE).obj is memory.obj for memory in memories[1::-1]] == [True, True]
    assert pool.take(SIZE).obj is not memories[2].obj
    assert pool.take(SIZE - 1).obj is not other.obj


async def test_unused_memory_is_released_after_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(buffers, "_KEPT_SECONDS", 0.02)
    pool = BufferPool()
    memory = allocate(SIZE)
    alive = weakref.ref(memory.obj)
    pool.give(memory)
    del memory
    await asyncio.sleep(0)
    assert alive() is not None
    await asyncio.sleep(0.04)
    assert alive() is None


async def test_collected_pool_releases_its_memory() -> None:
    pool = BufferPool()
    memory = allocate(SIZE)
    alive = weakref.ref(memory.obj)
    pool.give(memory)
    gc.disable()
    try:
        del memory, pool
        assert alive() is None
    finally:
        gc.enable()


SHORT = st.integers(0, 200_000)
LONG = st.integers(PACKED_SIZE // 2 + 1, PACKED_SIZE + 10)


@settings(max_examples=30)
@given(st.lists(SHORT | LONG, max_size=40))
def test_pieces_do_not_overlap_and_keep_little_more_than_one_buffer(sizes: list[int]) -> None:
    buffers = PackedBuffers(sizes)
    views = [buffers.view(index, 0, size) for index, size in enumerate(sizes)]
    for index, view in enumerate(views):
        view[:] = bytes([index + 1]) * len(view)
    assert [len(view) for view in views] == sizes
    for index, view in enumerate(views):
        assert not len(view) or set(bytes(view)) == {index + 1}
        assert len(memoryview(view.obj)) <= max(len(view), PACKED_SIZE)
    unique = {id(view.obj): len(memoryview(view.obj)) for view in views}
    assert sum(unique.values()) <= sum(sizes) + 200_000 * len(unique)


def test_frozen_buffers_are_read_only() -> None:
    buffers = PackedBuffers([3, PACKED_SIZE])
    buffers.view(0, 1, 2)[:] = b"x"
    buffers.freeze()
    assert all(buffers.view(index, 0, 2).readonly for index in (0, 1))
    assert bytes(buffers.view(0, 0, 3)) == b"\0x\0"
