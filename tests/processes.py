"""The processes of ours that work in a folder: command lines of daemons name their homes."""

import os
import sys
from pathlib import Path

import psutil

PATIENCE = 20.0


def processes_in(folder: Path) -> list[psutil.Process]:
    """Every other process of this Python whose command line names something in the folder."""
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
