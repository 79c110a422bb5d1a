"""A thousand tools, each with three arguments."""

from collections.abc import Awaitable, Callable

from stepwell import tool


def _finder(name: str) -> Callable[..., Awaitable[list[str]]]:
    @tool(name=name, title=name.capitalize(), read_only=True)
    async def find(text: str, limit: int = 10, exact: bool = False) -> list[str]:
        """Finds what the text is about, and says at most so much of it."""
        return []

    return find


globals().update((name, _finder(name)) for name in (f"find_{each:04}" for each in range(1000)))
