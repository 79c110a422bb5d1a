"""Processes that tests start, and the ones that they leave."""

import os
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import AnyStr

import psutil

PATIENCE = 20.0


class Child(subprocess.Popen[AnyStr]):
    """A process that is killed when its block fails, where `Popen` waits for it for ever."""

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if error is not None:
            self.kill()
        super().__exit__(kind, error, traceback)


def processes_in(folder: Path) -> list[psutil.Process]:
    """Every other process of this Python whose command line names something in the folder.

    Daemons are found by it: their command lines name their homes.
    """
    inside = f"{folder}{os.sep}"
    found = []
    for process in psutil.process_iter(["cmdline"]):
        command: list[str] = process.info["cmdline"] or [""]
        is_ours = command[0] == sys.executable and process.pid != os.getpid()
        if is_ours and any(inside in word for word in command):
            found.append(process)
    return found


def end_processes_in(folder: Path) -> list[str]:
    """Kills every process that works in the folder; tells their command lines."""
    left = processes_in(folder)
    for process in left:
        process.kill()
    psutil.wait_procs(left, PATIENCE)
    return [" ".join(process.info["cmdline"]) for process in left]
