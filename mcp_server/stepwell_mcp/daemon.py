"""Finds the daemon of a home for the relay, or starts one. Standard library only."""

import contextlib
import json
import os
import socket
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO, Final

START_TIMEOUT: Final = 10.0
"""Seconds a daemon may take until it listens."""
LATE_WINNER: Final = 3.0
"""Seconds that are left for another daemon to listen, which took the home before ours."""
CONNECT_TIMEOUT: Final = 5.0
LOOK_AGAIN: Final = 0.01
"""Seconds between two looks at a daemon that is starting."""


class Absent(Exception):
    """There is no daemon to speak to, and none would start; the message says why."""


def connect(home: Path) -> socket.socket:
    """A connection to the daemon of the home, which is started if there is none.

    Raises:
        Absent: it did not start, or does not listen within ten seconds.
    """
    return _reach(home) or _start(home)


def _reach(home: Path) -> socket.socket | None:
    """A connection to the daemon that `endpoints.json` names, if it lives."""
    with contextlib.suppress(OSError, ValueError, KeyError):
        address = json.loads((home / "endpoints.json").read_bytes())["socket"]
        host, colon, port = address.rpartition(":")
        if os.sep in address or not colon:
            return _reach_unix(address)
        return _reach_loopback(host, int(port), (home / "mcp.token").read_bytes())
    return None


def _reach_unix(path: str) -> socket.socket:
    found = socket.socket(socket.AF_UNIX)
    try:
        found.settimeout(CONNECT_TIMEOUT)
        found.connect(path)
        found.settimeout(None)
    except OSError:
        found.close()
        raise
    return found


def _reach_loopback(host: str, port: int, token: bytes) -> socket.socket:
    found = socket.create_connection((host, port), CONNECT_TIMEOUT)
    found.settimeout(None)
    found.sendall(token.strip() + b"\n")
    return found


def _start(home: Path) -> socket.socket:
    log = home / "daemon.log"
    try:
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    except OSError as error:
        raise Absent(f"{home} cannot hold a home ({error}); choose another with --home") from error
    with os.fdopen(descriptor, "ab") as output:
        said_before = output.tell()
        has_ended = _spawn(home, output)
    give_up = time.monotonic() + START_TIMEOUT
    while time.monotonic() < give_up:
        if found := _reach(home):
            return found
        if has_ended():
            give_up = min(give_up, time.monotonic() + LATE_WINNER)
        time.sleep(LOOK_AGAIN)
    raise Absent(
        f"no daemon would start for {home}: {_last_words(log, said_before)}. "
        f"Try it by hand: stepwell up --home {home}"
    )


def _spawn(home: Path, output: BinaryIO) -> Callable[[], bool]:
    """Starts a daemon that outlives us; the answer tells whether it has ended."""
    # Loaded here: most relays find a daemon, and are answered sooner without it.
    import subprocess

    command = [sys.executable, "-m", "stepwell_server.cli.main"]
    command += ["up", "--home", str(home), "--on-demand"]
    daemon = subprocess.Popen(  # noqa: S603 - our own interpreter and module
        command,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=output,
        # The host that ends this relay, and all of its group, must not end the daemon.
        start_new_session=True,
    )
    return lambda: daemon.poll() is not None


def _last_words(log: Path, start: int) -> str:
    """The last line that the daemon has written since `start`."""
    with log.open("rb") as file:
        file.seek(start)
        lines = file.read().decode(errors="replace").split("\n")
    said = [line.strip() for line in lines if line.strip()]
    return said[-1] if said else f"it does not listen after {START_TIMEOUT:.0f} seconds, see {log}"
