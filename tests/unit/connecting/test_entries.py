"""Servers of clients as ours: what moves, what is a secret, what stays."""

from pathlib import Path
from typing import Any

import pytest

from stepwell_server.connecting.entries import Left, Moved, is_stepwell, moved

USER = Path("/home/ann")


def of(entry: Any, name: str = "files") -> Moved | Left:
    return moved(name, entry, client="Cursor", user=USER)


def test_a_program_moves_with_its_arguments_and_its_secrets_go_into_the_store() -> None:
    entry = {
        "command": "npx",
        "args": ["-y", "server", "--api-key=abcdef123", "--token", "hush-hush", "/srv"],
        "cwd": "${userHome}/work",
        "env": {
            "GITHUB_TOKEN": "ghp_0123456789abcdef",
            "LOG_LEVEL": "debug",
            "ROOT": "/srv/data",
            "PORT": "8080",
            "EMPTY": "",
            "DATABASE": "postgres://ann:hunter22@db/shop",
            "PIN": "1234",
            "FROM": "${env:OTHER_NAME}",
        },
        "autoApprove": ["read"],
    }
    assert of(entry, "Git Hub") == Moved(
        name="Git-Hub",
        settings={
            "command": "npx",
            "args": [
                "-y",
                "server",
                "--api-key=secret://store/Git-Hub-api-key",
                "--token",
                "secret://store/Git-Hub-token",
                "/srv",
            ],
            "cwd": "/home/ann/work",
            "env.GITHUB_TOKEN": "secret://store/Git-Hub-GITHUB_TOKEN",
            "env.LOG_LEVEL": "debug",
            "env.ROOT": "/srv/data",
            "env.PORT": "8080",
            "env.EMPTY": "",
            "env.DATABASE": "secret://store/Git-Hub-DATABASE",
            "env.PIN": "1234",
            "env.FROM": "secret://env/OTHER_NAME",
        },
        secrets={
            "Git-Hub-api-key": "abcdef123",
            "Git-Hub-token": "hush-hush",
            "Git-Hub-GITHUB_TOKEN": "ghp_0123456789abcdef",
            "Git-Hub-DATABASE": "postgres://ann:hunter22@db/shop",
        },
        notes=("Git Hub: autoApprove means nothing to Stepwell and is left out",),
    )


def test_a_remote_server_moves_with_its_headers() -> None:
    entry = {
        "type": "http",
        "url": "http://localhost:9000/mcp",
        "headers": {
            "Authorization": "Bearer abcdef123456",
            "X-Api-Key": "${input:api}",
            "Accept": "text/plain",
        },
    }
    assert of(entry) == Moved(
        name="files",
        settings={
            "url": "http://localhost:9000/mcp",
            "networks": ["loopback"],
            "headers.Authorization": "Bearer secret://store/files-Authorization",
            "headers.X-Api-Key": "secret://store/files-api",
            "headers.Accept": "text/plain",
        },
        secrets={"files-Authorization": "abcdef123456"},
        notes=("files: Cursor asked for api; keep it with: stepwell secrets set files-api",),
    )


def test_a_server_that_is_off_stays_off() -> None:
    found = of({"command": "x", "disabled": True})
    assert isinstance(found, Moved)
    assert found.settings == {"command": "x", "enabled": False}


@pytest.mark.parametrize(
    ("entry", "why"),
    [
        ({"type": "sse", "url": "https://x"}, "SSE"),
        ({"type": "pigeon", "command": "x"}, "'pigeon' is not known"),
        ({"command": "x", "envFile": ".env"}, "envFile"),
        ({"command": "${workspaceFolder}/x"}, "${workspaceFolder}"),
        ({"command": "x", "args": ["${workspaceFolder}"]}, "which only Cursor knows"),
        ({"command": "x", "env": {"A": "${B:-c}"}}, "${B:-c}"),
        ({"command": "x", "args": "y"}, "its args"),
        ({"command": ["x"]}, "its command"),
        ({}, "neither a command nor a url"),
        (7, "no object"),
    ],
)
def test_what_only_its_client_understands_stays_and_says_why(entry: Any, why: str) -> None:
    found = of(entry)
    assert isinstance(found, Left)
    assert why in found.why


def test_our_own_entry_is_known_however_it_is_started() -> None:
    assert is_stepwell({"command": "/opt/bin/stepwell", "args": ["mcp"]})
    assert is_stepwell({"command": "uvx", "args": ["stepwell", "mcp", "--home", "/h"]})
    assert is_stepwell({"command": "python", "args": ["-m", "stepwell_server.cli.main", "mcp"]})
    assert not is_stepwell({"command": "stepwell", "args": ["up"]})
    assert not is_stepwell({"command": "npx", "args": ["mcp"]})
    assert not is_stepwell({"url": "http://x"})
    assert is_stepwell({"url": "http://x"}, "http://x")
    assert not is_stepwell({"url": "http://y"}, "http://x")
