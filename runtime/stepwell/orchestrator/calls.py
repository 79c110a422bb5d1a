"""The tasks in which runs carry out their commands."""

import asyncio
from collections.abc import Coroutine
from typing import Any


class Calls:
    """Begins tasks for runs, and waits in the end for those that were told to stop.

    There is one for each step, so it is less than an `asyncio.TaskGroup`, which would keep every
    task and hear of its end: 1.2 us. A run keeps what it has begun by itself until it has ended or
    is told to stop, and such a task answers for its own failure.

    Belongs to the event loop that is running when it is made.
    """

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._stopping: set[asyncio.Task[None]] = set()

    @property
    def current(self) -> asyncio.Task[None] | None:
        """The task that asks."""
        # The loop is named, as Python 3.11 asks the system for the process to find it: 2 us.
        return asyncio.current_task(self._loop)

    def begin(self, name: str, call: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Starts a task, which the caller keeps."""
        return asyncio.Task(call, loop=self._loop, name=name)

    def stop(self, task: asyncio.Task[None]) -> None:
        """Cancels a task that its caller keeps no longer."""
        task.cancel()
        self._stopping.add(task)
        task.add_done_callback(self._stopping.discard)

    async def stopped(self) -> None:
        """Ends when every task has that was told to stop."""
        while self._stopping:
            await asyncio.wait(self._stopping)
