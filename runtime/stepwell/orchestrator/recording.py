"""Where it is recorded what people change, besides the log of runs."""

from collections.abc import Awaitable, Callable, Mapping
from typing import TypeAlias

Record: TypeAlias = Callable[[str, str, str, str, Mapping[str, str]], Awaitable[object]]
"""Takes the namespace, the principal, what he did, to what, and what else there is to say."""


async def not_recorded(
    namespace: str, principal: str, action: str, resource: str, detail: Mapping[str, str]
) -> None:
    """Records nothing: for tests, which have no audit log."""
