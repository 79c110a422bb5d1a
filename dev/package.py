"""Builds what is published, into dist/: the wheel, a bundle for desktop hosts, and an entry for the MCP registry.

    python dev/package.py

All of it is made from pyproject.toml, so that no two can say another version. The bundle is checked with the
tool of its makers where there is npm.
"""

import base64
import json
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import jsonschema_rs

REPOSITORY: Final = Path(__file__).resolve().parents[1]
DIST: Final = REPOSITORY / "dist"
TOOL: Final = REPOSITORY / "build" / "mcpb"
MCPB: Final = "@anthropic-ai/mcpb@2.1.2"

REGISTRY_NAME: Final = "io.github.stepwell/stepwell"
"""Whose it is in the MCP registry, which looks for `mcp-name: NAME` in the README of the release."""
TITLE: Final = "Stepwell"
SUMMARY: Final = (
    "Puts policy, approvals, durable runs and a log in front of the tools that an agent uses."
)
"""What the registry shows; at most 100 characters."""
COMMAND: Final = "uvx"
ARGUMENTS: Final = ("stepwell", "mcp")
EPOCH: Final = (1980, 1, 1, 0, 0, 0)
"""The time of every file in the bundle, so that it is the same whenever it is made."""

MAIN: Final = '''\
"""What a desktop host starts: `stepwell mcp`."""

import sys

from stepwell_mcp.relay import main

sys.exit(main(sys.argv[1:]))
'''

SERVER_SCHEMA: Final[dict[str, Any]] = {
    "type": "object",
    "required": ["$schema", "name", "description", "version", "packages"],
    "additionalProperties": False,
    "properties": {
        "$schema": {"type": "string", "format": "uri"},
        "name": {"pattern": "^[a-zA-Z0-9.-]+/[a-zA-Z0-9._-]+$", "minLength": 3, "maxLength": 200},
        "title": {"type": "string", "minLength": 1, "maxLength": 100},
        "description": {"type": "string", "minLength": 1, "maxLength": 100},
        "version": {"type": "string", "pattern": r"^\d+\.\d+\.\d+[A-Za-z0-9.+-]*$"},
        "packages": {
            "type": "array",
            "minItems": 1,
            "items": {
                "type": "object",
                "required": ["registryType", "identifier", "version", "transport"],
                "properties": {
                    "registryType": {"enum": ["pypi"]},
                    "version": {"type": "string", "not": {"const": "latest"}},
                    "transport": {"properties": {"type": {"enum": ["stdio"]}}},
                    "packageArguments": {"items": {"required": ["type", "value"]}},
                    "environmentVariables": {"items": {"required": ["name", "description"]}},
                },
            },
        },
    },
}
"""What the registry asks of an entry, as far as ours goes (its schema of 2025-12-11)."""


def main() -> None:
    """Builds and checks all three."""
    project = read_project()
    server = server_json(project)
    check_server(server)
    DIST.mkdir(exist_ok=True)
    wheel = _build_wheel(project["version"])
    bundle = DIST / f"stepwell-{project['version']}.mcpb"
    write_bundle(bundle, project, wheel)
    entry = DIST / "server.json"
    entry.write_text(json.dumps(server, indent=2) + "\n")
    _check_wheel(wheel, project["version"])
    print(_check_bundle(bundle))
    for path in (wheel, bundle, entry):
        print(f"{path.relative_to(REPOSITORY)}  {path.stat().st_size:,} bytes")


def read_project() -> dict[str, Any]:
    """What pyproject.toml says of the project."""
    project: dict[str, Any] = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    return project


def server_json(project: dict[str, Any]) -> dict[str, Any]:
    """The entry for the MCP registry."""
    return {
        "$schema": "https://static.modelcontextprotocol.io/schemas/2025-12-11/server.schema.json",
        "name": REGISTRY_NAME,
        "title": TITLE,
        "description": SUMMARY,
        "version": project["version"],
        "packages": [
            {
                "registryType": "pypi",
                "registryBaseUrl": "https://pypi.org",
                "identifier": project["name"],
                "version": project["version"],
                "runtimeHint": COMMAND,
                "packageArguments": [{"type": "positional", "value": ARGUMENTS[1]}],
                "transport": {"type": "stdio"},
                "environmentVariables": [
                    {
                        "name": "STEPWELL_HOME",
                        "description": "The folder of settings, tools and the log; else ~/.stepwell.",
                        "format": "filepath",
                    },
                    {
                        "name": "DATABASE_URL",
                        "description": "PostgreSQL in place of SQLite in the home.",
                        "isSecret": True,
                    },
                ],
            }
        ],
    }


def check_server(server: dict[str, Any]) -> None:
    """Whether the registry would take an entry, as far as that can be told from here.

    Raises:
        jsonschema_rs.ValidationError: it would not.
    """
    jsonschema_rs.validate(SERVER_SCHEMA, server)


