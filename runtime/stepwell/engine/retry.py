"""How long to wait before the next attempt."""

from stepwell.engine.graph import Retry


def delay(policy: Retry, attempt: int, jitter: float) -> int:
    """Microseconds between the end of `attempt` (from 1) and the next one.

    Exponential with "equal jitter": half of the wait is fixed, the other half is random, so
    that callers who failed together do not return together and none returns at once.
    """
    wait = min(policy.initial * policy.multiplier ** (attempt - 1), policy.ceiling)
    return int(wait / 2 + wait / 2 * jitter)
