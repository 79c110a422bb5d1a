"""A daemon as a child process, to be started, killed and started again."""

import asyncio
import os
import subprocess
import sys
from contextlib import suppress
from typing import Final

import msgspec

from stepwell.errors import Code, StepwellError
from stepwell_server.cli.process import Order
from stepwell_server.home import Endpoints, Home

START_TIMEOUT: Final = 30.0
STOP_TIMEOUT: Final = 20.0
"""Seconds."""
LOOK_AGAIN: Final = 0.02


class ChildDaemon:
    """`stepwell up` on a home, with that home's own settings and no others."""

    def __init__(self, home: Home) -> None:
        self._home = home
        self._process: subprocess.Popen[bytes] | None = None

    async def start(self) -> Endpoints:
        """Starts it, and ends when it listens.

        Raises:
            StepwellError: DAEMON_NOT_RUNNING, it ended or does not listen; its last words are
                in the message.
        """
        process = self._process = self._launch()
        with suppress(TimeoutError):
            async with asyncio.timeout(START_TIMEOUT):
                while process.poll() is None:
                    if found := self._home.endpoints():
                        return found
                    await asyncio.sleep(LOOK_AGAIN)
        raise StepwellError(
            f"the daemon does not start; the end of {self._home.log_file} says: {self._log_end()}",
            code=Code.DAEMON_NOT_RUNNING,
        )

    def kill(self) -> int:
        """`kill -9`; tells the process that it was."""
        assert self._process is not None, "start it first"
        self._process.kill()
        self._process.wait()
        return self._process.pid

    def stop(self) -> None:
        """Asks it to stop, if it runs, and waits for it."""
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(STOP_TIMEOUT)
        except subprocess.TimeoutExpired:
            self.kill()

    def _launch(self) -> subprocess.Popen[bytes]:
        # What `stepwell up --home HOME` becomes, without reading flags first.
        order = msgspec.json.encode(Order(home=str(self._home.path.absolute()))).decode()
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
        with os.fdopen(os.open(self._home.log_file, flags, 0o600), "ab") as log:
            return subprocess.Popen(  # noqa: S603 - our own interpreter and module
                [sys.executable, "-P", "-m", "stepwell_server.cli.process", order],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=_environment(),
            )

    def _log_end(self) -> str:
        return self._home.log_file.read_text(errors="replace").strip()[-1000:]


def _environment() -> dict[str, str]:
    """Ours without what would change the daemon's settings."""
    return {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("STEPWELL_", "DATABASE_URL"))
    }
