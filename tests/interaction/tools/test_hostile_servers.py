"""MCP servers that die, hang, lie, shout, or never end: the runtime stays, and says what happened."""

import json
import os
import signal
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import anyio
import pytest
from tests.interaction.tools.conftest import Open, act, call, health, taking, until

from stepwell.engine.values import Failure
from stepwell.errors import SetupError
from stepwell.principals import LOCAL_AGENT, LOCAL_USER
from stepwell.tools.mcp import server as timing
from stepwell.tools.registry import RESERVED

pytestmark = pytest.mark.anyio


def done(shop: Path) -> list[str]:
    path = shop / "done"
    return path.read_text().splitlines() if path.exists() else []


async def test_a_server_that_dies_during_a_call_leaves_it_to_a_person_and_is_started_again(
    opened: Open, shop: Path
) -> None:
    async with opened() as service:
        run = await service.call_tool(LOCAL_AGENT, "act", {"text": "die"})

        async def is_asked() -> bool:
            waiting = (await service.get_run(LOCAL_AGENT, run.id)).waiting
            return any(one.on == "human" for one in waiting)

        await until(is_asked)
        assert await act(service, "again") == "did again"
        state = await health(service)
        await service.controls.cancel_run(LOCAL_USER, run.id, "enough")
    assert (state.status, state.starts) == ("ready", 2)
    assert done(shop) == ["start", "act die", "start", "act again"]


async def test_a_read_only_call_of_a_server_that_was_killed_fails_as_one_to_try_again(
    opened: Open, shop: Path
) -> None:
    async with opened() as service:
        os.kill(int((shop / "pid").read_text()), signal.SIGKILL)

        async def is_back() -> bool:
            return (await health(service)).starts == 2

        await until(is_back)
        assert (await call(service, "readNote"))["content"][0]["text"] == "buy milk"


async def test_a_call_that_hangs_ends_with_its_time_and_is_cancelled_there(
    opened: Open, shop: Path
) -> None:
    async with opened(timeout=timedelta(seconds=0.3)) as service:
        run = await service.call_tool(LOCAL_AGENT, "act", {"text": "hang"})

        async def is_told() -> bool:
            return "act was cancelled" in done(shop)

        await until(is_told)
        assert await act(service, "something") == "did something"
        view = await service.get_run(LOCAL_AGENT, run.id)
        await service.controls.cancel_run(LOCAL_USER, run.id, "enough")
    assert [one.on for one in view.waiting] == ["human"]  # nobody knows whether it was done


async def test_cancelling_a_run_cancels_the_call_on_the_server(opened: Open, shop: Path) -> None:
    async with opened() as service:
        run = await service.call_tool(LOCAL_AGENT, "act", {"text": "hang"})

        async def is_begun() -> bool:
            return "act hang" in done(shop)

        await until(is_begun)
        await service.controls.cancel_run(LOCAL_USER, run.id, "not any more")

        async def is_told() -> bool:
            return "act was cancelled" in done(shop)

        await until(is_told)


async def test_an_answer_of_100_mb_is_cut_and_says_so(opened: Open) -> None:
    async with opened(max_result=2000) as service:
        with taking(60):
            answered = await call(service, "act", text="answer 100000000")
        assert await act(service, "on") == "did on"
    assert answered["truncated"] == {"size": 100_000_073, "limit": 2000}
    cut, note = answered["content"]
    assert 1000 < len(cut["text"]) < 2000
    assert set(cut["text"]) == {"x"}
    assert note["text"].startswith("[cut: the result has 100000073 bytes")


async def test_a_result_over_the_limit_of_its_server_is_cut(opened: Open) -> None:
    async with opened(max_result=1000) as service:
        answered = await call(service, "act", text="long 5000")
        small = await call(service, "act", text="long 500")
    assert answered["truncated"]["limit"] == 1000
    assert "truncated" not in small


async def test_garbage_on_its_output_and_a_flood_of_errors_change_nothing(opened: Open) -> None:
    async with opened() as service:
        assert await act(service, "garbage") == "done"
        assert await act(service, "flood") == "done"

        async def is_heard() -> bool:
            return (await health(service)).words.endswith("the end of the flood")

        await until(is_heard)
        state = await health(service)
    assert state.garbage == 200
    assert len(state.words) <= 4096


async def test_a_schema_that_is_a_bomb_is_refused_and_the_other_tools_are_there(
    opened: Open, shop: Path
) -> None:
    (shop / "mood").write_text("bomb")
    async with opened() as service:
        state = await health(service)
    assert state.tools == ("act", "price", "readNote", "write_note")
    assert len(state.refused) == 1
    assert state.refused[0].startswith("bomb: ")


