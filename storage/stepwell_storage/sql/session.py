"""What code that writes may ask of a database, inside one transaction of its writer."""

from collections.abc import Callable
from typing import Any, Protocol, TypeAlias, TypeVar

import sqlalchemy as sa

T = TypeVar("T")


class Session(Protocol):
    """An open transaction. Lives on the writer's thread, and only as long as it writes."""

    def rows(self, statement: sa.Executable, **values: Any) -> list[tuple[Any, ...]]:
        """What a statement gives back."""
        ...

    def change(self, statement: sa.Executable, **values: Any) -> int:
        """Carries a statement out; tells how many rows it concerned."""
        ...


Job: TypeAlias = Callable[[Session], T]
"""Something to do in a transaction of its own; all of it is undone when it raises."""
