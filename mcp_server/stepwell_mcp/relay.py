"""`stepwell mcp`: carries MCP between stdio and the daemon of a home, which it starts if absent.

Hosts start one of these per conversation, so it loads the standard library only and is up in
a fraction of the time that an MCP server takes. Messages pass as they are. They are looked at
for one thing: what becomes of the requests in flight when the daemon dies. A client of the
handshake era is carried over to the next daemon by repeating its handshake there.
"""

import contextlib
import json
import os
import queue
import socket
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

from stepwell_mcp import choice, daemon
from stepwell_mcp.lines import LineSplitter

USAGE: Final = """\
usage: stepwell mcp [--home HOME] [--standalone] [--toolset NAMES] [--tools NAMES]
                    [--read-only] [--surface auto|full|search]

Serves MCP on stdin and stdout, for the configuration of an MCP host. It speaks to the daemon
of the home (--home, else STEPWELL_HOME, else ~/.stepwell) and starts one when there is none.
With --standalone it runs everything in this process instead.

The other flags choose which tools the host is given: those of toolsets of config.toml, single
ones, and only such as change nothing; `--surface search` lists tools that find the others. Names are
separated by commas.
"""
CHUNK: Final = 64 * 1024
LAST_WORDS: Final = 60.0
"""Seconds between two messages of the daemon to a client that has stopped sending."""
CONNECTION_CLOSED: Final = -32000
"""JSON-RPC leaves the code to us; the MCP SDK uses this one for the same."""

_VALUED: Final = ("--home", *choice.FLAGS)

Message = dict[str, Any]


class Pending(NamedTuple):
    """A request that the daemon has not answered; `repeated` when a daemon died of it before."""

    line: bytes
    id: Any
    method: str
    repeated: bool


