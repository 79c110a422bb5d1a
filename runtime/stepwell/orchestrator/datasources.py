"""Datasources: the databases that the SQL tools may reach. People name them, and say what is meant."""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Protocol

from stepwell.clock import Clock
from stepwell.config import redact_url
from stepwell.definitions.problems import InvalidDefinition, Problem
from stepwell.errors import AlreadyExists, Code
from stepwell.nldb.inspection import Inspection
from stepwell.orchestrator.audit import Audit
from stepwell.orchestrator.authority import demand_user
from stepwell.orchestrator.refusals import refusals
from stepwell.orchestrator.texts import check_texts
from stepwell.orchestrator.views import Datasource, datasource_of
from stepwell.principals import Caller
from stepwell_storage.errors import Exists
from stepwell_storage.ports import Storage
from stepwell_storage.records import DatasourceRow


class DatasourceReader(Protocol):
    """Looks into the databases themselves."""

    async def check(self, url: str, accept_risks: bool) -> None:
        """Opens a database, read-only, to see that it is there.

        Raises:
            InvalidRequest: no datasource may have this URL; its login may do too much, and that is
                not accepted.
        """
        ...

    async def inspect(self, namespace: str, name: str, writes: Sequence[str]) -> Inspection:
        """What a datasource is now, and what its login may do too much.

        Raises:
            InvalidRequest: a table of `writes` is not there.
            StepwellError: it cannot be reached.
        """
        ...

    async def lesson(self, caller: Caller, name: str, source: bytes) -> bytes:
        """What a datasource is taught, as it is kept.

        Raises:
            InvalidDefinition: with every problem.
            StepwellError: it cannot be read.
        """
        ...


class Datasources:
    """What a caller may ask about them. Every method takes the caller first."""

    def __init__(
        self, storage: Storage, *, reader: DatasourceReader, clock: Clock, audit: Audit
    ) -> None:
        self._storage = storage
        self._reader = reader
        self._clock = clock
        self._audit = audit

    async def add(
        self, caller: Caller, name: str, url: str, *, accept_risks: bool = False
    ) -> Datasource:
        """Names a database; it is opened once, read-only, to see that it is there.

        With `accept_risks` its login may do more than it should.

        Raises:
            Denied: POLICY_DENIED, the caller is not a user.
            AlreadyExists: the name is taken.
            InvalidRequest: the URL is not one that we can read, or its login may do too much.
        """
        _demand_user(caller, "added", "add")
        check_texts(name=name, url=url)
        await self._reader.check(url, accept_risks)
        row = DatasourceRow(name, url, caller.principal, self._clock.now())
        try:
            with refusals():
                await self._storage.datasources.add(caller.namespace, row)
        except Exists:
            raise AlreadyExists(
                f"there is a datasource {name!r} already; remove it first, or take another name"
            ) from None
        accepted = {"accept_risks": "true"} if accept_risks else {}
        await self._record(caller, "add", name, {"url": redact_url(url), **accepted})
        return datasource_of(row)

    async def list(self, caller: Caller) -> tuple[Datasource, ...]:
        """All of them, by name."""
        with refusals():
            rows = await self._storage.datasources.list(caller.namespace)
        return tuple(datasource_of(row) for row in rows)

    async def inspect(
        self, caller: Caller, name: str, *, writes: Sequence[str] = ()
    ) -> tuple[Datasource, Inspection]:
        """A datasource as it is now, and what its login may do too much.

        The SQL that makes a better login lets it change rows of `writes`.

        Raises:
            InvalidRequest: a table of `writes` is not there.
            Denied: POLICY_DENIED, the caller is not a user.
            NotFound: DATASOURCE_NOT_FOUND.
            StepwellError: it cannot be reached.
        """
        _demand_user(caller, "looked into", "show")
        check_texts(name=name)
        for table in writes:
            check_texts(writes=table)
        with _found(name):
            row = await self._storage.datasources.get(caller.namespace, name)
        return datasource_of(row), await self._reader.inspect(caller.namespace, name, writes)

    async def teach(self, caller: Caller, name: str, source: bytes) -> tuple[Problem, ...]:
        """Keeps a glossary, metrics and verified queries, in the place of those before.

        Everything that is wrong with them is answered; nothing is kept then.

        Raises:
            Denied: POLICY_DENIED, the caller is not a user.
            NotFound: DATASOURCE_NOT_FOUND.
            ToolFailed: QUERY_FAILED, the database cannot be read.
        """
        _demand_user(caller, "taught", "teach")
        check_texts(name=name)
        try:
            taught = await self._reader.lesson(caller, name, source)
        except InvalidDefinition as error:
            return error.problems
        with _found(name):
            await self._storage.datasources.teach(caller.namespace, name, taught)
        await self._record(caller, "teach", name)
        return ()

    async def remove(self, caller: Caller, name: str) -> None:
        """Forgets a datasource.

        Raises:
            Denied: POLICY_DENIED, the caller is not a user.
            NotFound: DATASOURCE_NOT_FOUND.
        """
        _demand_user(caller, "removed", "remove")
        check_texts(name=name)
        with _found(name):
            await self._storage.datasources.remove(caller.namespace, name)
        await self._record(caller, "remove", name)

    async def _record(
        self, caller: Caller, deed: str, name: str, detail: Mapping[str, str] = {}
    ) -> None:
        await self._audit.record(
            caller.namespace, caller.principal, f"datasource.{deed}", f"datasource/{name}", detail
        )


def _demand_user(caller: Caller, deed: str, command: str) -> None:
    """An agent that names its own databases would decide itself what it may read."""
    demand_user(caller, f"datasources are {deed}", f"stepwell datasource {command}")


def _found(name: str) -> AbstractContextManager[None]:
    missing = f"there is no datasource {name!r}; `stepwell datasource list` shows all"
    return refusals(missing, Code.DATASOURCE_NOT_FOUND)
