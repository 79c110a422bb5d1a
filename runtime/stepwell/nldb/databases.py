"""The datasources that are in use: each opened once, its catalog kept for as long as it is true.

Whether a catalog is still true is asked where it matters: in the transaction that reads, which
then sees what the statement was checked against, and before a refusal, which may come from a
table that was made since.
"""

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, Protocol, TypeAlias

from msgspec import Struct
from msgspec.structs import replace

from stepwell.errors import NotFound
from stepwell.nldb.database import Database, SchemaMoved
from stepwell.nldb.guard import Checked, Refused, check_read
from stepwell.nldb.guard.read import Parameters
from stepwell.nldb.inspection import Inspection
from stepwell.nldb.limits import Limits, failed, refused
from stepwell.nldb.model import Access, Catalog
from stepwell.nldb.rows import Rows
from stepwell.nldb.shares import Shares
from stepwell.tools.port import Begin, CallContext

Lookup: TypeAlias = Callable[[str, str], Awaitable[str]]
"""Gives the URL of a datasource by (namespace, name).

Raises:
    NotFound: DATASOURCE_NOT_FOUND, with the names that there are.
"""

Opener: TypeAlias = Callable[[str], Database]
"""Opens what a URL names; nothing is connected yet."""

MOST_MOVES: Final = 3
"""How often a statement is checked again because the schema has changed under it."""

MOST_OPEN: Final = 64
"""The most datasources that are kept open; the one that was not used longest is closed first."""


class AccessOf(Protocol):
    """What a principal may do in a datasource: the data policies."""

    async def __call__(self, context: CallContext, datasource: str, catalog: Catalog) -> Access:
        """The access of whoever calls to what the catalog has."""
        ...


class View(Struct, frozen=True):
    """A datasource as one principal sees it, and the stamp of its schema."""

    database: Database
    stamp: str
    catalog: Catalog
    access: Access
    place: str = ""
    """Names the database, whatever the datasource is called: another URL is another one."""

    @property
    def sight(self) -> str:
        """Names what is seen of which database: rows that were shown are shown again by it alone."""
        return hashlib.sha256(f"{self.place}/{self.access.reach}".encode()).hexdigest()[:32]


class _Open:
    def __init__(self, url: str, database: Database) -> None:
        self.url = url
        self.place = hashlib.sha256(url.encode()).hexdigest()[:16]
        self.database = database
        self.known: tuple[str, Catalog] | None = None
        self.reading = asyncio.Lock()


