"""Where each client keeps its servers on each system."""

from pathlib import Path

import pytest

from stepwell_server.connecting.clients import ClientName, client_named, client_of_file

ANN = Path("/home/ann")


@pytest.mark.parametrize(
    ("name", "platform", "path"),
    [
        ("claude-desktop", "linux", ".config/Claude/claude_desktop_config.json"),
        (
            "claude-desktop",
            "darwin",
            "Library/Application Support/Claude/claude_desktop_config.json",
        ),
        ("claude-desktop", "win32", "AppData/Roaming/Claude/claude_desktop_config.json"),
        ("claude-code", "linux", ".claude.json"),
        ("vscode", "linux", ".config/Code/User/mcp.json"),
        ("vscode", "darwin", "Library/Application Support/Code/User/mcp.json"),
        ("vscode", "win32", "AppData/Roaming/Code/User/mcp.json"),
        ("cursor", "win32", ".cursor/mcp.json"),
    ],
)
def test_the_file_of_a_client(name: ClientName, platform: str, path: str) -> None:
    assert client_named(name, user=ANN, environ={}, platform=platform).path == ANN / path


def test_variables_of_the_system_move_the_file() -> None:
    def path(name: ClientName, platform: str, **environ: str) -> Path:
        return client_named(name, user=ANN, environ=environ, platform=platform).path

    assert path("claude-code", "linux", CLAUDE_CONFIG_DIR="/c") == Path("/c/.claude.json")
    assert path("vscode", "linux", XDG_CONFIG_HOME="/x") == Path("/x/Code/User/mcp.json")
    windows = path("claude-desktop", "win32", APPDATA="/roaming")
    assert windows == Path("/roaming/Claude/claude_desktop_config.json")


def test_any_other_file_is_known_by_what_is_in_it() -> None:
    assert client_of_file(Path("/p/.vscode/mcp.json"), {"servers": {}}).key == "servers"
    assert client_of_file(Path("/p/.mcp.json"), {"mcpServers": {}}).key == "mcpServers"
    assert client_of_file(Path("/p/.mcp.json"), {}).says_type
