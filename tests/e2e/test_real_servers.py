"""MCP servers that others publish, behind ours, from a client's own file on; `make real-servers`."""

import asyncio
import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyotp
import pytest
from mcp import Client
from mcp.client.stdio import StdioServerParameters
from mcp_types import CallToolResult, ImageContent, TextContent
from tests.e2e.conftest import clean_environment
from tests.processes import end_processes_in
from typer.testing import CliRunner

from stepwell.client import Client as Owner
from stepwell.clock import SystemClock
from stepwell_server.cli.app import app
from stepwell_server.home import Home

REAL = Path(__file__).parents[2] / "build" / "real-servers"
NODE, PYTHON = REAL / "node_modules" / ".bin", REAL / "venv" / "bin"
pytestmark = pytest.mark.skipif(
    not (REAL / "installed").exists(), reason="they are not installed: run `make real-servers`"
)


@pytest.fixture
def user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Somebody with a folder of files and Claude Desktop, who has three servers."""
    user = tmp_path / "ann"
    (user / "files").mkdir(parents=True)
    (user / "files" / "a.txt").write_text("hello\n")
    config = user / ".config" / "Claude" / "claude_desktop_config.json"
    config.parent.mkdir(parents=True)
    servers: dict[str, Any] = {
        "everything": {"command": str(NODE / "mcp-server-everything"), "args": []},
        "files": {"command": str(NODE / "mcp-server-filesystem"), "args": [str(user / "files")]},
        "time": {
            "command": str(PYTHON / "mcp-server-time"),
            "args": ["--local-timezone", "UTC"],
            "env": {"API_TOKEN": "sk-0123456789abcdef"},
        },
    }
    config.write_text(json.dumps({"mcpServers": servers}, indent=2))
    for name in ("XDG_CONFIG_HOME", "STEPWELL_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(user))
    monkeypatch.setattr(sys, "platform", "linux")
    (user / ".stepwell").mkdir(mode=0o700)
    (user / ".stepwell" / "config.toml").write_text("[server]\ngrpc_port = 0\nhttp_port = 0\n\n")
    yield user
    CliRunner().invoke(app, ["down"])
    end_processes_in(tmp_path)


def words(result: CallToolResult) -> str:
    return "\n".join(block.text for block in result.content if isinstance(block, TextContent))


async def listed(client: Client) -> set[str]:
    """The names of the tools, once those of all three servers are there."""
    async with asyncio.timeout(60):
        while True:
            names = {tool.name for tool in (await client.list_tools()).tools}
            if {"everything_echo", "files_write_file", "time_get_current_time"} <= names:
                return names
            await asyncio.sleep(0.1)


async def approve(user: Path, run: str) -> None:
    """What the person does: looks at the one call that is held, and says yes with a code."""
    home = Home(user / ".stepwell")
    endpoints = home.endpoints()
    assert endpoints is not None
    async with Owner(endpoints.grpc, token=home.owner_token()) as owner:
        offer = await owner.factors.offer_totp()
        app_ = pyotp.TOTP(offer.secret)
        now = SystemClock().now() // 1_000_000
        await owner.factors.enrol_totp(offer.ticket, app_.at(now - 30))
        (waiting,) = (await owner.approvals.list()).approvals
        one = await owner.approvals.get(waiting.id)
        assert (one.run, one.tool) == (run, "files_write_file")
        assert one.arguments == {"path": str(user / "files" / "b.txt"), "content": "b"}
        code = app_.at(now)
        await owner.approvals.decide(one.id, "approve", subject=one.subject, code=code)


async def converse(user: Path) -> None:
    """What the client does, which is told of one server only."""
    config = json.loads((user / ".config/Claude/claude_desktop_config.json").read_text())
    ((name, entry),) = config["mcpServers"].items()
    assert name == "stepwell"
    relay = StdioServerParameters(
        command=sys.executable,
        args=["-m", "stepwell_server.cli.main", *entry["args"]],
        env=clean_environment() | {"HOME": str(user)},
    )
    async with Client(relay, mode="legacy") as client:
        assert len(await listed(client)) > 30
        read = await client.call_tool("files_read_text_file", {"path": str(user / "files/a.txt")})
        assert words(read) == "hello\n"
        assert read.structured_content == {"content": "hello\n"}
        now = await client.call_tool("time_get_current_time", {"timezone": "UTC"})
        assert json.loads(words(now))["timezone"] == "UTC"
        image = await client.call_tool("everything_get-tiny-image", {})
        (found,) = [block for block in image.content if isinstance(block, ImageContent)]
        assert found.mime_type == "image/png"
        wrong = await client.call_tool("everything_get-sum", {"a": "one", "b": 2})
        assert wrong.is_error
        assert words(wrong).startswith("INVALID_ARGUMENTS")
        outside = await client.call_tool("files_read_text_file", {"path": "/etc/passwd"})
        assert outside.is_error
        assert "outside allowed directories" in words(outside)
        path = user / "files" / "b.txt"
        written = await client.call_tool("files_write_file", {"path": str(path), "content": "b"})
        handle = written.structured_content
        assert handle["status"] == "waiting"
        assert [one["on"] for one in handle["waiting_for"]] == ["human"]
        assert not path.exists()
        await approve(user, handle["run"])
        ended = await client.call_tool("run_get", {"run": handle["run"], "wait_seconds": 20})
        assert ended.structured_content["status"] == "completed"
        assert path.read_text() == "b"


def test_the_servers_of_claude_desktop_go_behind_stepwell_and_come_back(user: Path) -> None:
    config = user / ".config" / "Claude" / "claude_desktop_config.json"
    before = config.read_bytes()
    begun = time.monotonic()
    wrapped = CliRunner().invoke(app, ["connect", "claude-desktop", "--wrap", "--yes"])
    assert wrapped.exit_code == 0, wrapped.output
    assert "sk-0123456789abcdef" not in wrapped.output
    asyncio.run(converse(user))
    assert time.monotonic() - begun < 180  # from nothing to a call that is held
    servers = json.loads(CliRunner().invoke(app, ["tools", "servers", "--json"]).stdout)["servers"]
    assert {one["name"]: one["status"] for one in servers} == {
        "everything": "ready",
        "files": "ready",
        "time": "ready",
    }
    assert [one["refused"] for one in servers] == [[], [], []]
    undone = CliRunner().invoke(app, ["connect", "claude-desktop", "--undo", "--yes"])
    assert undone.exit_code == 0, undone.output
    assert config.read_bytes() == before
