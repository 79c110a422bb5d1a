"""The MCP clients that we know: where each keeps its servers, and how it writes them."""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, Literal

from msgspec import Struct

ClientName = Literal["claude-desktop", "claude-code", "vscode", "cursor"]
NAMES: Final[tuple[ClientName, ...]] = ("claude-desktop", "claude-code", "vscode", "cursor")


class McpClient(Struct, frozen=True, kw_only=True):
    """A client: its file, the key of its servers there, and whether an entry says its type.

    `takes_urls` is whether its file may name a server by its URL.
    """

    name: str
    title: str
    path: Path
    key: str = "mcpServers"
    says_type: bool = False
    takes_urls: bool = True
    restart: str = ""

    def entry(self, command: str, args: tuple[str, ...]) -> dict[str, Any]:
        """How this client writes a program that is an MCP server."""
        kind = {"type": "stdio"} if self.says_type else {}
        return {**kind, "command": command, "args": list(args)}

    def remote(self, url: str, headers: Mapping[str, str]) -> dict[str, Any]:
        """How this client writes a server that is reached over HTTP."""
        kind = {"type": "http"} if self.says_type else {}
        return {**kind, "url": url, **({"headers": dict(headers)} if headers else {})}


def client_named(
    name: ClientName, *, user: Path, environ: Mapping[str, str], platform: str = sys.platform
) -> McpClient:
    """A client as it is installed for a user."""
    match name:
        case "claude-desktop":
            folder = _applications(user, environ, platform) / "Claude"
            return McpClient(
                name=name,
                title="Claude Desktop",
                path=folder / "claude_desktop_config.json",
                takes_urls=False,
                restart="quit Claude Desktop and start it again",
            )
        case "claude-code":
            folder = (
                Path(environ["CLAUDE_CONFIG_DIR"]) if environ.get("CLAUDE_CONFIG_DIR") else user
            )
            return McpClient(
                name=name,
                title="Claude Code",
                path=folder / ".claude.json",
                says_type=True,
                restart="start a new session of Claude Code",
            )
        case "vscode":
            return McpClient(
                name=name,
                title="VS Code",
                path=_applications(user, environ, platform) / "Code" / "User" / "mcp.json",
                key="servers",
                says_type=True,
                restart="run `MCP: List Servers` in VS Code and start stepwell",
            )
        case "cursor":
            return McpClient(
                name=name,
                title="Cursor",
                path=user / ".cursor" / "mcp.json",
                restart="start Cursor again",
            )


def client_of_file(path: Path, content: Mapping[str, Any]) -> McpClient:
    """Whatever reads this file, by what is in it."""
    key = "servers" if "servers" in content and "mcpServers" not in content else "mcpServers"
    return McpClient(
        name=f"file:{path}",
        title=str(path),
        path=path,
        key=key,
        says_type=key == "servers" or path.name in (".mcp.json", ".claude.json"),
        restart="restart the program that reads this file",
    )


def _applications(user: Path, environ: Mapping[str, str], platform: str) -> Path:
    """Where programs of this system keep what a user has set."""
    if platform == "darwin":
        return user / "Library" / "Application Support"
    if platform == "win32":
        return Path(environ.get("APPDATA") or user / "AppData" / "Roaming")
    return Path(environ.get("XDG_CONFIG_HOME") or user / ".config")
