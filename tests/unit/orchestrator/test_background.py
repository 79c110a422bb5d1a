"""Loops beside everything else."""

import asyncio

import pytest
from tests.unit.orchestrator.rig import on_virtual_time

from stepwell.orchestrator.background import REST, Background


@on_virtual_time
async def test_loops_run_for_as_long_as_the_block() -> None:
    ended: list[str] = []

    async def loop() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("the loop")

    async with Background(one=loop, other=loop):
        await asyncio.sleep(1)
        assert ended == []
    assert ended == ["the loop", "the loop"]


@on_virtual_time
async def test_they_end_before_the_block_where_that_is_asked() -> None:
    beats: list[float] = []

    async def loop() -> None:
        while True:
            beats.append(asyncio.get_running_loop().time())
            await asyncio.sleep(1)

    async with Background(one=loop) as background:
        await asyncio.sleep(2.5)
        await background.stop()
        await asyncio.sleep(5)
    assert beats == [0, 1, 2]


@on_virtual_time
async def test_one_that_fails_begins_again_and_leaves_the_others_alone(
    caplog: pytest.LogCaptureFixture,
) -> None:
    beats: list[str] = []

    async def bad() -> None:
        beats.append("bad")
        raise RuntimeError("on purpose")

    async def good() -> None:
        beats.append("good")
        await asyncio.Event().wait()

    async with Background(bad=bad, good=good):
        await asyncio.sleep(1.5 * REST)
    assert beats == ["bad", "good", "bad"]
    assert "bad failed, and begins again in 60 s" in caplog.messages


@on_virtual_time
async def test_an_error_in_the_block_comes_out_as_it_is() -> None:
    async def loop() -> None:
        await asyncio.Event().wait()

    with pytest.raises(ValueError, match="mine"):
        async with Background(one=loop):
            raise ValueError("mine")
