"""How late the event loop comes to what was planned: the first sign that a process has too much to do."""

import asyncio
from typing import Final

from stepwell.telemetry.instruments import Histogram

INTERVAL: Final = 0.5
"""Seconds between two looks."""


class LoopLag:
    """Looks again and again inside its `with` block how late it is."""

    def __init__(self, lag: Histogram, *, interval: float = INTERVAL) -> None:
        self._lag = lag
        self._interval = interval

    def __enter__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._plan()

    def __exit__(self, *_: object) -> None:
        self._handle.cancel()

    def _plan(self) -> None:
        self._planned = self._loop.time() + self._interval
        self._handle = self._loop.call_at(self._planned, self._look)

    def _look(self) -> None:
        self._lag.observe(self._loop.time() - self._planned)
        self._plan()
