"""Daemons as they are shipped, each a process of its own."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import msgspec
import psutil

from stepwell_server.home import Endpoints, Home

STEPWELL: Final = [sys.executable, "-m", "stepwell_server.cli.main"]


@contextmanager
def up(home: Home) -> Iterator[tuple[psutil.Process, float, Endpoints]]:
    """A daemon while the block lasts: its process, the seconds until it listened, and where."""
    began = time.perf_counter()
    command = [*STEPWELL, "up", "--json", "--home", str(home.path)]
    with (
        home.log_file.open("ab") as log,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, env=environment()) as process,
    ):
        assert process.stdout is not None
        said = json.loads(process.stdout.readline())
        seconds = time.perf_counter() - began
        try:
            yield (
                psutil.Process(process.pid),
                seconds,
                msgspec.convert(said["endpoints"], Endpoints),
            )
        finally:
            process.terminate()


def environment() -> dict[str, str]:
    """Ours without settings; Python keeps what it has compiled, as it does unless forbidden."""
    return {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("STEPWELL_", "DATABASE_URL", "PYTHONDONTWRITEBYTECODE"))
    }
