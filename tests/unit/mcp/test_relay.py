"""The relay between a client and a daemon that the test plays, line by line."""

import json
import os
import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from stepwell_mcp import choice, standalone
from stepwell_mcp import relay as relay_module
from stepwell_mcp.daemon import Absent
from stepwell_mcp.relay import Relay, main

PATIENCE = 5.0
INITIALIZE = {"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": {}}
INITIALIZED = {"jsonrpc": "2.0", "method": "notifications/initialized"}


def request(id: object, method: str = "tools/list") -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": id, "method": method}


def result(id: object, **value: Any) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": id, "result": value}


class Peer:
    """One end that reads and writes messages, a line each."""

    def __init__(self, read_from: Any, write_to: Any) -> None:
        self._read_from = read_from
        self._write_to = write_to

    def send(self, message: dict[str, Any]) -> None:
        self._write_to.write(json.dumps(message).encode() + b"\n")
        self._write_to.flush()

    def receive(self) -> dict[str, Any] | None:
        line = self._read_from.readline()
        return json.loads(line) if line else None

    def close(self) -> None:
        self._write_to.close()


class Daemon:
    """The daemon's socket, and the connections that the relay makes to it."""

    def __init__(self, home: Path) -> None:
        path = home / "mcp.sock"
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        self._listener.listen()
        self._listener.settimeout(PATIENCE)
        self._open: list[socket.socket] = []
        self.wanted = 0
        (home / "endpoints.json").write_text(json.dumps({"socket": str(path)}))

    def accept(self) -> Peer:
        connection, _ = self._listener.accept()
        connection.settimeout(PATIENCE)
        self._open.append(connection)
        connection.sendall(b"\n")
        return Peer(connection.makefile("rb"), connection.makefile("wb"))

    def say(self, data: bytes) -> None:
        """Sends bytes on the last connection."""
        self._open[-1].sendall(data)

    def start(self, home: Path) -> socket.socket:
        """What the relay is given to start daemons with: it counts, and starts none."""
        self.wanted += 1
        raise Absent(f"no daemon would start for {home}")

    def die(self) -> None:
        """Ends all connections, as a killed process does; another daemon would listen next."""
        for connection in self._open:
            connection.shutdown(socket.SHUT_RDWR)
            connection.close()
        self._open.clear()

    def leave(self) -> None:
        """Dies, and no other daemon comes."""
        self._listener.close()
        self.die()

    def hear_out(self) -> None:
        """Waits until the relay has nothing more to send."""
        for connection in self._open:
            with suppress(ConnectionError):
                while connection.recv(1024):
                    pass


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemon]:
    daemon = Daemon(tmp_path)
    yield daemon
    daemon.leave()


@pytest.fixture
def client(tmp_path: Path, daemon: Daemon) -> Iterator[Peer]:
    """A client whose relay runs in a thread; closing it must end the relay."""
    (relay_in, to_relay), (from_relay, relay_out) = os.pipe(), os.pipe()
    relay = Relay(tmp_path, relay_in, relay_out, start=daemon.start)
    thread = threading.Thread(target=relay.run, daemon=True)
    thread.start()
    with os.fdopen(from_relay, "rb") as reading, os.fdopen(to_relay, "wb") as writing:
        client = Peer(reading, writing)
        yield client
        client.close()
        daemon.hear_out()  # else the relay could miss the daemon before it misses the client
        daemon.leave()
        thread.join(PATIENCE)
        assert not thread.is_alive()
    os.close(relay_in)
    os.close(relay_out)


def test_messages_pass_as_they_are_both_ways(client: Peer, daemon: Daemon) -> None:
    client.send(request(1))
    served = daemon.accept()
    assert served.receive() == request(1)
    progress = {"jsonrpc": "2.0", "method": "notifications/progress", "params": {"text": "ä"}}
    served.send(progress)
    served.send(result(1, tools=[]))
    assert [client.receive(), client.receive()] == [progress, result(1, tools=[])]


def test_a_closed_client_still_gets_the_answer_in_flight(client: Peer, daemon: Daemon) -> None:
    client.send(request(1, "tools/call"))
    served = daemon.accept()
    assert served.receive() == request(1, "tools/call")
    client.close()
    assert served.receive() is None
    served.send(result(1))
    assert client.receive() == result(1)


