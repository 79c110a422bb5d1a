"""Whoever waits is told when the server is about to stop."""

import asyncio
from datetime import timedelta

import pytest

from stepwell_server.drain import Drain, Draining

pytestmark = pytest.mark.anyio


async def test_a_wait_gives_its_result_while_the_server_stays() -> None:
    assert await Drain().interruptible(asyncio.sleep(0, "result")) == "result"


async def test_a_wait_is_interrupted_when_the_server_begins_to_stop() -> None:
    drain = Drain()
    asyncio.get_running_loop().call_soon(drain.begin)

    with pytest.raises(Draining):
        await drain.interruptible(asyncio.Event().wait())


async def test_a_wait_that_comes_later_is_interrupted_at_once() -> None:
    drain = Drain()
    drain.begin()

    with pytest.raises(Draining):
        await drain.interruptible(asyncio.Event().wait())


async def test_a_timeout_of_what_is_waited_for_is_no_drain() -> None:
    async def too_late() -> None:
        raise TimeoutError("of the database")

    with pytest.raises(TimeoutError, match="of the database"):
        await Drain().interruptible(too_late())


async def test_streams_are_waited_for() -> None:
    drain = Drain()
    assert await drain.streams_ended(timedelta(0)) is True
    with drain.stream():
        assert await drain.streams_ended(timedelta(0)) is False
    assert await drain.streams_ended(timedelta(0)) is True
