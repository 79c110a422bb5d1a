"""Servers as text at the end of the settings."""

import tomllib
from pathlib import Path

import pytest

from stepwell.config import load_settings
from stepwell.errors import InvalidRequest
from stepwell_server.connecting.entries import Moved
from stepwell_server.connecting.settings_text import servers_in, with_servers, without_servers

SERVERS = [
    Moved(
        name="files",
        settings={
            "command": "npx",
            "args": ["-y", 'a "b" \\ c'],
            "env.PATH": "/bin",
            "enabled": False,
        },
    ),
    Moved(name="odd name é", settings={"url": "https://x/mcp", "headers.X-Key": "a\tb\x7f😀"}),
]


@pytest.mark.parametrize(
    "text", ["", "# mine", "[worker]\npoll = '1s'\n", 'tools.paths = ["a.py"]\n\n', "[tools]\n"]
)
def test_servers_are_added_and_taken_out_again(text: str, tmp_path: Path) -> None:
    made = with_servers(text, SERVERS, "stepwell connect cursor 1", names="prefix")
    assert made.startswith(text)
    tree = tomllib.loads(made)["tools"]["servers"]
    assert tree["files"] == {
        "command": "npx",
        "args": ["-y", 'a "b" \\ c'],
        "env": {"PATH": "/bin"},
        "enabled": False,
        "names": "prefix",
    }
    assert tree["odd name é"]["headers"] == {"X-Key": "a\tb\x7f😀"}
    (tmp_path / "config.toml").write_text(made)
    assert set(load_settings(tmp_path).tools.servers) == {"files", "odd name é"}
    more = made + "\n[limits]\nchild_depth = 3\n"
    assert without_servers(more, "stepwell connect cursor 2") == more
    left = without_servers(more, "stepwell connect cursor 1")
    assert tomllib.loads(left) == {**tomllib.loads(text), "limits": {"child_depth": 3}}


def test_settings_that_have_no_room_are_refused() -> None:
    with pytest.raises(InvalidRequest, match=r"\[tools\.servers\.NAME\]"):
        with_servers("tools = { processes = 2 }\n", SERVERS, "m", names="keep")
    with pytest.raises(InvalidRequest, match="not valid TOML"):
        servers_in("tools = ")
    assert with_servers("tools = {}\n", [], "m", names="keep") == "tools = {}\n"