def test_a_call_in_flight_is_told_that_the_daemon_died_and_the_next_one_finds_another(
    client: Peer, daemon: Daemon
) -> None:
    client.send(request("a", "tools/call"))
    daemon.accept().receive()
    daemon.die()
    answer = client.receive()
    assert answer is not None
    assert (answer["id"], answer["error"]["data"]["code"]) == ("a", "DAEMON_NOT_RUNNING")
    assert "goes on when the daemon is back" in answer["error"]["message"]
    client.send(request("b", "tools/call"))
    assert daemon.accept().receive() == request("b", "tools/call")


def test_a_request_that_changes_nothing_is_asked_again_but_only_once(
    client: Peer, daemon: Daemon
) -> None:
    client.send(request(1))
    for _ in range(2):
        assert daemon.accept().receive() == request(1)
        daemon.die()
    answer = client.receive()
    assert answer is not None
    assert answer["error"]["code"] == relay_module.CONNECTION_CLOSED


def test_an_older_client_is_introduced_to_the_next_daemon(client: Peer, daemon: Daemon) -> None:
    client.send(INITIALIZE)
    first = daemon.accept()
    assert first.receive() == INITIALIZE
    first.send(result(0, version="1"))
    assert client.receive() == result(0, version="1")
    client.send(INITIALIZED)
    assert first.receive() == INITIALIZED
    daemon.die()

    client.send(request(1))
    second = daemon.accept()
    assert [second.receive() for _ in range(3)] == [INITIALIZE, INITIALIZED, request(1)]
    second.send(result(0, version="2"))
    second.send(result(1, tools=[]))
    assert client.receive() == result(1, tools=[])


def test_a_handshake_that_was_not_answered_is_made_once_with_the_next_daemon(
    client: Peer, daemon: Daemon
) -> None:
    client.send(INITIALIZE)
    assert daemon.accept().receive() == INITIALIZE
    daemon.die()
    second = daemon.accept()
    assert second.receive() == INITIALIZE
    second.send(result(0))
    assert client.receive() == result(0)
    client.send(request(1))
    assert second.receive() == request(1)


def test_a_cancelled_request_is_not_answered_when_the_daemon_dies(
    client: Peer, daemon: Daemon
) -> None:
    cancelled = {
        "jsonrpc": "2.0",
        "method": "notifications/cancelled",
        "params": {"requestId": 1},
    }
    client.send(request(1, "tools/call"))
    client.send(request(2, "tools/call"))
    client.send(cancelled)
    served = daemon.accept()
    assert [served.receive() for _ in range(3)][-1] == cancelled
    daemon.die()
    answer = client.receive()
    assert answer is not None
    assert answer["id"] == 2


def test_what_is_no_message_is_passed_on_for_the_daemon_to_judge(
    client: Peer, daemon: Daemon
) -> None:
    client._write_to.write(b"garbage\n[1,2]\n")
    client.send(request(1))
    served = daemon.accept()
    assert [served._read_from.readline() for _ in range(2)] == [b"garbage\n", b"[1,2]\n"]
    assert served.receive() == request(1)


def test_a_daemon_that_would_not_start_is_told_of_and_wanted_again_by_the_next_request(
    client: Peer, daemon: Daemon, capfd: pytest.CaptureFixture[str]
) -> None:
    daemon.leave()
    for id in (1, 2):
        client.send(request(id))
        answer = client.receive()
        assert answer is not None
        assert (answer["id"], answer["error"]["data"]["code"]) == (id, "DAEMON_NOT_RUNNING")
        assert "no daemon would start" in answer["error"]["message"]
    assert daemon.wanted == 2
    assert "no daemon would start" in capfd.readouterr().err


def test_no_daemon_is_started_for_a_client_that_has_closed(client: Peer, daemon: Daemon) -> None:
    client.send(request(1))
    served = daemon.accept()
    client.close()
    assert [served.receive(), served.receive()] == [request(1), None]
    daemon.leave()
    answer = client.receive()
    assert answer is not None
    assert answer["error"]["data"]["code"] == "DAEMON_NOT_RUNNING"
    assert daemon.wanted == 0