class Databases:
    """The open ones, by (namespace, name). An async context manager; at its end all are closed."""

    def __init__(self, lookup: Lookup, opener: Opener, *, access_of: AccessOf) -> None:
        self._lookup = lookup
        self._opener = opener
        self._access_of = access_of
        self._shares = Shares()
        self._open: dict[tuple[str, str], _Open] = {}

    async def __aenter__(self) -> "Databases":
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Closes all of them."""
        for opened in self._open.values():
            await opened.database.close()
        self._open.clear()

    async def view(self, context: CallContext, name: str, *, fresh: bool = True) -> View:
        """The datasource as who calls sees it. `fresh` asks whether the schema has changed.

        Raises:
            NotFound: DATASOURCE_NOT_FOUND.
            ToolFailed: QUERY_FAILED, it cannot be read.
        """
        opened = await self._opened(context.namespace, name)
        stamp, catalog = await self._catalog(opened, fresh=fresh)
        access = await self._access_of(context, name, catalog)
        return View(opened.database, stamp, catalog, access, opened.place)

    async def inspect(self, namespace: str, name: str, writes: Sequence[str] = ()) -> Inspection:
        """What a datasource is now, and what its login may do too much.

        Raises:
            NotFound: DATASOURCE_NOT_FOUND.
            StepwellError: as `Database.inspect`.
        """
        return await (await self._opened(namespace, name)).database.inspect(writes)

    async def catalog(self, namespace: str, name: str) -> Catalog:
        """All that there is in a datasource, whoever may see it.

        Raises:
            NotFound: DATASOURCE_NOT_FOUND.
            ToolFailed: QUERY_FAILED, it cannot be read.
        """
        _, catalog = await self._catalog(await self._opened(namespace, name), fresh=True)
        return catalog

    async def check(
        self, context: CallContext, name: str, sql: str, parameters: Parameters | None = None
    ) -> tuple[View, Checked]:
        """The statement as it may run, and against what it was checked.

        Raises:
            NotFound: DATASOURCE_NOT_FOUND.
            ToolFailed: QUERY_REFUSED, or the datasource cannot be read.
        """
        view = await self.view(context, name, fresh=False)
        try:
            return view, await _checked(sql, view, parameters)
        except Refused as error:
            now = await self.view(context, name)
            if now.stamp == view.stamp:
                raise told(error) from error
        try:
            return now, await _checked(sql, now, parameters)
        except Refused as error:
            raise told(error) from error

    async def read(
        self,
        context: CallContext,
        name: str,
        sql: str,
        *,
        limits: Limits,
        parameters: Parameters | None = None,
        begin: Begin | None = None,
        is_answer: bool = True,
    ) -> tuple[Checked, Rows]:
        """Checks the statement and runs it, on the schema that it was checked against.

        The row caps of the data rules hold for what is answered; with `is_answer` false only
        `limits` do: nobody is shown the rows.

        Raises:
            NotFound: DATASOURCE_NOT_FOUND.
            ToolFailed: QUERY_REFUSED, QUERY_FAILED or TOOL_TIMEOUT.
            NotBegun: `begin` answered False.
        """
        once = _Once(begin) if begin is not None else None
        for _ in range(MOST_MOVES):
            view, checked = await self.check(context, name, sql, parameters)
            try:
                cap = view.access.rows_of(checked.tables) if is_answer else limits.rows
                async with self._shares.of((context.namespace, context.principal)):
                    rows = await view.database.read(
                        checked,
                        view.access,
                        replace(limits, rows=min(limits.rows, cap)),
                        stamp=view.stamp,
                        begin=once,
                    )
            except SchemaMoved:
                await self.view(context, name)
            else:
                return checked, replace(rows, sight=view.sight)
        raise failed("the schema of the datasource keeps changing", retryable=True)

    async def _opened(self, namespace: str, name: str) -> _Open:
        key = namespace, name
        try:
            url = await self._lookup(namespace, name)
        except NotFound:
            await _close(self._open.pop(key, None))
            raise
        opened = self._open.get(key)
        kept = opened if opened is not None and opened.url == url else None
        now = kept or _Open(url, self._opener(url))
        self._open.pop(key, None)  # to its place: the last is what was used last
        self._open[key] = now
        oldest = next(iter(self._open)) if len(self._open) > MOST_OPEN else None
        too_many = None if oldest is None else self._open.pop(oldest)
        # Nothing has waited since it was looked up: nobody else has opened it meanwhile.
        await _close(None if kept is opened else opened)
        await _close(too_many)
        return now

    async def _catalog(self, opened: _Open, *, fresh: bool) -> tuple[str, Catalog]:
        known = opened.known
        if known is not None and (not fresh or known[0] == await opened.database.stamp()):
            return known
        async with opened.reading:
            if opened.known is known:  # nobody else has read it meanwhile
                opened.known = await opened.database.catalog()
            assert opened.known is not None
            return opened.known


async def _close(opened: _Open | None) -> None:
    if opened is not None:
        await opened.database.close()


class _Once:
    """Begins a call once, however often it is tried."""

    def __init__(self, begin: Begin) -> None:
        self._begin = begin
        self._begun = False

    async def __call__(self) -> bool:
        self._begun = self._begun or await self._begin()
        return self._begun


async def _checked(sql: str, view: View, parameters: Parameters | None) -> Checked:
    # Off the loop: a long statement takes its time to be parsed.
    return await asyncio.to_thread(check_read, sql, view.catalog, view.access, params=parameters)


def told(error: Refused) -> Exception:
    """A refusal of the guard as a tool tells it."""
    return refused(error.rule, error.message, error.hint)
