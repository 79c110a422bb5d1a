"""An async tool that blocks the loop is named; one that awaits runs as it would without us."""

import asyncio
import logging

import pytest

from stepwell.tools import blocking
from stepwell.tools.blocking import watched

pytestmark = pytest.mark.anyio


async def test_a_tool_that_blocks_the_loop_is_named_in_the_log(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(blocking, "TOO_LONG", 0)

    async def blocks() -> int:
        return sum(range(1000))

    assert await watched(blocks(), "shop.blocks") == 499500
    assert [record.levelno for record in caplog.records] == [logging.WARNING]
    assert caplog.messages[0].startswith("shop.blocks is async and held the daemon up for")


async def test_a_tool_that_awaits_is_not_blamed(caplog: pytest.LogCaptureFixture) -> None:
    async def awaits() -> str:
        async with asyncio.timeout(5):
            await asyncio.sleep(0)
        return await asyncio.create_task(asyncio.sleep(0, "done"))

    assert await watched(awaits(), "awaits") == "done"
    assert caplog.messages == []


async def test_what_a_tool_raises_comes_through() -> None:
    async def raises() -> None:
        await asyncio.sleep(0)
        raise LookupError("no such luck")

    with pytest.raises(LookupError, match="no such luck"):
        await watched(raises(), "raises")


async def test_a_watched_tool_is_cancelled_where_it_waits() -> None:
    seen: list[str] = []

    async def waits() -> None:
        try:
            seen.append("waits")
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            await asyncio.sleep(0)
            seen.append("cleaned up")
            raise

    task = asyncio.ensure_future(watched(waits(), "waits"))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert seen == ["waits", "cleaned up"]
