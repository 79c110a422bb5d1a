"""The writer's thread: it groups, answers in order, and outlives whatever its database does."""

import asyncio
import threading
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from msgspec.structs import replace

from stepwell_storage.errors import Full, Unavailable
from stepwell_storage.records import Append, Blob, Record
from stepwell_storage.sql.session import Job
from stepwell_storage.sql.writer import FULL_TURN, MOST_BYTES, MOST_ITEMS, Writer, Written

pytestmark = pytest.mark.anyio

APPEND = Append(
    "default", "01890000-0000-7000-8000-000000000001", 1, 0, (Record(1, "custom", "", b""),)
)


def never() -> None:
    raise AssertionError("nothing was announced")


class Recording:
    """A database that counts, waits where it is told to, and fails where it is told to."""

    def __init__(self) -> None:
        self.groups: list[int] = []
        self.position = 0
        self.taken = threading.Event()
        self.gate = threading.Event()
        self.failures: list[Exception] = []
        self.is_closed = False

    def write(self, group: Sequence[Append | Job[Any]]) -> Written:
        self.taken.set()
        assert self.gate.wait(5)
        self.groups.append(len(group))
        if self.failures:
            raise self.failures.pop()
        outcomes = range(self.position + 1, self.position + 1 + len(group))
        self.position += len(group)
        return Written(list(outcomes), {"default": self.position})

    def close(self) -> None:
        self.is_closed = True


async def test_what_one_turn_of_the_loop_asks_for_is_one_group() -> None:
    database = Recording()
    database.gate.set()
    writer = Writer(database, advanced=lambda heads: None, announced=never)
    asked = [writer.append(APPEND) for _ in range(FULL_TURN - 1)]

    await asyncio.wait(asked)
    assert database.groups == [FULL_TURN - 1]
    await writer.stop()


async def test_a_turn_that_asks_for_much_has_it_written_before_it_is_over() -> None:
    database = Recording()
    writer = Writer(database, advanced=lambda heads: None, announced=never)
    asked = [writer.append(APPEND) for _ in range(FULL_TURN)]
    assert database.taken.wait(5)
    asked.append(writer.append(APPEND))
    database.gate.set()

    await asyncio.wait(asked)
    assert database.groups == [FULL_TURN, 1]
    await writer.stop()


async def test_what_waits_while_a_group_is_written_is_the_next_group() -> None:
    database = Recording()
    seen: list[Mapping[str, int]] = []
    writer = Writer(database, advanced=seen.append, announced=never)
    first = writer.append(APPEND)
    await asyncio.sleep(0)  # the end of this turn
    assert database.taken.wait(5)
    rest = [writer.append(APPEND) for _ in range(50)]
    assert writer.waiting == 50
    await asyncio.sleep(0)  # the end of this turn
    database.gate.set()

    assert await first == 1
    assert [await future for future in rest] == list(range(2, 52))
    assert database.groups == [1, 50]
    assert seen == [{"default": 1}, {"default": 51}]
    await writer.stop()


@pytest.mark.parametrize(
    ("append", "groups"),
    [
        (APPEND, [1, MOST_ITEMS, 2]),
        (replace(APPEND, blobs=(Blob("d", MOST_BYTES, b""),)), [1] * (MOST_ITEMS + 3)),
        (replace(APPEND, blobs=(Blob("d", MOST_BYTES // 1000, b""),)), [1, *[1001] * 4, 94]),
    ],
)
async def test_a_group_is_no_larger_than_can_be_written(append: Append, groups: list[int]) -> None:
    database = Recording()
    writer = Writer(database, advanced=lambda heads: None, announced=lambda: None)
    queued = [writer.append(append)]
    await asyncio.sleep(0)  # the end of this turn
    assert database.taken.wait(5)
    queued += [writer.append(append) for _ in range(MOST_ITEMS + 2)]
    await asyncio.sleep(0)  # the end of this turn
    database.gate.set()

    assert [await future for future in queued] == list(range(1, MOST_ITEMS + 4))
    assert database.groups == groups
    await writer.stop()


@pytest.mark.parametrize(
    ("failure", "expected"),
    [(Full("no room"), Full), (Unavailable("locked"), Unavailable), (KeyError("x"), Unavailable)],
)
async def test_a_group_that_fails_is_answered_and_the_next_one_is_written(
    failure: Exception, expected: type[Exception], caplog: pytest.LogCaptureFixture
) -> None:
    database = Recording()
    database.gate.set()
    database.failures.append(failure)
    writer = Writer(database, advanced=lambda heads: None, announced=never)

    with pytest.raises(expected):
        await writer.append(APPEND)
    assert await writer.append(APPEND) == 1
    await writer.stop()


async def test_stopping_waits_for_what_is_queued_and_refuses_what_comes_later() -> None:
    database = Recording()
    writer = Writer(database, advanced=lambda heads: None, announced=never)
    queued = [writer.append(APPEND) for _ in range(3)]
    database.gate.set()
    await writer.stop()
    await writer.stop()

    assert [future.result() for future in queued] == [1, 2, 3]
    assert database.is_closed
    with pytest.raises(Unavailable, match="closed"):
        await writer.append(APPEND)
    with pytest.raises(Unavailable, match="closed"):
        await writer.call(lambda session: None)


async def test_each_transaction_is_told_with_its_size_its_time_and_why_it_was_refused() -> None:
    database = Recording()
    database.gate.set()
    database.failures.append(Full("no room"))
    told: list[tuple[int, bool, str]] = []
    writer = Writer(
        database,
        advanced=lambda heads: None,
        announced=never,
        on_commit=lambda size, seconds, refusal: told.append((size, seconds > 0, repr(refusal))),
    )
    with pytest.raises(Full):
        await writer.append(APPEND)
    await writer.append(APPEND)
    await writer.stop()
    assert told == [(1, True, "Full('no room')"), (1, True, "None")]
