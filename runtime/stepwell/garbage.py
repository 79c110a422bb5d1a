"""How often Python looks for reference cycles: while it loads, while runs are in progress, at the end."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

THRESHOLDS: Final = (200_000, 20, 100)
"""Python's own 700 (new containers between two looks) is made for programs with few objects.
A thousand runs in flight keep a hundred thousand, hardly one of them in a cycle: looking for
cycles so often was a third of the processor time of a durable step. With 50,000 it was still 3 us
a step, and held everybody up for 20 ms twice for each thousand runs that began together."""


@contextmanager
def rarely_collected() -> Iterator[None]:
    """Looks for cycles rarely inside the block, and never among what was there before it.

    Where somebody has said already among what nothing is looked for, it stays as it is.
    """
    before = gc.get_threshold()
    is_ours = gc.get_freeze_count() == 0
    if is_ours:
        gc.freeze()
    gc.set_threshold(*THRESHOLDS)
    try:
        yield
    finally:
        gc.set_threshold(*before)
        if is_ours:
            gc.unfreeze()


@contextmanager
def not_collected() -> Iterator[None]:
    """Looks for no cycles inside the block, and never among what it has made.

    For loading: it makes hundreds of thousands of objects that all stay.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


def leave_all() -> None:
    """Looks for no cycles any more: the process ends now.

    Python would look through everything that was ever loaded before it lets go of it: half a
    second of processor time for a daemon, a third of that of a command.
    """
    gc.disable()
    gc.freeze()