CHOSEN = {"x-mcp-toolsets": "a,b", "x-mcp-readonly": "true"}


@contextmanager
def choosing(home: Path, daemon: Daemon) -> Iterator[Peer]:
    """A client whose relay was told to choose; it may end before its relay does."""
    (relay_in, to_relay), (from_relay, relay_out) = os.pipe(), os.pipe()
    relay = Relay(home, relay_in, relay_out, start=daemon.start, chosen=CHOSEN)
    thread = threading.Thread(target=relay.run, daemon=True)
    thread.start()
    with os.fdopen(from_relay, "rb") as reading, os.fdopen(to_relay, "wb") as writing:
        yield Peer(reading, writing)
        daemon.leave()
        writing.close()
        thread.join(PATIENCE)
        assert not thread.is_alive()
    os.close(relay_in)
    os.close(relay_out)


def test_each_daemon_is_told_first_what_the_client_has_chosen(
    tmp_path: Path, daemon: Daemon
) -> None:
    with choosing(tmp_path, daemon) as client:
        for number in (1, 2):
            client.send(request(number))
            served = daemon.accept()
            assert served.receive() == {"stepwell/choose": CHOSEN}
            daemon.say(b"\n")
            assert served.receive() == request(number)
            served.send(result(number))
            assert client.receive() == result(number)
            daemon.die()


def test_a_daemon_that_knows_no_choice_is_asked_nothing(tmp_path: Path, daemon: Daemon) -> None:
    """It would give the client everything."""
    with choosing(tmp_path, daemon) as client:
        client.send(request(1))
        served = daemon.accept()
        assert served.receive() == {"stepwell/choose": CHOSEN}
        served.send({"jsonrpc": "2.0", "id": None, "error": {"code": -32600, "message": "what?"}})
        answer = client.receive()
        assert answer is not None
        assert "is of another version" in answer["error"]["message"]
        assert "stepwell down" in answer["error"]["message"]
        with suppress(ConnectionError):  # what it said was not read to its end
            assert served.receive() is None


@pytest.mark.parametrize(
    ("flags", "chosen"),
    [
        ([], {}),
        (["--toolset", "a,b"], {"x-mcp-toolsets": "a,b"}),
        (["--toolset=a", "--tools=x,y"], {"x-mcp-toolsets": "a", "x-mcp-tools": "x,y"}),
        (["--read-only", "--surface", "search"], {"x-mcp-readonly": "true", "x-mcp-surface": "search"}),
    ],
)  # fmt: skip
def test_flags_choose_what_headers_would(
    flags: list[str], chosen: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[Mapping[str, str]] = []

    def serve(home: Path, chosen: Mapping[str, str]) -> int:
        told.append(chosen)
        return 0

    monkeypatch.setattr(standalone, "serve_standalone", serve)
    assert main([*flags, "--standalone"]) == 0
    assert told == [chosen]
    assert main([*choice.flags_of(chosen), "--standalone"]) == 0
    assert told == [chosen, chosen]


@pytest.mark.parametrize(
    "line",
    [
        b'{"jsonrpc":"2.0"}',
        b'{"stepwell/choose"',
        b'{"stepwell/choose": []}',
        b'{"stepwell/choose": {"x-mcp-toolsets": ["a"]}}',
        b'{"stepwell/choose": {"x-mcp-exclude-tools": "a"}}',
    ],
)
def test_a_line_that_chooses_what_we_do_not_know_chooses_nothing(line: bytes) -> None:
    assert choice.read_line(line) is None
    assert choice.read_line(choice.line_of(CHOSEN)) == CHOSEN


@pytest.mark.parametrize(
    "argv",
    [["--nope"], ["--home"], ["--standalone=yes"], ["extra"], ["--toolset"], ["--read-only=no"]],
)
def test_a_wrong_flag_shows_how_it_is_used(
    argv: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(argv) == 2
    assert capsys.readouterr().err == relay_module.USAGE


def test_help_is_an_answer(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    assert capsys.readouterr().out == relay_module.USAGE
