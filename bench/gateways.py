"""What others take for the same call, beside what the part `door` measures.

FastMCP is measured in process, in an environment of its own. ContextForge is a gateway: it is put in
front of a bare lowlevel server, and Stepwell in front of the same one, each a process over sockets;
clients are older ones, the newest that ContextForge serves. It is set up without its rate limits, its
pages and its plugins, so as cheap as it can be; Stepwell as it is, with its policy and its log.
"""

import asyncio
import json
import os
import secrets
import subprocess
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, cast

from bench.calls import Calls, OverHttp, Wire, best_us
from bench.databases import place_for
from bench.door import FULL, QUICK
from bench.door_processes import Served, bare_process, daemon, free_port, wait_listening
from bench.left_out import LeftOut
from bench.peers.environment import CONTEXTFORGE, FASTMCP, python_of

REPOSITORY: Final = Path(__file__).parents[1]
TIMEOUT: Final = 240.0
LOOKS: Final = 100
LOOK_AGAIN: Final = 0.1
"""Seconds between two looks whether a gateway has found its server."""
SLOW: Final = Calls(each=50, blocks=6, in_flight=16)
USER: Final = "admin@example.com"
"""Whom ContextForge makes at its first start."""


async def measure_gateways(database: str, *, quick: bool) -> dict[str, float]:
    """Microseconds of processor time for each call.

    Raises:
        LeftOut: FastMCP cannot be installed here.
    """
    calls = QUICK if quick else FULL
    figures = await asyncio.to_thread(_fastmcp, python_of(FASTMCP), calls)
    try:
        python = python_of(CONTEXTFORGE)
    except LeftOut as reason:
        print(f"leaving out ContextForge: {reason}")
        return figures
    with place_for(database) as place, bare_process() as bare:
        url = f"http://127.0.0.1:{bare.port}/mcp"
        wrapping = f"[tools.servers.bare]\nurl = {url!r}\nnetworks = ['127.0.0.1/32']\n"
        with (
            daemon(place.folder / "wrapping", wrapping) as ours,
            _contextforge(python, place.folder / "contextforge.db", url) as (theirs, key),
        ):
            wires = {
                "wrapped": await Wire(ours.carrier).begin(),
                "contextforge": await Wire(theirs.carrier, "bare-echo", key=key).begin(),
            }
            for wire in wires.values():
                await _answering(wire)
            senders = {name: wire.echo for name, wire in wires.items()}
            spent = {"wrapped": ours.spent, "contextforge": theirs.spent}
            best = await best_us(senders, QUICK if quick else SLOW, spent)
    return figures | {f"gateways.{name}_cpu_us": us for name, us in best.items()}


async def _answering(wire: Wire) -> None:
    """Ends when a gateway has found the server behind it.

    Raises:
        AssertionError: it does not in time.
    """
    for _ in range(LOOKS):
        try:
            return await wire.echo()
        except (AssertionError, KeyError):
            await asyncio.sleep(LOOK_AGAIN)
    return await wire.echo()


def _fastmcp(python: Path, calls: Calls) -> dict[str, float]:
    command = [str(python), "-m", "bench.peers.fastmcp_peer", json.dumps(calls)]
    process = subprocess.run(
        command,
        check=True,
        capture_output=True,
        text=True,
        cwd=REPOSITORY,
        env={"PATH": os.environ["PATH"]},
        timeout=TIMEOUT,
    )
    found: dict[str, float] = json.loads(process.stdout.splitlines()[-1])
    return {f"gateways.{name}_cpu_us": us for name, us in found.items()}


@contextmanager
def _contextforge(python: Path, database: Path, url: str) -> Iterator[tuple[Served, str]]:
    """ContextForge in front of a server, and the key of its user."""
    port = free_port()
    secret, password = secrets.token_hex(32), f"A-{secrets.token_hex(16)}"
    environment = {
        "PATH": os.environ["PATH"],
        "DATABASE_URL": f"sqlite:///{database}",
        "JWT_SECRET_KEY": secret,
        "AUTH_ENCRYPTION_SECRET": secrets.token_hex(32),
        "AUTH_REQUIRED": "true",
        "PLATFORM_ADMIN_PASSWORD": password,
        "DEFAULT_USER_PASSWORD": password,
        "BASIC_AUTH_PASSWORD": password,
        "CACHE_TYPE": "memory",
        "LOG_LEVEL": "ERROR",
        "MCPGATEWAY_UI_ENABLED": "false",
        "OBSERVABILITY_ENABLED": "false",
        "PLUGINS_ENABLED": "false",
        "RATE_LIMITING_ENABLED": "false",
        "TOOL_RATE_LIMIT": "1000000",
        "SSRF_PROTECTION_ENABLED": "false",
    }
    gateway = [str(python.with_name("mcpgateway")), "--host", "127.0.0.1", "--port", str(port)]
    with (
        database.with_suffix(".log").open("wb") as log,
        subprocess.Popen(
            gateway, stdout=log, stderr=log, cwd=database.parent, env=environment
        ) as process,
    ):
        try:
            wait_listening(process, port)
            key = _key(python, environment)
            _register(port, key, url)
            yield Served(process.pid, port, OverHttp(port, "/mcp/")), key
        finally:
            process.terminate()


def _key(python: Path, environment: dict[str, str]) -> str:
    words = [
        "--username",
        USER,
        "--admin",
        "--exp",
        "60",
        "--secret",
        environment["JWT_SECRET_KEY"],
    ]
    command = [str(python), "-m", "mcpgateway.utils.create_jwt_token", *words]
    process = subprocess.run(
        command, check=True, capture_output=True, text=True, env=environment, timeout=TIMEOUT
    )
    return process.stdout.splitlines()[-1].strip()


def _register(port: int, key: str, url: str) -> None:
    body = json.dumps({"name": "bare", "url": url, "transport": "STREAMABLEHTTP"}).encode()
    headers = {"authorization": f"Bearer {key}", "content-type": "application/json"}
    request = urllib.request.Request(f"http://127.0.0.1:{port}/gateways", body, headers)
    with urllib.request.urlopen(request, timeout=TIMEOUT) as answer:
        registered = cast("dict[str, Any]", json.load(answer))
    assert registered["name"] == "bare", registered