class Relay:
    """One client on two file descriptors, and the daemon it is carried to.

    Threads put the lines they read into one queue, and one thread acts on them: nothing is
    shared. `start` is asked for a daemon when none can be reached, and raises `Absent` when it
    has none. `chosen` says which tools the client is given, as headers say it over HTTP.
    """

    def __init__(
        self,
        home: Path,
        client_in: int,
        client_out: int,
        *,
        start: Callable[[Path], socket.socket] = daemon.start,
        chosen: Mapping[str, str] | None = None,
    ) -> None:
        self._home = home
        self._chosen = dict(chosen or {})
        self._start = start
        self._client_in = client_in
        self._client_out = client_out
        self._lines: queue.Queue[tuple[socket.socket | None, bytes | None]] = queue.Queue(64)
        self._client_is_there = True
        self._daemon: socket.socket | None = None
        self._pending: dict[str, Pending] = {}
        self._handshake: list[bytes] = []
        self._unwanted = ""

    def run(self) -> None:
        """Carries messages until the client has gone and its requests are answered.

        Raises:
            BrokenPipeError: the client does not read any more.
        """
        self._read(None, lambda: os.read(self._client_in, CHUNK))
        while self._client_is_there or self._daemon is not None:
            try:
                source, line = self._lines.get(
                    timeout=None if self._client_is_there else LAST_WORDS
                )
            except queue.Empty:
                return
            if source is None and line is None:
                self._end_of_client()
            elif source is None and line is not None:
                self._from_client(line)
            elif source is self._daemon and line is not None:
                self._from_daemon(line)
            elif source is self._daemon:
                self._end_of_daemon()

    def _from_client(self, line: bytes, *, repeated: bool = False) -> None:
        message = _parse(line)
        method = message.get("method")
        try:
            self._deliver(line)
        except daemon.Absent as error:
            sys.stderr.write(f"stepwell mcp: {error}\n")
            if method and "id" in message:
                self._refuse(message["id"], str(error))
            return
        if method and "id" in message:
            pending = Pending(line, message["id"], method, repeated)
            self._pending[repr(message["id"])] = pending
        elif method == "notifications/initialized" and self._handshake:
            self._handshake[1:] = [line]
        elif method == "notifications/cancelled":
            # Nobody answers a cancelled request.
            self._pending.pop(repr((message.get("params") or {}).get("requestId")), None)

    def _from_daemon(self, line: bytes) -> None:
        if self._pending or self._unwanted:
            message = _parse(line)
            if "id" in message and "method" not in message:
                answered = repr(message["id"])
                if answered == self._unwanted:
                    self._unwanted = ""
                    return
                pending = self._pending.pop(answered, None)
                if pending and pending.method == "initialize":
                    self._handshake = [pending.line]
        _write(self._client_out, line + b"\n")

    def _end_of_client(self) -> None:
        self._client_is_there = False
        if self._daemon is not None:
            with contextlib.suppress(OSError):
                self._daemon.shutdown(socket.SHUT_WR)

    def _end_of_daemon(self) -> None:
        """Asks a new daemon again, once, what may be asked twice; the rest is told what happened."""
        if self._daemon is not None:
            self._daemon.close()
        self._daemon = None
        self._unwanted = ""
        unanswered, self._pending = self._pending, {}
        for pending in unanswered.values():
            once_only = pending.method == "tools/call" or pending.repeated
            if once_only or not self._client_is_there:
                self._refuse(
                    pending.id,
                    "the Stepwell daemon ended before it answered. A run that it had accepted "
                    "goes on when the daemon is back, which your next request sees to. Find out "
                    "what it did before you repeat a call that changes something; a person sees "
                    "its run with `stepwell runs`",
                )
            else:
                self._from_client(pending.line, repeated=True)

    def _deliver(self, line: bytes) -> None:
        """Sends a line to the daemon, or to the next one if that one has just gone.

        Raises:
            Absent: there is no daemon, and none would start.
        """
        if self._daemon is not None:
            with contextlib.suppress(OSError):
                self._daemon.sendall(line + b"\n")
                return
            self._end_of_daemon()
        try:
            fresh = self._daemon or self._connect()
            fresh.sendall(line + b"\n")
        except OSError as error:
            raise daemon.Absent(f"the Stepwell daemon has gone ({error}); ask again") from error

    def _connect(self) -> socket.socket:
        fresh = daemon.reach(self._home) or self._start(self._home)
        if self._chosen:
            daemon.choose(fresh, self._chosen)
        self._read(fresh, lambda: fresh.recv(CHUNK))
        self._daemon = fresh
        if self._handshake:
            self._unwanted = repr(_parse(self._handshake[0])["id"])
            fresh.sendall(b"\n".join([*self._handshake, b""]))
        return fresh

    def _refuse(self, request: object, text: str) -> None:
        error = {
            "code": CONNECTION_CLOSED,
            "message": text,
            "data": {"code": "DAEMON_NOT_RUNNING", "retryable": True, "detail": {}},
        }
        answer = {"jsonrpc": "2.0", "id": request, "error": error}
        _write(self._client_out, json.dumps(answer).encode() + b"\n")

    def _read(self, source: socket.socket | None, receive: Callable[[], bytes]) -> None:
        """Puts the lines of a source into the queue from a thread of its own, None at the end."""

        def read() -> None:
            splitter = LineSplitter(sys.maxsize)
            # A reset ends the lines like any other end.
            with contextlib.suppress(OSError):
                while chunk := receive():
                    for line in splitter.feed(chunk):
                        self._lines.put((source, line))
            if rest := splitter.end():
                self._lines.put((source, rest))
            self._lines.put((source, None))

        threading.Thread(target=read, daemon=True).start()


def main(argv: Sequence[str]) -> int:
    """Runs `stepwell mcp` with its arguments (without `mcp`); the result is the exit code."""
    home, standalone = os.environ.get("STEPWELL_HOME") or "~/.stepwell", False
    chosen: dict[str, str] = {}
    rest = list(argv)
    while rest:
        flag, _, value = rest.pop(0).partition("=")
        if flag in _VALUED and (value or rest):
            value = value or rest.pop(0)
            if flag == "--home":
                home = value
            else:
                chosen[choice.FLAGS[flag]] = value
        elif flag == "--standalone" and not value:
            standalone = True
        elif flag == "--read-only" and not value:
            chosen[choice.READONLY] = "true"
        else:
            is_asked_for = flag in ("-h", "--help")
            (sys.stdout if is_asked_for else sys.stderr).write(USAGE)
            return 0 if is_asked_for else 2
    path = Path(home).expanduser().absolute()
    if standalone:
        from stepwell_mcp.standalone import serve_standalone

        return serve_standalone(path, chosen)
    with contextlib.suppress(BrokenPipeError, KeyboardInterrupt):
        Relay(path, sys.stdin.fileno(), sys.stdout.fileno(), chosen=chosen).run()
    return 0


def _parse(line: bytes) -> Message:
    """The message of a line, or {}: what is wrong with a line is for the daemon to say."""
    try:
        message = json.loads(line)
    except (ValueError, RecursionError):
        return {}
    return message if isinstance(message, dict) else {}


def _write(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