def manifest(project: dict[str, Any]) -> dict[str, Any]:
    """What a bundle says of itself. Its host makes the environment, with uv."""
    return {
        "manifest_version": "0.4",
        "name": project["name"],
        "display_name": TITLE,
        "version": project["version"],
        "description": SUMMARY,
        "long_description": project["description"],
        "author": {"name": "The Stepwell authors"},
        "license": project["license"],
        "keywords": ["approvals", "policy", "durable", "workflows", "audit"],
        "server": {
            "type": "uv",
            "entry_point": "server.py",
            "mcp_config": {
                "command": "uv",
                "args": ["run", "--directory", "${__dirname}", "server.py"],
                "env": {"STEPWELL_HOME": "${user_config.home}"},
            },
        },
        "user_config": {
            "home": {
                "type": "directory",
                "title": "Home",
                "description": "The folder of settings, tools and the log.",
                "default": "${HOME}/.stepwell",
                "required": False,
            }
        },
        "tools_generated": True,
        "compatibility": {
            "platforms": ["darwin", "linux", "win32"],
            "runtimes": {"python": project["requires-python"]},
        },
    }


def bundle_project(project: dict[str, Any], wheel: str) -> str:
    """The project in a bundle: it needs the wheel beside it, and what that needs."""
    return f"""\
[project]
name = "stepwell-bundle"
version = "{project["version"]}"
requires-python = "{project["requires-python"]}"
dependencies = ["stepwell"]

[tool.uv]
package = false

[tool.uv.sources]
stepwell = {{ path = "{wheel}" }}
"""


def write_bundle(path: Path, project: dict[str, Any], wheel: Path) -> None:
    """Packs a bundle: a zip of what it says of itself, its project, and the wheel."""
    texts = {
        "manifest.json": json.dumps(manifest(project), indent=2) + "\n",
        "pyproject.toml": bundle_project(project, wheel.name),
        "server.py": MAIN,
    }
    files = {name: text.encode() for name, text in texts.items()}
    files |= {wheel.name: wheel.read_bytes(), "LICENSE": (REPOSITORY / "LICENSE").read_bytes()}
    with zipfile.ZipFile(path, "w") as packed:
        for name, content in sorted(files.items()):
            info = zipfile.ZipInfo(name, EPOCH)
            info.compress_type = zipfile.ZIP_DEFLATED
            info.external_attr = 0o644 << 16
            packed.writestr(info, content)


def vscode_link() -> str:
    """What installs Stepwell into VS Code, once it is opened."""
    config = {"type": "stdio", "command": COMMAND, "args": list(ARGUMENTS)}
    given = quote(json.dumps(config, separators=(",", ":")), safe="")
    return f"https://insiders.vscode.dev/redirect/mcp/install?name=stepwell&config={given}"


def cursor_link() -> str:
    """The same for Cursor."""
    config = {"command": COMMAND, "args": list(ARGUMENTS)}
    given = base64.b64encode(json.dumps(config, separators=(",", ":")).encode()).decode()
    return f"https://cursor.com/en/install-mcp?name=stepwell&config={quote(given, safe='')}"


def _build_wheel(version: str) -> Path:
    subprocess.run(
        [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(DIST), "."],
        cwd=REPOSITORY,
        check=True,
        stdout=subprocess.DEVNULL,
    )
    return DIST / f"stepwell-{version}-py3-none-any.whl"


def _check_wheel(wheel: Path, version: str) -> None:
    """Whether the wheel has its version, its command, and the mark of who owns it."""
    with zipfile.ZipFile(wheel) as packed:
        folder = f"stepwell-{version}.dist-info"
        metadata = packed.read(f"{folder}/METADATA").decode()
        commands = packed.read(f"{folder}/entry_points.txt").decode()
    for wanted, text in (
        (f"\nVersion: {version}\n", metadata),
        (f"mcp-name: {REGISTRY_NAME}", metadata),
        ("stepwell = stepwell_server.cli.main:main", commands),
    ):
        if wanted not in text:
            raise SystemExit(f"the wheel lacks {wanted.strip()!r}")


def _check_bundle(bundle: Path) -> str:
    """What the tool of those who made the format says of a bundle; or why it was not asked."""
    if not shutil.which("npm"):
        return (
            "the bundle is not checked with mcpb, because there is no npm here to install it with"
        )
    TOOL.mkdir(parents=True, exist_ok=True)
    flags = ("--no-audit", "--no-fund", "--silent")
    command = ["npm", "install", "--prefix", str(TOOL), *flags, MCPB]
    if subprocess.run(command, check=False, capture_output=True).returncode:
        return "the bundle is not checked with mcpb, because npm cannot install it"
    unpacked = TOOL / "unpacked"
    shutil.rmtree(unpacked, ignore_errors=True)
    tool = str(TOOL / "node_modules" / ".bin" / "mcpb")
    for arguments in (("unpack", str(bundle), str(unpacked)), ("validate", str(unpacked))):
        outcome = subprocess.run([tool, *arguments], check=False, capture_output=True, text=True)
        if outcome.returncode:
            raise SystemExit(f"mcpb {arguments[0]}: {outcome.stdout}{outcome.stderr}")
    return "the bundle is as mcpb wants it"


if __name__ == "__main__":
    main()
