"""Sync tools run in children that can be killed, and nothing of a killed call comes back."""

import asyncio
import os
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from stepwell.engine.values import Data
from stepwell.errors import Code
from stepwell.tools import frames
from stepwell.tools.invoke import invoke
from stepwell.tools.modules import Source
from stepwell.tools.port import Begin, CallContext, NotBegun, Tool, ToolFailed
from stepwell.tools.process import ProcessPool

pytestmark = pytest.mark.anyio

Tools = Callable[[ProcessPool], dict[str, Tool]]
Written = Callable[[Path], Awaitable[str]]


def is_gone(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


async def gone(*pids: int) -> None:
    async with asyncio.timeout(5):
        while not all(is_gone(pid) for pid in pids):
            await asyncio.sleep(0.005)


async def test_no_process_is_started_before_it_is_needed(tools: Tools) -> None:
    async with ProcessPool() as processes:
        tools(processes)
        assert processes.children == ()


async def test_a_call_gets_its_arguments_defaults_and_context(
    tools: Tools, context: CallContext
) -> None:
    async with ProcessPool() as processes:
        result = await invoke(tools(processes)["add"], {"a": 40}, context)
    assert result == Data({"total": 42, "key": "key-1"})


async def test_a_process_is_used_again(tools: Tools, context: CallContext) -> None:
    async with ProcessPool() as processes:
        pid = tools(processes)["pid"]
        first = await invoke(pid, {}, context)
        assert await invoke(pid, {}, context) == first
        assert processes.children == (first.value,)
        assert first.value != os.getpid()


async def test_there_are_never_more_processes_than_the_size(
    tools: Tools, context: CallContext
) -> None:
    async with ProcessPool(size=2) as processes:
        pid = tools(processes)["pid"]
        pids = await asyncio.gather(*(invoke(pid, {}, context) for _ in range(20)))
        assert {data.value for data in pids} == set(processes.children)
        assert len(processes.children) <= 2


async def test_what_a_tool_prints_never_reaches_the_protocol(
    tools: Tools, context: CallContext, capfd: pytest.CaptureFixture[str]
) -> None:
    async with ProcessPool() as processes:
        result = await invoke(tools(processes)["prints"], {"text": "stray"}, context)
    assert result == Data("")
    captured = capfd.readouterr()
    assert captured.out == ""
    assert captured.err.count("stray") == 3


async def test_what_a_tool_printed_is_out_before_its_process_is_killed(
    tools: Tools, context: CallContext, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    async with ProcessPool() as processes:
        await invoke(tools(processes)["says"], {"text": "half way"}, context)
    assert capfd.readouterr().err == "half way\n"


async def test_a_call_is_killed_at_its_timeout_with_everything_that_it_started(
    tools: Tools, context: CallContext, tmp_path: Path
) -> None:
    mark, late = tmp_path / "mark", tmp_path / "late"
    async with ProcessPool() as processes:
        naps = tools(processes)["naps"]
        with pytest.raises(ToolFailed) as failed:
            await invoke(naps, {"seconds": 60, "mark": str(mark), "late": str(late)}, context)
        assert processes.children == ()
        await gone(*map(int, mark.read_text().split()))
    assert failed.value.code is Code.TOOL_TIMEOUT
    assert failed.value.message == "naps did not end within 0.3 s and was stopped"
    assert not late.exists()


async def test_a_call_is_killed_when_nobody_waits_for_it_any_more(
    tools: Tools, context: CallContext, tmp_path: Path, written: Written
) -> None:
    mark = tmp_path / "mark"
    async with ProcessPool() as processes:
        call = asyncio.create_task(invoke(tools(processes)["waits"], {"mark": str(mark)}, context))
        pids = [int(pid) for pid in (await written(mark)).split()]
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        assert processes.children == ()
        await gone(*pids)


async def test_waiting_for_a_place_can_be_cancelled_and_does_not_count_as_time(
    tools: Tools, context: CallContext, tmp_path: Path, written: Written
) -> None:
    async with ProcessPool(size=1) as processes:
        loaded = tools(processes)
        busy = asyncio.create_task(
            invoke(loaded["waits"], {"mark": str(tmp_path / "busy")}, context)
        )
        await written(tmp_path / "busy")
        impatient = asyncio.create_task(invoke(loaded["pid"], {}, context))
        patient = asyncio.create_task(
            invoke(loaded["naps"], {"seconds": 0, "mark": str(tmp_path / "mark")}, context)
        )
        done, _ = await asyncio.wait([patient], timeout=0.5)  # longer than the time of `naps`
        assert not done
        impatient.cancel()
        busy.cancel()
        await asyncio.wait([impatient, busy])
        assert await patient == Data(None)


async def test_a_call_begins_when_it_has_a_place_and_not_while_it_waits_for_one(
    tools: Tools, context: CallContext, tmp_path: Path, written: Written
) -> None:
    begun: list[str] = []

    def begin(name: str) -> Begin:
        async def commit() -> bool:
            begun.append(name)
            return name != "unwanted"

        return commit

    async with ProcessPool(size=1) as processes:
        loaded = tools(processes)
        mark = tmp_path / "mark"
        busy = asyncio.create_task(
            invoke(loaded["waits"], {"mark": str(mark)}, context, begin=begin("busy"))
        )
        await written(mark)
        queued = [
            asyncio.create_task(invoke(loaded["pid"], {}, context, begin=begin(name)))
            for name in ("cancelled", "unwanted", "wanted")
        ]
        done, _ = await asyncio.wait(queued, timeout=0.05)
        assert (done, begun) == (set(), ["busy"])
        queued[0].cancel()
        busy.cancel()
        _, unwanted, wanted = await asyncio.gather(*queued, return_exceptions=True)
        assert isinstance(unwanted, NotBegun)
        assert wanted == Data(processes.children[0])
    assert begun == ["busy", "unwanted", "wanted"]


async def test_an_exception_is_told_by_its_type_and_text_and_logged_with_its_trace(
    tools: Tools, context: CallContext, caplog: pytest.LogCaptureFixture
) -> None:
    async with ProcessPool() as processes:
        with pytest.raises(ToolFailed) as failed:
            await invoke(tools(processes)["raises"], {}, context)
    assert (failed.value.code, failed.value.retryable) == (Code.TOOL_ERROR, True)
    assert failed.value.message == "ValueError: no such luck"
    assert "my_tools.py" in caplog.text


async def test_a_failure_of_the_tools_own_arrives_as_it_was_raised(
    tools: Tools, context: CallContext
) -> None:
    async with ProcessPool() as processes:
        with pytest.raises(ToolFailed) as failed:
            await invoke(tools(processes)["fails"], {}, context)
    assert (failed.value.code, failed.value.message) == (Code.TOOL_ERROR, "out of stock")
    assert (failed.value.retryable, failed.value.detail) == (False, {"item": "tea"})


@pytest.mark.parametrize(
    ("name", "arguments", "how"),
    [("leaves", {"code": 3}, "with exit code 3"), ("kills", {}, "by SIGSEGV")],
)
async def test_a_process_that_dies_fails_its_call_and_is_replaced(
    tools: Tools, context: CallContext, name: str, arguments: dict[str, Any], how: str
) -> None:
    async with ProcessPool(size=1) as processes:
        loaded = tools(processes)
        with pytest.raises(ToolFailed) as failed:
            await invoke(loaded[name], arguments, context)
        assert failed.value.message == f"the process that ran {name} was ended {how}"
        assert failed.value.code is Code.TOOL_CRASHED
        assert await invoke(loaded["add"], {"a": 1}, context) == Data({"total": 3, "key": "key-1"})


async def test_a_tool_that_forks_answers_once_and_other_calls_get_their_own_results(
    tools: Tools, context: CallContext
) -> None:
    async with ProcessPool(size=1) as processes:
        loaded = tools(processes)
        assert await invoke(loaded["forks"], {"number": 777}, context) == Data(777)
        for number in range(3):
            result = await invoke(loaded["add"], {"a": number}, context)
            assert result == Data({"total": number + 2, "key": "key-1"})
        copies = psutil.Process(processes.children[0]).children()
        await gone(*(copy.pid for copy in copies))


def framed(reply: frames.Reply | None) -> str:
    """A message of the protocol, in hex; None announces a longer one than there may be."""
    if reply is None:
        return frames.HEADER.pack(frames.MAX_FRAME + 1).hex()
    body = frames.encode(reply)
    return (frames.HEADER.pack(len(body)) + body).hex()


@pytest.mark.parametrize(
    "frame",
    [
        framed(frames.Returned(1000, "of another call")),
        framed(frames.Begun(1)),
        framed(None),
        (frames.HEADER.pack(2) + b"no").hex(),
    ],
)
async def test_a_process_that_answers_what_it_was_not_asked_is_replaced(
    tools: Tools, context: CallContext, frame: str
) -> None:
    async with ProcessPool(size=1) as processes:
        loaded = tools(processes)
        with pytest.raises(ToolFailed, match="what it was not asked") as failed:
            await invoke(loaded["interrupts"], {"frame": frame}, context)
        assert failed.value.code is Code.TOOL_CRASHED
        assert processes.children == ()
        assert await invoke(loaded["add"], {"a": 1}, context) == Data({"total": 3, "key": "key-1"})


async def test_a_process_that_ends_by_itself_fails_its_call_and_takes_along_what_it_started(
    tools: Tools, context: CallContext, tmp_path: Path
) -> None:
    mark = tmp_path / "mark"
    async with ProcessPool(size=1) as processes:
        async with asyncio.timeout(5):
            with pytest.raises(ToolFailed, match="was ended with exit code 7") as failed:
                await invoke(tools(processes)["orphans"], {"mark": str(mark)}, context)
        assert failed.value.code is Code.TOOL_CRASHED
        await gone(int(mark.read_text()))


async def test_an_idle_process_that_died_is_replaced(tools: Tools, context: CallContext) -> None:
    async with ProcessPool(size=1) as processes:
        pid = tools(processes)["pid"]
        first = (await invoke(pid, {}, context)).value
        os.kill(first, 9)
        await gone(first)
        async with asyncio.timeout(5):
            while True:  # until the loop has heard of it, a call may still meet the dead one
                try:
                    second = (await invoke(pid, {}, context)).value
                    break
                except ToolFailed:
                    continue
        assert second != first


async def test_a_result_that_is_no_json_is_an_error_that_says_what_to_return(
    tools: Tools, context: CallContext
) -> None:
    async with ProcessPool() as processes:
        with pytest.raises(ToolFailed, match="of type object that cannot be JSON") as failed:
            await invoke(tools(processes)["gives_object"], {}, context)
    assert (failed.value.code, failed.value.retryable) == (Code.INVALID_RESULT, False)


async def test_a_result_may_be_large_but_not_larger_than_the_limit(
    tools: Tools, context: CallContext
) -> None:
    async with ProcessPool() as processes:
        loaded = tools(processes)
        large = await invoke(loaded["gives"], {"size": 5_000_000}, context)
        assert len(large.value) == 5_000_000
        with pytest.raises(ToolFailed, match="the limit is 67108864") as failed:
            await invoke(loaded["gives"], {"size": frames.MAX_FRAME}, context)
        assert failed.value.code is Code.LIMIT_EXCEEDED


async def test_arguments_larger_than_the_limit_never_reach_a_process() -> None:
    async with ProcessPool() as processes:
        with pytest.raises(ToolFailed, match="the arguments have"):
            await processes.call(Source("os"), "getcwd", {"x": "x" * frames.MAX_FRAME})
        assert processes.children == ()


async def test_a_function_that_cannot_be_imported_is_an_error() -> None:
    async with ProcessPool() as processes:
        with pytest.raises(ToolFailed, match="No module named 'stepwell_nowhere'"):
            await processes.call(Source("stepwell_nowhere"), "run", {})


async def test_children_end_when_the_daemon_dies(tmp_path: Path, written: Written) -> None:
    """The daemon is killed while a call runs; the child reads the end of its pipe."""
    tool_file, mark = tmp_path / "endless.py", tmp_path / "mark"
    tool_file.write_text(
        "import os, subprocess, time\n"
        "def run():\n"
        "    sleeper = subprocess.Popen(['sleep', '60'])\n"
        f"    open({str(mark)!r}, 'w').write(f'{{os.getpid()}} {{sleeper.pid}}')\n"
        "    time.sleep(60)\n"
    )
    program = (
        "import asyncio\n"
        "from stepwell.tools.modules import Source\n"
        "from stepwell.tools.process import ProcessPool\n"
        f"call = ProcessPool().call(Source('endless', {str(tool_file)!r}), 'run', {{}})\n"
        "asyncio.run(call)\n"
    )
    daemon = await asyncio.create_subprocess_exec(sys.executable, "-c", program)
    pids = [int(pid) for pid in (await written(mark)).split()]
    daemon.kill()
    await daemon.wait()
    await gone(*pids)


async def test_a_closed_pool_has_no_child_and_begins_nothing(
    tools: Tools, context: CallContext
) -> None:
    async with ProcessPool() as processes:
        pid = tools(processes)["pid"]
        await invoke(pid, {}, context)
    assert processes.children == ()
    with pytest.raises(ToolFailed, match="was not begun"):
        await invoke(pid, {}, context)


async def test_closing_fails_the_calls_that_are_running(
    tools: Tools, context: CallContext, tmp_path: Path, written: Written
) -> None:
    processes = ProcessPool()
    call = asyncio.create_task(
        invoke(tools(processes)["waits"], {"mark": str(tmp_path / "mark")}, context)
    )
    await written(tmp_path / "mark")
    await processes.close()
    with pytest.raises(ToolFailed, match="was ended by SIGKILL"):
        await call
