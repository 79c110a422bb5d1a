"""The child's `change`, which dies at a moment that the test chooses. It runs in a child."""

import os
import signal
from typing import Any

from stepwell.engine.values import Json
from stepwell.nldb.writes import sqlite

ENDED = 1000
"""After the commit, before anybody hears of it."""
ENDING = 999
"""All is done but the commit."""


def change(path: str, job: Json, limits: Json, die_at: int) -> Json:
    """As `sqlite.change`, but the process is killed at its statement of this number."""
    done = 0
    rows, run = sqlite._rows, sqlite._run

    def counted(*args: Any) -> Any:
        nonlocal done
        done += 1
        if done == die_at:
            os.kill(os.getpid(), signal.SIGKILL)
        return rows(*args)

    def ended(*args: Any) -> Any:
        outcome = run(*args)
        if die_at == ENDING:
            os.kill(os.getpid(), signal.SIGKILL)
        return outcome

    sqlite._rows, sqlite._run = counted, ended  # type: ignore[assignment]
    try:
        told = sqlite.change(path, job, limits)
        if die_at == ENDED:
            os.kill(os.getpid(), signal.SIGKILL)
        return told
    finally:
        sqlite._rows, sqlite._run = rows, run
