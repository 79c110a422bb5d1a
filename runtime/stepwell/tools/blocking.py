"""Tells which async tool keeps the daemon from everything else.

An async tool runs in the daemon's event loop. While it computes, or waits without `await`, no
other run goes on and no client is answered, and nothing else would say whose fault that is.
"""

import logging
from collections.abc import Coroutine, Generator
from time import perf_counter
from types import coroutine
from typing import Any, TypeVar

TOO_LONG = 1.0
"""Seconds between two `await`s of a tool from which on a warning is logged."""

T = TypeVar("T")

logger = logging.getLogger(__name__)


@coroutine
def watched(call: Coroutine[Any, Any, T], name: str) -> Generator[Any, Any, T]:
    """Runs the call of a tool as `await` would; logs a warning when it blocks the loop."""
    go_on: Any = call.send
    given: Any = None
    while True:
        begun = perf_counter()
        try:
            awaited = go_on(given)
        except StopIteration as end:
            return end.value  # type: ignore[no-any-return]
        finally:
            _judge(perf_counter() - begun, name)
        try:
            go_on, given = call.send, (yield awaited)
        except GeneratorExit:
            call.close()
            raise
        except BaseException as error:  # noqa: BLE001 - a cancellation among others
            go_on, given = call.throw, error


def _judge(seconds: float, name: str) -> None:
    if seconds > TOO_LONG:
        logger.warning(
            "%s is async and held the daemon up for %.1f s; let it await, or leave the async "
            "away: then it runs in a process of its own",
            name,
            seconds,
        )
