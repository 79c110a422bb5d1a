"""One statement that a change asks of its transaction, whatever the engine."""

from collections.abc import Generator
from typing import Any, TypeAlias, TypeVar

from msgspec import Struct

from stepwell.nldb.writes.job import Row

T = TypeVar("T")


class Ask(Struct, frozen=True):
    """A statement and its parameters. `checked` ones come from an asker, by way of the guard."""

    sql: str
    parameters: tuple[Any, ...] = ()
    checked: bool = False
    acting: frozenset[str] = frozenset()
    """The tables, in lower case, that foreign keys change with it."""


Asking: TypeAlias = Generator[Ask, list[Row], T]
"""Asks one statement after the other, is sent the rows of each, and returns what it made of them."""
