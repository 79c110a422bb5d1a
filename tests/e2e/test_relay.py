"""`stepwell mcp` as a host runs it: real processes, a real daemon, a real kill."""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil
import pytest
from tests.processes import Child, processes_in

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals")

PATIENCE = 20.0
FIRST_ANSWER = 0.15
"""Seconds of CPU: what it takes on the clock is the business of `make bench`."""
MEGABYTE = 1_000_000

TOOLS = '''
import asyncio
import subprocess

from stepwell import tool


@tool(read_only=True)
async def add(a: int, b: int) -> int:
    """Adds two numbers, and chats."""
    print("a stray print")
    subprocess.run(["echo", "a stray child"], check=True)
    return a + b


@tool(read_only=True)
async def hold() -> None:
    """Never ends."""
    await asyncio.Event().wait()
'''

CONFIG = """
[server]
grpc_port = 0
http_port = 0

[tools]
paths = ["tools.py"]
"""

WITHOUT_UNIX_SOCKETS = """
from stepwell_server import daemon
from stepwell_server.cli.process import main
daemon.socket = object()  # has no AF_UNIX
main()
"""

ENVELOPE = {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientCapabilities": {},
    "io.modelcontextprotocol/clientInfo": {"name": "test", "version": "1"},
}


class Host:
    """What an MCP host does with the process it started."""

    def __init__(self, process: Child[bytes]) -> None:
        self.process = process
        self._ids = 0

    def send(self, method: str, **params: Any) -> int:
        self._ids += 1
        params["_meta"] = ENVELOPE
        message = {"jsonrpc": "2.0", "id": self._ids, "method": method, "params": params}
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(message).encode() + b"\n")
        self.process.stdin.flush()
        return self._ids

    def receive(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        message: dict[str, Any] = json.loads(self.process.stdout.readline())
        return message

    def request(self, method: str, **params: Any) -> dict[str, Any]:
        id = self.send(method, **params)
        answer = self.receive()
        assert answer["id"] == id
        return answer

    def call(self, tool: str, **arguments: Any) -> dict[str, Any]:
        return self.request("tools/call", name=tool, arguments=arguments)


@contextmanager
def host(home: Path, *flags: str) -> Iterator[Host]:
    command = [sys.executable, "-m", "stepwell_server.cli.main", "mcp", "--home", str(home)]
    process: Child[bytes] = Child([*command, *flags], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    with process:
        try:
            yield Host(process)
        finally:
            assert process.stdin is not None
            process.stdin.close()
            process.wait(PATIENCE)


def daemon_of(home: Path) -> psutil.Process:
    return psutil.Process(json.loads((home / "endpoints.json").read_bytes())["pid"])


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    """A home with two tools, whose daemons are stopped at the end."""
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    (home / "tools.py").write_text(TOOLS)
    (home / "config.toml").write_text(CONFIG)
    yield home
    daemons = processes_in(tmp_path)
    for daemon in daemons:
        daemon.terminate()
    _, deaf = psutil.wait_procs(daemons, PATIENCE)
    assert not deaf


def text_of(answer: dict[str, Any]) -> str:
    text: str = answer["result"]["content"][0]["text"]
    return text


def test_the_relay_starts_a_daemon_that_outlives_it_and_serves_the_next_one_for_little(
    home: Path,
) -> None:
    with host(home) as cold:
        assert text_of(cold.call("add", a=1, b=2)) == "3"
    daemon = daemon_of(home)
    with host(home) as warm:
        assert text_of(warm.call("add", a=2, b=2)) == "4"
        relay = psutil.Process(warm.process.pid)
        took, memory = sum(relay.cpu_times()[:2]), relay.memory_info().rss
    assert daemon_of(home) == daemon
    assert took < FIRST_ANSWER
    assert memory < 25 * MEGABYTE


def test_a_killed_daemon_is_told_of_and_the_next_call_finds_another(home: Path) -> None:
    with host(home) as client:
        client.call("add", a=1, b=1)
        killed = daemon_of(home)
        client.send("tools/call", name="hold", arguments={})
        client.send("ping")
        client.receive()
        killed.send_signal(signal.SIGKILL)
        lost = client.receive()
        assert lost["error"]["data"]["code"] == "DAEMON_NOT_RUNNING"
        assert text_of(client.call("add", a=1, b=1)) == "2"
        assert daemon_of(home) != killed


def test_relays_that_start_together_share_one_daemon(home: Path) -> None:
    def ask(_: int) -> tuple[str, int]:
        with host(home) as client:
            return text_of(client.call("add", a=1, b=1)), daemon_of(home).pid

    with ThreadPoolExecutor(3) as pool:
        answers = set(pool.map(ask, range(3)))
    assert answers == {("2", daemon_of(home).pid)}


def test_a_daemon_on_demand_takes_free_ports_when_others_have_the_usual_ones(home: Path) -> None:
    (home / "config.toml").write_text("[tools]\npaths = ['tools.py']\n")
    with ExitStack() as others:
        for port in (7420, 7421):
            with suppress(OSError):  # somebody has it already, which serves as well
                others.enter_context(socket.create_server(("127.0.0.1", port)))
        with host(home) as client:
            assert text_of(client.call("add", a=1, b=2)) == "3"
    found = json.loads((home / "endpoints.json").read_bytes())
    assert not found["grpc"].endswith(":7420")
    assert not found["http"].endswith(":7421")


def test_a_daemon_that_cannot_start_is_explained_in_the_answer(home: Path) -> None:
    (home / "config.toml").write_text("[server]\ngrpc_prot = 0\n")
    with host(home) as client:
        answer = client.call("add", a=1, b=1)
    assert answer["error"]["data"]["code"] == "DAEMON_NOT_RUNNING"
    assert "grpc_prot" in answer["error"]["message"]
    assert f"stepwell up --home {home}" in answer["error"]["message"]


def test_without_unix_sockets_the_relay_shows_the_token_of_the_home(home: Path) -> None:
    order = json.dumps({"home": str(home), "json": True})
    command = [sys.executable, "-c", WITHOUT_UNIX_SOCKETS, order]
    with Child(command, stdout=subprocess.PIPE) as daemon:
        try:
            assert daemon.stdout is not None
            address = json.loads(daemon.stdout.readline())["endpoints"]["socket"]
            assert address.startswith("127.0.0.1:")
            assert (home / "mcp.token").stat().st_mode & 0o777 == 0o600
            with host(home) as client:
                assert text_of(client.call("add", a=1, b=2)) == "3"
        finally:
            daemon.terminate()
    assert daemon.returncode == 0
    assert not (home / "mcp.token").exists()


def test_standalone_answers_in_one_process_and_keeps_stray_output_off_the_wire(
    home: Path,
) -> None:
    with host(home, "--standalone") as client:
        assert text_of(client.call("add", a=1, b=2)) == "3"
        assert text_of(client.call("add", a=2, b=2)) == "4"
    assert client.process.returncode == 0
    assert not (home / "endpoints.json").exists()


@pytest.mark.parametrize("where", [(), ("--standalone",)])
def test_a_host_is_given_the_tools_that_its_flags_choose(
    home: Path, where: tuple[str, ...]
) -> None:
    (home / "config.toml").write_text(f'{CONFIG}\n[toolsets.held]\ntools = ["hold"]\n')
    with host(home, *where, "--toolset", "held", "--read-only") as client:
        listed = client.request("tools/list")["result"]["tools"]
        assert [tool["name"] for tool in listed] == ["hold", "run_events", "run_get", "run_result"]
        refused = client.request("tools/call", name="add", arguments={"a": 1, "b": 2})
        assert "has chosen" in refused["error"]["message"]
    with host(home, *where, "--toolset", "hold") as client:
        refused = client.request("tools/list")
        assert "did you mean 'held'?" in refused["error"]["message"]


def test_standalone_says_when_the_home_has_a_daemon(home: Path) -> None:
    with host(home) as client:
        client.call("add", a=1, b=1)
    refused = subprocess.run(
        [sys.executable, "-m", "stepwell_mcp.relay", "--home", str(home), "--standalone"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert refused.returncode == 1
    assert "in use by process" in refused.stderr
    assert refused.stdout == ""


def test_standalone_ends_in_order_at_sigterm(home: Path) -> None:
    with host(home, "--standalone") as client:
        client.call("add", a=1, b=1)
        client.send("tools/call", name="hold", arguments={})
        os.kill(client.process.pid, signal.SIGTERM)
        assert client.process.wait(PATIENCE) == 0
