"""One reader for all who follow a namespace."""

import asyncio
from collections.abc import AsyncGenerator

import anyio
import pytest

from stepwell.errors import Unavailable
from stepwell.principals import Caller
from stepwell_mcp import watching
from stepwell_mcp.watching import Dirty, Watching

pytestmark = pytest.mark.anyio


class Source:
    """Numbers as they are given; it breaks when it is told to."""

    def __init__(self) -> None:
        self.readers = 0
        self.begun = 0
        self._given: asyncio.Queue[int | None] = asyncio.Queue()

    def give(self, number: int | None) -> None:
        self._given.put_nowait(number)

    async def watch(self, caller: Caller) -> AsyncGenerator[int, None]:
        self.readers += 1
        self.begun += 1
        try:
            yield 0
            while (number := await self._given.get()) is not None:
                yield number
            raise Unavailable("broken")
        finally:
            self.readers -= 1


class Ear:
    """What one follower heard."""

    def __init__(self) -> None:
        self.heard: list[int | None] = []

    def hear(self, number: int | None) -> None:
        self.heard.append(number)

    async def until(self, count: int) -> list[int | None]:
        with anyio.fail_after(5):
            while len(self.heard) < count:
                await anyio.sleep(0.001)
        return self.heard


async def test_all_who_follow_share_a_reader_that_ends_with_the_last() -> None:
    source, first, second = Source(), Ear(), Ear()
    async with anyio.create_task_group() as tasks:
        both = Watching(tasks, source.watch)
        async with both.following("one", first.hear), both.following("one", second.hear):
            assert source.readers == 1
            source.give(1)
            assert await first.until(2) == [0, 1]
            assert await second.until(1) == [1]
        with anyio.fail_after(5):
            while source.readers:
                await anyio.sleep(0.001)
        async with both.following("one", second.hear):
            assert source.begun == 2


async def test_a_reader_that_broke_begins_again_and_says_that_something_may_be_missing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(watching, "AGAIN", 0.01)
    source, ear = Source(), Ear()
    async with (
        anyio.create_task_group() as tasks,
        Watching(tasks, source.watch).following("one", ear.hear),
    ):
        source.give(None)
        assert await ear.until(2) == [0, None]
        source.give(2)
        assert await ear.until(3) == [0, None, 2]


async def test_many_changes_of_one_thing_are_one() -> None:
    dirty: Dirty[str] = Dirty()
    dirty.note("a")
    dirty.note("a", "b")
    assert await dirty.next() == {"a", "b"}
    with anyio.move_on_after(0.01) as patience:
        await dirty.next()
    assert patience.cancelled_caught
