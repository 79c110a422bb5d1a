"""`stepwell connect`: files of clients, changed and restored."""

import json
import os
import stat
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from stepwell.config import load_settings
from stepwell.vault.secret_store import SecretStore
from stepwell_server.cli.app import app
from stepwell_server.cli.exits import Exit

Connect = Callable[..., Result]

TOKEN = "ghp_0123456789abcdefghij"
SERVERS: dict[str, Any] = {
    "github": {"command": "npx", "args": ["-y", "gh"], "env": {"GITHUB_TOKEN": TOKEN}},
    "Old One": {"type": "sse", "url": "https://old.example/sse"},
}
FILES = {
    "claude-desktop": (".config/Claude/claude_desktop_config.json", "mcpServers"),
    "claude-code": (".claude.json", "mcpServers"),
    "vscode": (".config/Code/User/mcp.json", "servers"),
    "cursor": (".cursor/mcp.json", "mcpServers"),
}


@pytest.fixture
def user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a user with an own Stepwell, on Linux."""
    folder = tmp_path / "ann"
    folder.mkdir()
    monkeypatch.setenv("HOME", str(folder))
    monkeypatch.setenv("COLUMNS", "300")
    for name in ("STEPWELL_HOME", "XDG_CONFIG_HOME", "CLAUDE_CONFIG_DIR", "APPDATA"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(sys, "platform", "linux")
    return folder


@pytest.fixture
def connect(user: Path) -> Connect:
    def run(*arguments: str, given: str | None = None) -> Result:
        return CliRunner().invoke(app, ["connect", *arguments], input=given)

    return run


def write(path: Path, content: Any, *, indent: int | str = 4) -> bytes:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content, indent=indent))
    return path.read_bytes()


@pytest.mark.parametrize("client", FILES)
def test_the_servers_of_a_client_move_and_come_back_to_the_byte(
    client: str, user: Path, connect: Connect
) -> None:
    name, key = FILES[client]
    path = user / name
    before = write(path, {"theme": "dark", key: SERVERS, "projects": {"/a": {}}}, indent="\t")
    path.chmod(0o640)

    result = connect(client, "--wrap", "--yes")
    assert result.exit_code == Exit.OK, result.output
    assert TOKEN not in result.output
    assert "Old One stays where it is: it speaks the old SSE transport" in result.stderr
    assert "+[tools.servers.github]" in result.stdout
    assert "1 secret goes into the store" in result.stderr
    assert "stepwell factor enroll" in result.stderr
    assert "secret://store/github-GITHUB_TOKEN" in result.stdout
    after = json.loads(path.read_text())
    assert list(after) == ["theme", key, "projects"]
    assert set(after[key]) == {"stepwell", "Old One"}
    ours = after[key]["stepwell"]
    assert ours["args"][-1] == "mcp"
    assert Path(ours["command"]).is_absolute()
    assert ours.get("type") == ("stdio" if client in ("claude-code", "vscode") else None)
    assert '\n\t"projects"' in path.read_text()
    assert stat.S_IMODE(path.stat().st_mode) == 0o640

    home = user / ".stepwell"
    server = load_settings(home).tools.servers["github"]
    assert (server.command, server.args) == ("npx", ("-y", "gh"))
    assert server.env == {"GITHUB_TOKEN": "secret://store/github-GITHUB_TOKEN"}
    assert SecretStore(home).get("github-GITHUB_TOKEN") == TOKEN
    for kept in (home / "config.toml", home / "secrets.json"):
        assert TOKEN not in kept.read_text()

    undone = connect(client, "--undo", "--yes")
    assert undone.exit_code == Exit.OK, undone.output
    assert TOKEN not in undone.output
    assert path.read_bytes() == before
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert not (home / "config.toml").exists()
    assert SecretStore(home).names() == ()
    assert connect(client, "--undo", "--yes").exit_code == Exit.FAILED


def test_what_is_wrapped_already_is_left_and_what_was_added_since_is_wrapped_too(
    user: Path, connect: Connect
) -> None:
    path = user / ".cursor" / "mcp.json"
    first = write(path, {"mcpServers": {"a": {"command": "run-a"}}})
    assert connect("cursor", "--wrap", "--yes").exit_code == Exit.OK
    again = connect("cursor", "--wrap", "--yes")
    assert (again.exit_code, again.stdout) == (Exit.OK, "")
    assert "nothing to do" in again.stderr
    tree = json.loads(path.read_text())
    tree["mcpServers"]["a"] = {"command": "run-another-a"}
    second = write(path, tree)
    assert connect("cursor", "--wrap", "--yes").exit_code == Exit.OK
    servers = load_settings(user / ".stepwell").tools.servers
    assert {name: one.command for name, one in servers.items()} == {
        "a": "run-a",
        "a-2": "run-another-a",
    }
    assert servers["a-2"].names == "prefix"
    assert connect("cursor", "--undo", "--yes").exit_code == Exit.OK
    assert path.read_bytes() == second
    assert set(load_settings(user / ".stepwell").tools.servers) == {"a"}
    assert connect("cursor", "--undo", "--yes").exit_code == Exit.OK
    assert path.read_bytes() == first


def test_nothing_is_written_without_a_yes_or_when_it_is_only_to_be_shown(
    user: Path, connect: Connect
) -> None:
    path = user / ".cursor" / "mcp.json"
    before = write(path, {"mcpServers": SERVERS})
    refused = connect("cursor", "--wrap", given="n\n")
    shown = connect("cursor", "--wrap", "--print")
    listed = json.loads(connect("cursor", "--wrap", "--print", "--json").stdout)
    assert refused.exit_code == 1
    assert shown.exit_code == Exit.OK
    assert TOKEN not in refused.output + shown.output
    assert listed["moved"] == ["github"]
    assert listed["secrets"] == ["github-GITHUB_TOKEN"]
    assert path.read_bytes() == before
    assert not (user / ".stepwell").exists()


def test_comments_around_the_servers_are_kept(user: Path, connect: Connect) -> None:
    path = user / "project" / ".vscode" / "mcp.json"
    before = write(
        path, '// ours\n{\n  "servers": { "a": { "command": "x" } }, // all\n  "inputs": []\n}\n'
    )
    assert connect("--config", str(path), "--wrap", "--yes").exit_code == Exit.OK
    text = path.read_text()
    assert text.startswith("// ours\n{")
    assert "}, // all\n" in text
    assert connect("--config", str(path), "--undo", "--yes").exit_code == Exit.OK
    assert path.read_bytes() == before


def test_a_link_stays_a_link(user: Path, connect: Connect) -> None:
    dotfiles = user / "dotfiles" / "mcp.json"
    before = write(dotfiles, {"mcpServers": {"a": {"command": "x"}}})
    link = user / ".cursor" / "mcp.json"
    link.parent.mkdir()
    link.symlink_to(dotfiles)
    assert connect("cursor", "--wrap", "--yes").exit_code == Exit.OK
    assert link.is_symlink()
    assert "stepwell" in dotfiles.read_text()
    assert connect("cursor", "--undo", "--yes").exit_code == Exit.OK
    assert link.is_symlink()
    assert dotfiles.read_bytes() == before


def test_a_client_without_servers_gets_stepwell_and_loses_it_again(
    user: Path, connect: Connect
) -> None:
    path = user / ".cursor" / "mcp.json"
    missing = connect("cursor", "--wrap", "--yes")
    assert missing.exit_code == Exit.USAGE
    assert "is the program installed" in missing.stderr
    assert connect("cursor", "--yes").exit_code == Exit.OK
    assert list(json.loads(path.read_text())["mcpServers"]) == ["stepwell"]
    assert connect("cursor", "--undo", "--yes").exit_code == Exit.OK
    assert not path.exists()


def test_a_client_is_given_the_tools_that_flags_choose(user: Path, connect: Connect) -> None:
    path = user / FILES["cursor"][0]
    settings = user / ".stepwell" / "config.toml"
    settings.parent.mkdir()
    settings.write_text('[toolsets.shop]\ntools = ["order_*"]\n')
    wrong = connect("cursor", "--toolset", "shp", "--yes")
    assert wrong.exit_code == Exit.FAILED
    assert "there is no toolset 'shp'; did you mean 'shop'?" in wrong.stderr
    assert not path.exists()

    right = connect("cursor", "--toolset", "shop", "--read-only", "--yes")
    assert right.exit_code == Exit.OK, right.output
    args = json.loads(path.read_text())["mcpServers"]["stepwell"]["args"]
    assert args[-4:] == ["mcp", "--toolset", "shop", "--read-only"]

    by_url = user / "by-url.json"
    flags = (
        "--url",
        "https://mcp.example/mcp",
        "--toolset",
        "theirs",
        "--surface",
        "full",
        "--yes",
    )
    assert connect("--config", str(by_url), *flags).exit_code == Exit.OK
    assert json.loads(by_url.read_text())["mcpServers"]["stepwell"]["headers"] == {
        "x-mcp-toolsets": "theirs",
        "x-mcp-surface": "full",
    }

    again = connect("cursor", "--surface", "full", "--yes")
    assert again.exit_code == Exit.FAILED
    assert "its flags stay as they are" in again.stderr


def test_without_wrap_the_other_servers_stay(user: Path, connect: Connect) -> None:
    path = user / ".cursor" / "mcp.json"
    write(path, {"mcpServers": SERVERS})
    assert connect("cursor", "--yes").exit_code == Exit.OK
    assert list(json.loads(path.read_text())["mcpServers"]) == ["stepwell", "github", "Old One"]
    assert not (user / ".stepwell" / "config.toml").exists()


@pytest.mark.parametrize(
    ("client", "entry"),
    [
        ("claude-code", {"type": "http", "url": "http://localhost:7421/mcp"}),
        ("vscode", {"type": "http", "url": "http://localhost:7421/mcp"}),
        ("cursor", {"url": "http://localhost:7421/mcp"}),
    ],
)
def test_a_client_that_takes_urls_gets_ours_and_loses_it_again(
    client: str, entry: dict[str, str], user: Path, connect: Connect
) -> None:
    name, key = FILES[client]
    path = user / name
    before = write(path, {key: SERVERS})
    shown = connect(client, "--http", "--print")
    assert shown.exit_code == Exit.OK
    assert "http://localhost:7421/mcp" in shown.stdout
    assert path.read_bytes() == before
    written = connect(client, "--http", "--yes")
    assert written.exit_code == Exit.OK, written.output
    assert "stepwell up" in written.stderr
    assert json.loads(path.read_text())[key]["stepwell"] == entry
    assert "there is nothing to do" in connect(client, "--http", "--yes").stderr
    assert connect(client, "--undo", "--yes").exit_code == Exit.OK
    assert path.read_bytes() == before


def test_a_url_is_that_of_the_flag_or_of_the_settings(user: Path, connect: Connect) -> None:
    path = user / ".cursor" / "mcp.json"
    for arguments, environ, url in (
        (("--url", "https://a.example/mcp"), {}, "https://a.example/mcp"),
        (("--http",), {"APPROVALS__PAGE_URL": "https://b.example"}, "https://b.example/mcp"),
        (("--http",), {"MCP__OAUTH__RESOURCE": "https://c.example/x"}, "https://c.example/x"),
    ):
        with pytest.MonkeyPatch.context() as patch:
            for name, value in environ.items():
                patch.setenv(f"STEPWELL_{name}", value)
            assert connect("cursor", *arguments, "--yes").exit_code == Exit.OK
        assert json.loads(path.read_text())["mcpServers"]["stepwell"] == {"url": url}
        assert connect("cursor", "--undo", "--yes").exit_code == Exit.OK


def test_who_takes_no_url_says_so(
    user: Path, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    refused = connect("claude-desktop", "--http", "--yes")
    assert refused.exit_code == Exit.USAGE
    assert "among its connectors" in refused.stderr
    monkeypatch.setenv("STEPWELL_SERVER__HTTP_PORT", "0")
    nowhere = connect("cursor", "--http", "--yes")
    assert nowhere.exit_code == Exit.USAGE
    assert "--url" in nowhere.stderr


@pytest.mark.parametrize("content", ["{", "[]", "\xff"])
def test_a_file_that_is_none_is_named(content: str, user: Path, connect: Connect) -> None:
    path = user / ".cursor" / "mcp.json"
    path.parent.mkdir()
    path.write_bytes(content.encode("latin-1"))
    result = connect("cursor", "--wrap", "--yes")
    assert result.exit_code == Exit.USAGE
    assert str(path) in result.stderr
    assert path.read_bytes() == content.encode("latin-1")


def test_settings_that_are_there_are_kept(user: Path, connect: Connect) -> None:
    home = user / ".stepwell"
    home.mkdir(mode=0o700)
    settings = '# mine\n[worker]\npoll = "1s"'
    (home / "config.toml").write_text(settings)
    write(user / ".cursor" / "mcp.json", {"mcpServers": SERVERS})
    assert connect("cursor", "--wrap", "--yes").exit_code == Exit.OK
    assert (home / "config.toml").read_text().startswith(settings)
    assert connect("cursor", "--undo", "--yes").exit_code == Exit.OK
    assert (home / "config.toml").read_text() == settings


def test_servers_of_single_projects_are_named(user: Path, connect: Connect) -> None:
    projects = {"/work/shop": {"mcpServers": {"b": {"command": "y"}}}, "/work/other": {}}
    tree = {"mcpServers": {"a": {"command": "x"}}, "projects": projects}
    write(user / ".claude.json", tree)
    result = connect("claude-code", "--wrap", "--yes")
    assert "stay where they are: /work/shop; move" in result.stderr
    assert json.loads((user / ".claude.json").read_text())["projects"] == projects


def test_a_client_is_named_or_a_file(connect: Connect) -> None:
    assert connect().exit_code == Exit.USAGE
    assert connect("emacs").exit_code == Exit.USAGE
    assert connect("cursor", "--config", os.devnull).exit_code == Exit.USAGE
