"""What is known of a datasource before it is asked: words, values, what somebody has taught it.

It is made once for a schema, an access and a day, and kept for as long as the values in it are
fresh enough. Nobody is given what was made for the access of somebody else.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from datetime import UTC, date, datetime
from typing import Final, TypeAlias

from msgspec import Struct

from stepwell.clock import Clock
from stepwell.nldb.ask.samples import MOST_COLUMNS, sampled, wanted_of
from stepwell.nldb.ask.taught import NOTHING_TAUGHT, Taught, read_taught
from stepwell.nldb.databases import Databases, View
from stepwell.nldb.keyless.world import World, visible
from stepwell.nldb.link.linker import Linked, Linker
from stepwell.nldb.link.values import Sample, ValueIndex
from stepwell.tools.port import CallContext

FRESH: Final = 300_000_000
"""Microseconds for which sampled values are believed. A value that came later is not understood."""
MOST_KEPT: Final = 32
MOST_SAMPLES: Final = 3
FEW_VALUES: Final = 30
"""A column with more distinct values is not told by some of them."""

Lessons: TypeAlias = Callable[[str, str], Awaitable[bytes]]
"""Gives what a datasource was taught by (namespace, name); b"" where it was taught nothing."""


class Known(Struct, frozen=True):
    """All of it, for one asker. `samples` are a few values of columns that have few."""

    view: View
    world: World
    linker: Linker
    taught: Taught
    samples: Mapping[tuple[str, str], tuple[str, ...]] = {}

    @property
    def values(self) -> ValueIndex:
        """The values that were sampled."""
        return self.world.values


class _Made(Struct, frozen=True):
    known: Known
    at: int


class Knowledge:
    """Makes it, and keeps what was used last."""

    def __init__(self, databases: Databases, lessons: Lessons, *, clock: Clock) -> None:
        self._databases = databases
        self._lessons = lessons
        self._clock = clock
        self._made: OrderedDict[tuple[object, ...], _Made] = OrderedDict()
        self._making: dict[tuple[object, ...], asyncio.Lock] = {}

    async def of(self, context: CallContext, datasource: str, question: str) -> Known:
        """What is known of a datasource to whoever calls.

        Raises:
            NotFound: DATASOURCE_NOT_FOUND.
            ToolFailed: QUERY_FAILED, it cannot be read.
        """
        view = await self._databases.view(context, datasource)
        source = await self._lessons(context.namespace, datasource)
        today = self.today()
        linked = _large(view, question)
        key = (
            context.namespace,
            datasource,
            view.place,
            view.stamp,
            view.access.digest,
            source,
            today,
            linked and tuple(table.name for table in linked.tables),
        )
        lock = self._making.setdefault(key, asyncio.Lock())
        try:
            async with lock:
                return await self._kept(key, context, datasource, view, source, today, linked)
        finally:
            if not lock.locked():
                self._making.pop(key, None)

    def today(self) -> date:
        """The day on which a question is asked, in UTC."""
        return datetime.fromtimestamp(self._clock.now() / 1e6, UTC).date()

    async def _kept(
        self,
        key: tuple[object, ...],
        context: CallContext,
        datasource: str,
        view: View,
        source: bytes,
        today: date,
        linked: Linked | None,
    ) -> Known:
        made = self._made.pop(key, None)
        now = self._clock.now()
        if made is None or now - made.at > FRESH:
            names = None if linked is None else [table.name for table in linked.tables]
            wanted = wanted_of(view.catalog, view.access, names)
            samples = await sampled(self._databases, context, datasource, view.catalog, wanted)
            taught = read_taught(source, view.catalog, view.access) if source else NOTHING_TAUGHT
            made = _Made(_known(view, taught, samples, today), now)
        self._made[key] = made
        while len(self._made) > MOST_KEPT:
            self._made.popitem(last=False)
        return made.known


def _large(view: View, question: str) -> Linked | None:
    """Of a large schema the tables that the question may be about; None of any other."""
    columns = sum(len(table.columns) for table in view.catalog.tables.values())
    if columns <= MOST_COLUMNS:
        return None
    return Linker(visible(view.catalog, view.access), ValueIndex()).link(question)


def _known(view: View, taught: Taught, samples: Sequence[Sample], today: date) -> Known:
    glossary, values = taught.glossary, ValueIndex(samples)
    world = World(view.catalog, view.access, values, glossary=glossary, today=today)
    linker = Linker(world.catalog, values, terms=glossary.terms)
    return Known(view, world, linker, taught, few_values(samples))


def few_values(samples: Iterable[Sample]) -> dict[tuple[str, str], tuple[str, ...]]:
    """The values that most rows have, of columns of which all are known."""
    found: dict[tuple[str, str], tuple[str, ...]] = {}
    for sample in samples:
        if len(sample.columns) == 1 and sample.complete and len(sample.rows) <= FEW_VALUES:
            ranked = sorted(sample.rows, key=lambda row: (-row[1], row[0]))
            found[sample.table, sample.columns[0]] = tuple(
                values[0] for values, _ in ranked[:MOST_SAMPLES]
            )
    return found
