"""Listening ports: taken ones are refused with a sentence that says who has them."""

import errno
import logging
import os
import socket
from contextlib import suppress
from pathlib import Path

from stepwell.errors import Code, SetupError

_log = logging.getLogger(__name__)


def bind(host: str, port: int, *, setting: str, movable: bool = False) -> socket.socket:
    """A bound TCP socket; port 0 picks a free one, and so does a taken one that is `movable`.

    Raises:
        SetupError: PORT_IN_USE, or the address is not one of this machine.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        bound = socket.socket(family, kind, protocol)
    except OSError as error:
        raise SetupError(f"cannot listen on {host}: {error}; change `server.{setting}`") from error
    if os.name == "posix":  # elsewhere it would let two processes share the port
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind(address)
    except OSError as error:
        bound.close()
        if movable and error.errno == errno.EADDRINUSE:
            _log.info("port %d is taken, so any free one serves as %s", port, setting)
            return bind(host, 0, setting=setting)
        raise taken(host, port, setting=setting, cause=error) from error
    return bound


def taken(host: str, port: int, *, setting: str, cause: OSError | None = None) -> SetupError:
    """The error for a port that cannot be had; the flag is named after the setting."""
    flag = f"--{setting.replace('_', '-')}"
    who = owner_of(port)
    what = f"is used by {who}" if who else f"cannot be used ({cause})" if cause else "is in use"
    return SetupError(
        f"port {port} on {host} {what}. Stop that process, or choose another port with {flag} "
        f"({flag} 0 picks a free one)",
        code=Code.PORT_IN_USE,
        detail={"port": str(port), "holder": who},
    )


def owner_of(port: int) -> str:
    """The process that listens on a TCP port, where the system lets us know; else ""."""
    inodes = _listening_inodes(port)
    if not inodes:
        return ""
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            for descriptor in (process / "fd").iterdir():
                with suppress(OSError):
                    if os.readlink(descriptor) in inodes:  # noqa: PTH115 - "socket:[1]" is no path
                        name = (process / "comm").read_text().strip()
                        return f"process {process.name} ({name})"
    return ""


def _listening_inodes(port: int) -> set[str]:
    """What `/proc/PID/fd` links to for sockets that listen on the port (Linux; else empty)."""
    found: set[str] = set()
    for table in (Path("/proc/net/tcp"), Path("/proc/net/tcp6")):
        with suppress(OSError):
            for line in table.read_text().splitlines()[1:]:
                fields = line.split()
                if fields[3] == "0A" and int(fields[1].rpartition(":")[2], 16) == port:
                    found.add(f"socket:[{fields[9]}]")
    return found
