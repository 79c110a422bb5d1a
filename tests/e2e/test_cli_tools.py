"""`stepwell tools` against a real daemon that stands before an MCP server."""

import asyncio
import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.e2e.conftest import Command
from tests.mcp_shop import TOOLS

from stepwell_server.cli.child_daemon import ChildDaemon
from stepwell_server.cli.exits import Exit
from stepwell_server.home import Home

SHOP = Path(__file__).parents[1] / "mcp_shop.py"


def described(note: str) -> str:
    changed = [dict(tool) for tool in TOOLS]
    changed[0]["description"] = note
    return json.dumps(changed)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    """A home whose shop has changed a tool since it was first seen."""
    folder = tmp_path_factory.mktemp("shop")
    (folder / "note").write_text("buy milk")
    home = Home(tmp_path_factory.mktemp("cli") / "home")
    home.create()
    home.config_file.write_text(
        "server.grpc_port = 0\nserver.http_port = 0\n"
        f"[tools.servers.shop]\ncommand = {json.dumps(sys.executable)}\n"
        f"args = {json.dumps(['-S', str(SHOP), str(folder)])}\n"
        '[tools.servers.gone]\ncommand = "no-such-command"\n'
        '[toolsets.notes]\ntools = ["*Note*"]\ndescription = "Notes."\n'
        '[toolsets.looking]\nread_only = true\nsurface = "search"\n'
    )
    child = ChildDaemon(home)
    try:
        asyncio.run(child.start())
        child.stop()
        (folder / "tools.json").write_text(described("Reads the note, and more."))
        asyncio.run(child.start())
        yield home
    finally:
        child.stop()


def test_the_servers_and_their_troubles_are_listed(command: Command) -> None:
    result = command("tools", "servers")
    lines = [line.split() for line in result.stdout.splitlines()]
    assert lines[0][:4] == ["server", "status", "tools", "starts"]
    assert lines[2][:3] == ["shop", "ready", "4"]
    assert "gone: there is no 'no-such-command'" in result.stderr
    assert "shop: suspended: readNote" in result.stderr
    [gone, shop] = json.loads(command("tools", "servers", "--json").stdout)["servers"]
    assert (gone["status"], shop["suspended"]) == ("waiting", ["readNote"])


def test_a_tool_is_shown_with_what_it_takes_and_may_do(command: Command) -> None:
    shown = command("tools", "show", "write_note").stdout
    assert "mcp, of the server shop" in shown
    assert "may destroy" in shown
    assert '"required"' in shown
    missing = command("tools", "show", "nope")
    assert missing.exit_code == Exit.FAILED
    assert "TOOL_NOT_FOUND" in missing.stderr
    for almost in ("write_not", "note"):
        assert "did you mean 'write_note'?" in command("tools", "show", almost).stderr


def test_doctor_finds_servers_that_are_away_and_tools_that_have_changed(command: Command) -> None:
    checks = {
        check["name"]: check for check in json.loads(command("doctor", "--json").stdout)["checks"]
    }
    assert checks["server gone"]["status"] == "warn"
    assert checks["server shop"]["message"] == "1 of 4 tools have changed"


def test_a_changed_tool_is_approved_after_a_look(command: Command) -> None:
    assert "suspended: readNote" in command("tools", "list").stderr
    change = command("tools", "diff", "readNote")
    assert "+  Reads the note, and more." in change.stdout
    assert "stepwell tools approve readNote" in change.stderr
    assert command("tools", "approve", "readNote", given="n\n").exit_code == Exit.FAILED
    assert "readNote" not in command("tools", "list").stdout
    approved = command("tools", "approve", "readNote", given="y\n")
    assert approved.exit_code == Exit.OK
    assert "readNote may be called again" in approved.stderr
    assert "readNote" in command("tools", "list").stdout
    assert "it is as it was pinned" in command("tools", "diff", "readNote").stderr
    again = command("tools", "approve", "readNote", "--yes")
    assert "NOT_APPLICABLE" in again.stderr


def test_toolsets_are_listed_with_what_they_cost(command: Command) -> None:
    found = json.loads(command("toolset", "list", "--json").stdout)["toolsets"]
    notes, looking, everything = found
    assert (notes["name"], notes["description"]) == ("notes", "Notes.")
    assert (looking["name"], everything["name"]) == ("looking", "all")
    assert notes["tokens"] == notes["listed_tokens"] < everything["tokens"]
    assert looking["tools"] < everything["tools"]
    lines = command("toolset", "list").stdout.splitlines()
    assert lines[0].split() == ["toolset", "tools", "tokens", "listed", "description"]
    assert lines[1].split()[-1] == "Notes."


def test_a_toolset_shows_its_tools_the_heaviest_first(command: Command) -> None:
    shown = json.loads(command("toolset", "show", "looking", "--json").stdout)
    weights = [tool["tokens"] for tool in shown["tools"]]
    assert weights == sorted(weights, reverse=True)
    assert all(tool["read_only"] for tool in shown["tools"])
    assert abs(sum(weights) - shown["tokens"]) <= len(weights)
    assert command("toolset", "show", "looking").stdout.startswith("tool ")


def test_a_toolset_that_is_not_there_is_named_with_the_nearest(command: Command) -> None:
    result = command("toolset", "show", "note")
    assert result.exit_code == Exit.FAILED
    assert "there is no toolset 'note'; did you mean 'notes'?" in result.stderr


def test_a_toolset_that_the_daemon_has_not_read_yet_is_told(command: Command, served: Home) -> None:
    before = served.config_file.read_text()
    served.config_file.write_text(before + "[toolsets.later]\nread_only = true\n")
    try:
        result = command("toolset", "list")
    finally:
        served.config_file.write_text(before)
    assert result.exit_code == Exit.OK
    assert "the daemon was started before later was written" in result.stderr
