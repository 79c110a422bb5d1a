"""What `stepwell doctor` looks at: each check is one question, its answer, and one way to repair it.

What settings name is looked at in `setting_checks`.
"""

import os
import shutil
import sys
from collections.abc import Iterator
from enum import StrEnum
from importlib.metadata import version
from pathlib import Path
from typing import Final

from msgspec import Struct

from stepwell.client import ToolServer
from stepwell.config import Settings, redact_url
from stepwell.errors import SetupError
from stepwell_server import ports
from stepwell_server.home import Endpoints, Home

TOO_LITTLE: Final = 100 * 1024 * 1024
LITTLE: Final = 1024 * 1024 * 1024
"""Bytes of free disk that are an error, and a warning."""


class Status(StrEnum):
    """How a check came out."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


class Check(Struct, frozen=True):
    """One answer; `fix` is the one thing to do where it is not ok."""

    name: str
    status: Status
    message: str
    fix: str = ""


def check_python() -> Check:
    """Whether this Python is one that Stepwell runs on."""
    have = ".".join(map(str, sys.version_info[:3]))
    return Check("python", Status.OK, f"{have}, stepwell {version('stepwell')}")


def check_home(home: Home) -> Check:
    """Whether the home can be used, by its owner only."""
    if not home.path.exists():
        return Check("home", Status.OK, f"{home.path} will be made by `stepwell up`")
    mode = home.path.stat().st_mode & 0o777
    if not os.access(home.path, os.W_OK | os.X_OK):
        return Check("home", Status.FAIL, f"{home.path} is not writable", "choose another --home")
    if os.name == "posix" and mode & 0o077:
        fix = f"chmod 700 {home.path}"
        return Check("home", Status.WARN, f"others can read {home.path} (mode {mode:o})", fix)
    return Check("home", Status.OK, str(home.path))


def check_disk(home: Home) -> Check:
    """Whether there is room for the log."""
    there = next(path for path in (home.path, *home.path.parents) if path.exists())
    free = shutil.disk_usage(there).free
    message = f"{free / 1024**3:.1f} GiB free"
    if free < TOO_LITTLE:
        return Check("disk", Status.FAIL, message, "make space, or move the home with --home")
    if free < LITTLE:
        return Check("disk", Status.WARN, message, "make space before the log needs it")
    return Check("disk", Status.OK, message)


def check_daemon(home: Home, endpoints: Endpoints | None) -> Check:
    """Whether a daemon serves the home, and is as new as this command."""
    mine = version("stepwell")
    if endpoints is None:
        if holder := home.holder():
            fix = f"read {home.log_file}, or stop it with `stepwell down`"
            return Check("daemon", Status.FAIL, f"{holder} has the home, but does not listen", fix)
        return Check("daemon", Status.WARN, "not running", f"stepwell up --home {home.path}")
    if endpoints.version != mine:
        message = f"process {endpoints.pid} is version {endpoints.version}, this is {mine}"
        return Check("daemon", Status.WARN, message, "stepwell down, then stepwell up")
    return Check("daemon", Status.OK, f"process {endpoints.pid}, {endpoints.grpc}, {endpoints.mcp}")


def check_ports(settings: Settings) -> Iterator[Check]:
    """Whether a daemon could listen; asked only when none does."""
    server = settings.server
    for name, host, port in (
        ("grpc_port", server.grpc_host, server.grpc_port),
        ("http_port", server.http_host, server.http_port),
    ):
        try:
            ports.bind(host, port, setting=name).close()
        except SetupError as error:
            what, _, fix = error.message.partition(". ")
            yield Check(f"server.{name}", Status.FAIL, what, fix)
        else:
            yield Check(f"server.{name}", Status.OK, f"{host}:{port} is free")


def check_factors(count: int) -> Check:
    """Whether the owner of the home can approve what is held for him."""
    if not count:
        message = "nobody has enrolled one, so no call that is held can be approved"
        return Check("factor", Status.WARN, message, "stepwell factor enroll")
    return Check("factor", Status.OK, f"{count} enrolled, with which held calls are approved")


def check_datasource(name: str, url: str) -> Check:
    """Whether the file of a datasource is still there."""
    path = Path(url.removeprefix("sqlite:///"))
    if url.startswith("sqlite:///") and not path.is_file():
        fix = f"stepwell datasource remove {name}, then add it again"
        return Check(f"datasource {name}", Status.FAIL, f"{path} is not there", fix)
    return Check(f"datasource {name}", Status.OK, redact_url(url))


def check_tool_server(server: ToolServer) -> Check:
    """Whether an MCP server is there, and all of its tools may be called."""
    name = f"server {server.name}"
    if server.status != "ready":
        problem = server.problem or "it is being started"
        return Check(name, Status.WARN, problem, "stepwell tools servers tells what it wrote")
    if server.suspended:
        said = f"{len(server.suspended)} of {len(server.tools)} tools have changed"
        return Check(name, Status.WARN, said, f"stepwell tools diff {server.suspended[0]}")
    if server.refused:
        return Check(name, Status.WARN, server.refused[0], "correct its settings in config.toml")
    return Check(name, Status.OK, f"{server.product} offers {len(server.tools)} tools")