async def test_a_list_that_nobody_can_read_is_told(opened: Open, shop: Path) -> None:
    (shop / "mood").write_text("abyss")
    async with opened() as service:
        state = await health(service)
    assert state.tools == ()
    assert state.problem == "it answered: the answer is no JSON that can be read"


async def test_of_10_000_tools_the_first_1000_are_offered(opened: Open, shop: Path) -> None:
    (shop / "mood").write_text("crowd")
    async with opened() as service:

        async def is_ready() -> bool:
            return (await health(service)).status == "ready"

        await until(is_ready)
        state = await health(service)
        answered = await call(service, "tool999")
    assert len(state.tools) == 1000
    assert "more than 1000 tools" in state.refused[0]
    assert isinstance(answered, Failure) or answered["content"]


async def test_a_server_that_cannot_be_started_says_why_and_keeps_nobody_waiting(
    opened: Open, shop: Path
) -> None:
    (shop / "mood").write_text("dead")
    with taking(10):
        async with opened() as service:

            async def has_words() -> bool:
                return "the shop is closed" in (await health(service)).words

            await until(has_words)
            state = await health(service)
            (shop / "mood").unlink()

            async def is_back() -> bool:
                return (await health(service)).status == "ready"

            await until(is_back)
    assert state.tools == ()
    assert state.problem


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"command": ""}, "or `url` says what it is"),
        ({"url": "https://x/mcp"}, "or `url` says what it is"),
        ({"command": "", "url": "ftp://x"}, "begins with https://"),
        ({"networks": ("everywhere",)}, "networks"),
    ],
)
async def test_settings_of_a_server_that_cannot_be_are_named(
    settings: dict[str, Any], problem: str, opened: Open
) -> None:
    with pytest.raises(SetupError, match=problem):
        async with opened(**settings):
            pass


async def test_a_command_that_is_not_there_is_named(opened: Open) -> None:
    async with opened(command="no-such-command-anywhere") as service:
        state = await health(service)
    assert state.status in ("starting", "waiting")
    assert "there is no 'no-such-command-anywhere'" in state.problem


async def test_a_server_that_never_answers_does_not_hold_up_the_start(
    opened: Open, shop: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (shop / "mood").write_text("mute")
    with taking(15):
        async with opened(start_timeout=timedelta(seconds=0.5)) as service:
            state = await health(service)
    assert state.problem == "it did not answer in time"


async def test_a_known_server_that_is_away_keeps_its_tools_and_says_so_when_called(
    opened: Open, shop: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with opened():
        pass
    monkeypatch.setattr(timing, "PATIENCE", timedelta(seconds=0.2))
    (shop / "mood").write_text("dead")
    async with opened() as service:
        names = [spec.name for spec in await service.list_tools(LOCAL_AGENT)]
        failed = await call(service, "readNote")
    assert "readNote" in names
    assert failed.reason == "TOOL_UNAVAILABLE"
    assert failed.retryable
    assert "`stepwell tools servers`" in failed.message


async def test_nothing_that_a_server_has_started_outlives_the_daemon(
    opened: Open, tmp_path: Path
) -> None:
    script = tmp_path / "parent.py"
    script.write_text(
        "import os, pathlib, subprocess, sys\n"
        "child = subprocess.Popen(['sleep', '600'])\n"
        f"pathlib.Path({str(tmp_path / 'child')!r}).write_text(str(child.pid))\n"
        "sys.stdin.read()\n"
    )
    async with opened(command=sys.executable, args=(str(script),)):
        with anyio.fail_after(5):
            while not (tmp_path / "child").exists():
                await anyio.sleep(0.01)
        child = int((tmp_path / "child").read_text())

    async def is_gone() -> bool:
        try:
            os.kill(child, 0)
        except ProcessLookupError:
            return True
        return Path(f"/proc/{child}/stat").read_text().split()[2] == "Z"

    await until(is_gone)


async def test_no_server_takes_the_name_of_a_tool_of_ours(opened: Open, shop: Path) -> None:
    named = [
        {"name": name, "inputSchema": {"type": "object"}} for name in (*sorted(RESERVED), "act")
    ]
    (shop / "tools.json").write_text(json.dumps(named))
    async with opened() as service:
        state = await health(service)
        assert await act(service, "hello") == "did hello"
    assert state.tools == ("act",)
    assert [line.partition(":")[0] for line in state.refused] == sorted(RESERVED)
    assert all('`names = "prefix"`' in line for line in state.refused)
