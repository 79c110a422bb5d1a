"""Servers over sockets, each a process of its own: bare ones, daemons of ours, and ContextForge."""

import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final, NamedTuple
from urllib.parse import urlsplit

from bench.calls import OverHttp
from bench.daemons import STEPWELL, environment, up
from stepwell_server.home import Home

REPOSITORY: Final = Path(__file__).parents[1]
START_TIMEOUT: Final = 60.0
"""Seconds that a server may take until it listens."""
CONFIG: Final = """\
[server]
grpc_port = 0
http_port = 0
"""


class Served(NamedTuple):
    """A server that listens."""

    pid: int
    port: int
    carrier: OverHttp

    def spent(self) -> float:
        """The processor time of all its threads until now, in seconds."""
        # What clock_getcpuclockid(3) answers; psutil counts in hundredths of a second.
        return time.clock_gettime((~self.pid << 3) | 2)


@contextmanager
def bare_process(database: Path | None = None) -> Iterator[Served]:
    """A bare lowlevel server; with a database it makes a commit for each call."""
    port = free_port()
    command = [
        sys.executable,
        "-m",
        "bench.bare",
        str(port),
        *([str(database)] if database else []),
    ]
    with subprocess.Popen(command, cwd=REPOSITORY, env=environment()) as process:
        try:
            wait_listening(process, port)
            with closing(OverHttp(port)) as carrier:
                yield Served(process.pid, port, carrier)
        finally:
            process.terminate()


@contextmanager
def daemon(folder: Path, config: str, rules: Path | None = None) -> Iterator[Served]:
    """A daemon of ours with these settings; under these rules, and a budget, where there are any."""
    home = Home(folder)
    home.create()
    home.config_file.write_text(CONFIG + config)
    with up(home) as (process, _, endpoints):
        if rules is not None:
            _tell(home, "policy", "apply", str(rules))
            _tell(home, "budget", "set", "principal:*/day", "--calls", "1000000000")
        port = urlsplit(endpoints.mcp).port
        assert port is not None, endpoints
        with closing(OverHttp(port)) as carrier:
            yield Served(process.pid, port, carrier)


def free_port() -> int:
    """A port of this machine that nobody has at the moment."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port: int = free.getsockname()[1]
        return port


def wait_listening(process: "subprocess.Popen[bytes]", port: int) -> None:
    """Ends when somebody listens there.

    Raises:
        RuntimeError: the process has ended, or takes too long.
    """
    give_up = time.monotonic() + START_TIMEOUT
    while time.monotonic() < give_up and process.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), START_TIMEOUT).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise RuntimeError(f"{process.args!r} does not listen")


def _tell(home: Home, *words: str) -> None:
    command = [*STEPWELL, *words, "--home", str(home.path)]
    subprocess.run(command, check=True, capture_output=True, env=environment())
