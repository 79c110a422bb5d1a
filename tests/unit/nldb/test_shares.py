"""One principal does not use up what there is to read databases with."""

import asyncio

import pytest

from stepwell.nldb.shares import Shares


@pytest.mark.anyio
async def test_who_has_used_his_share_waits_and_others_do_not() -> None:
    shares = Shares(at_once=2)
    done, entered = asyncio.Event(), asyncio.Semaphore(0)
    order: list[str] = []

    async def slow(who: str) -> None:
        async with shares.of(who):
            order.append(who)
            entered.release()
            await done.wait()

    async with asyncio.timeout(5), asyncio.TaskGroup() as group:
        for _ in range(3):
            group.create_task(slow("agent:many"))
        await entered.acquire()
        await entered.acquire()
        async with shares.of("agent:one"):
            order.append("agent:one")
        assert order == ["agent:many", "agent:many", "agent:one"]
        done.set()
    assert order[-1] == "agent:many"


@pytest.mark.anyio
async def test_who_is_cancelled_while_he_waits_gives_back_what_he_has_not_got() -> None:
    shares = Shares(at_once=1)
    async with asyncio.timeout(5), asyncio.TaskGroup() as group:
        async with shares.of("agent:one"):

            async def wait() -> None:
                async with shares.of("agent:one"):
                    raise AssertionError

            waiting = group.create_task(wait())
            await asyncio.sleep(0)
            waiting.cancel()
        async with shares.of("agent:one"):
            pass
