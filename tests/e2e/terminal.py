"""A program at a terminal of its own, read and typed to as a person would."""

import os
import pty
import re
import select
import signal
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from contextlib import contextmanager

BOUND = 30.0
"""Seconds that any text may take to come."""


class Terminal:
    """What a program has shown so far."""

    def __init__(self, process: "subprocess.Popen[bytes]", master: int) -> None:
        self.process = process
        self._master = master
        self._seen = ""

    def until(self, pattern: str) -> "re.Match[str]":
        """What matches, once it is shown; what came before it is passed over."""
        end = time.monotonic() + BOUND
        while (found := re.search(pattern, self._seen)) is None:
            left = end - time.monotonic()
            assert left > 0, f"{pattern!r} is not in {self._seen!r}"
            if select.select([self._master], [], [], min(left, 1.0))[0]:
                try:
                    self._seen += os.read(self._master, 65536).decode(errors="replace")
                except OSError:  # the program has ended
                    assert re.search(pattern, self._seen), self._seen
        self._seen = self._seen[found.end() :]
        return found

    def until_unseen(self) -> None:
        """Waits until what is typed is not shown: what was typed before that is thrown away."""
        end = time.monotonic() + BOUND
        while termios.tcgetattr(self._master)[3] & termios.ECHO:
            assert time.monotonic() < end, "what is typed is still shown"
            time.sleep(0.01)

    def type(self, text: str) -> None:
        """Types a line."""
        os.write(self._master, text.encode() + b"\n")


@contextmanager
def at_terminal(*arguments: str, environ: dict[str, str]) -> Iterator[Terminal]:
    """Runs a command of ours; it is interrupted at the end, as with Ctrl-C."""
    master, slave = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "stepwell_server.cli.main", *arguments],
        stdin=slave,
        stdout=slave,
        stderr=slave,
        env=environ,
        start_new_session=True,
    )
    os.close(slave)
    try:
        yield Terminal(process, master)
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
        process.wait(BOUND)
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
        os.close(master)
