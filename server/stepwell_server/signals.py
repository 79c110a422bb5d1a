"""SIGTERM and SIGINT: the first asks for an orderly stop, the second kills."""

import asyncio
import faulthandler
import signal
from contextlib import suppress
from datetime import timedelta


def stop_on_signals(limit: timedelta) -> asyncio.Event:
    """An event of the running loop that the first signal sets; call it in the main thread.

    A stop that takes longer than `limit` ends the process with exit code 1, and with what
    every thread was doing on stderr. That holds for a loop that is blocked as well: the
    handler is not the loop's, which would have to come round to call it, and who counts the
    time is a thread of C, which needs nobody's leave. It begins with the next line of Python
    that the main thread runs.
    """
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()

    def begin(*_: object) -> None:
        for one in (signal.SIGTERM, signal.SIGINT):
            signal.signal(one, signal.SIG_DFL)
        faulthandler.dump_traceback_later(limit.total_seconds(), exit=True)
        with suppress(RuntimeError):  # the loop has ended already
            loop.call_soon_threadsafe(stop.set)

    for one in (signal.SIGTERM, signal.SIGINT):
        signal.signal(one, begin)
    return stop
