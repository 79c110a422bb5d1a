"""Finds the daemon of a home for the relay, or starts one. Standard library only."""

import contextlib
import json
import os
import socket
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Final

from stepwell_mcp import choice

if TYPE_CHECKING:
    import subprocess

START_TIMEOUT: Final = 10.0
"""Seconds a daemon may take until it listens."""
IN_USE: Final = 4
"""The exit code of a daemon whose home, or whose port, another one has."""
WINNER_TIMEOUT: Final = 3.0
"""Seconds that the daemon which took the home before ours is given to listen."""
CONNECT_TIMEOUT: Final = 5.0
"""Seconds until a daemon that is there must have said so."""
WORDS: Final = 500
"""Characters of what a daemon that did not start has said."""
LOOK_AGAIN: Final = 0.01
"""Seconds between two looks at a daemon that is starting."""


class Absent(Exception):
    """There is no daemon to speak to, and none would start; the message says why."""


def reach(home: Path) -> socket.socket | None:
    """A connection to the daemon that `endpoints.json` names, if it lives."""
    with contextlib.suppress(OSError, ValueError, KeyError):
        address = _endpoints(home)["socket"]
        host, colon, port = address.rpartition(":")
        if os.sep in address or not colon:
            return _reach_unix(address)
        return _reach_loopback(host, int(port), (home / "mcp.token").read_bytes())
    return None


def start(home: Path) -> socket.socket:
    """A connection to a daemon that is started for it, or to one that took the home before.

    Raises:
        Absent: it did not start, or does not listen within ten seconds.
    """
    log = home / "daemon.log"
    try:
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    except OSError as error:
        raise Absent(f"{home} cannot hold a home ({error}); choose another with --home") from error
    with os.fdopen(descriptor, "ab") as output:
        said_before = output.tell()
        ours = _spawn(home, output)
    give_up = time.monotonic() + START_TIMEOUT
    while time.monotonic() < give_up:
        if found := reach(home):
            with contextlib.suppress(OSError, ValueError, KeyError):
                if _endpoints(home)["pid"] != ours.pid:
                    # It waits for the home, and would take it when the winner is stopped.
                    ours.terminate()
            return found
        ended = ours.poll()
        if ended == IN_USE:
            give_up = min(give_up, time.monotonic() + WINNER_TIMEOUT)
        elif ended is not None:
            break
        time.sleep(LOOK_AGAIN)
    raise Absent(
        f"no daemon would start for {home}: {_last_words(log, said_before)}. "
        f"Try it by hand: stepwell up --home {home}"
    )


def choose(found: socket.socket, chosen: Mapping[str, str]) -> None:
    """Says which tools the client is given, before it says anything itself.

    Raises:
        Absent: the daemon did not understand; nothing was asked of it.
    """
    found.settimeout(CONNECT_TIMEOUT)
    try:
        found.sendall(choice.line_of(chosen) + b"\n")
        is_understood = found.recv(1) == choice.UNDERSTOOD
    except OSError as error:
        found.close()
        raise Absent(f"the Stepwell daemon has gone ({error}); ask again") from error
    if not is_understood:
        found.close()
        raise Absent(
            "the daemon of this home is of another version, and does not know how to give a client "
            "only some tools; stop it with: stepwell down"
        )
    found.settimeout(None)


def _endpoints(home: Path) -> dict[str, Any]:
    """Where the daemon says that it is; one that was killed leaves this behind."""
    endpoints: dict[str, Any] = json.loads((home / "endpoints.json").read_bytes())
    return endpoints


def _reach_unix(path: str) -> socket.socket:
    found = socket.socket(socket.AF_UNIX)
    try:
        found.settimeout(CONNECT_TIMEOUT)
        found.connect(path)
        return _greeted(found)
    except OSError:
        found.close()
        raise


def _reach_loopback(host: str, port: int, token: bytes) -> socket.socket:
    found = socket.create_connection((host, port), CONNECT_TIMEOUT)
    try:
        found.sendall(token + b"\n")
        return _greeted(found)
    except OSError:
        found.close()
        raise


def _greeted(found: socket.socket) -> socket.socket:
    """The connection once the daemon has said that it is there, with an empty line.

    The system accepts connections for a process that is just being killed, too.
    """
    if found.recv(1) != b"\n":
        raise ConnectionResetError("the daemon ended, or does not know the token")
    found.settimeout(None)
    return found


def _spawn(home: Path, output: BinaryIO) -> "subprocess.Popen[bytes]":
    """Starts a daemon that outlives us."""
    # Loaded here: most relays find a daemon, and are answered sooner without it.
    import subprocess

    # What `stepwell up --home HOME --on-demand` becomes, without reading flags first.
    order = json.dumps({"home": str(home), "on_demand": True})
    return subprocess.Popen(  # noqa: S603 - our own interpreter and module
        [sys.executable, "-P", "-m", "stepwell_server.cli.process", order],
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=output,
        # The host that ends this relay, and all of its group, must not end the daemon.
        start_new_session=True,
    )


def _last_words(log: Path, start: int) -> str:
    """What the daemon has written since `start`, at least its end."""
    with log.open("rb") as file:
        file.seek(start)
        said = file.read().decode(errors="replace").split()
    if not said:
        return f"it did not listen within {START_TIMEOUT:.0f} seconds, see {log}"
    return " ".join(said)[-WORDS:]
