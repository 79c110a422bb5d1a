"""An asker with a file of its own, whose model is a function."""

import sqlite3
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

from tests.datasources import always, databases_of

from stepwell.clock import SystemClock
from stepwell.engine.values import Data, Json
from stepwell.nldb.ask.asker import Asker
from stepwell.nldb.ask.known import Knowledge
from stepwell.nldb.ask.modelled import Modelled
from stepwell.nldb.model import Access, Catalog, Mask, TableAccess
from stepwell.tools.port import CallContext
from stepwell.tools.process import ProcessPool

CONTEXT = CallContext(
    namespace="default", principal="agent:local", run="r", step="s", attempt=1, key="k"
)
STAFF = """
CREATE TABLE staff (id INTEGER PRIMARY KEY, name TEXT, email TEXT);
INSERT INTO staff VALUES (1, 'Mia Holm', 'mia@old');
"""


class Model:
    """Gives its answers one after the other, and keeps what it was told."""

    def __init__(self, *answers: Json) -> None:
        self.told: list[str] = []
        self._answers = list(answers)

    async def __call__(self, context: CallContext, workflow: str, input: Data, key: str) -> Json:
        self.told.append(input.value["message"])
        return self._answers.pop(0)


@asynccontextmanager
async def asking(
    path: Path,
    *,
    rows: str = STAFF,
    model: Model | None = None,
    hidden: Iterable[str] = (),
    masks: Mapping[str, str] = {},
    **given: Any,
) -> AsyncIterator[Asker]:
    """Everything in the file may be changed, but for tables that are hidden and columns that are masked."""
    with closing(sqlite3.connect(path)) as database:
        database.executescript(rows)

    def all_may_change(catalog: Catalog) -> Access:
        return Access(tables={name: may(name) for name in catalog.tables if name not in hidden})

    def may(name: str) -> TableAccess:
        masked: dict[str, Mask] = {masks[name]: "null"} if name in masks else {}
        return TableAccess(insert=True, update=True, delete=True, masks=masked)

    async def untaught(namespace: str, name: str) -> bytes:
        return b""

    async with ProcessPool(size=1) as processes:
        lookup = always(f"sqlite:///{path}")
        async with databases_of(lookup, processes, access=all_may_change) as databases:
            knowledge = Knowledge(databases, untaught, clock=SystemClock())
            models = Modelled(databases, knowledge, model) if model is not None else None
            yield Asker(databases, knowledge, models=models, **given)
