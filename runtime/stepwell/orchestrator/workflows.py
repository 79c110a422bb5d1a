"""Workflow versions: stored as source, compiled once, kept for the runs that use them."""

from collections import OrderedDict
from collections.abc import Awaitable, Callable, Collection, Mapping
from difflib import get_close_matches
from types import MappingProxyType
from typing import TypeVar

from msgspec.structs import replace

from stepwell.clock import Clock
from stepwell.definitions.builtin import CALL
from stepwell.definitions.compile import check_definition, compile_definition
from stepwell.definitions.problems import Problem
from stepwell.engine.graph import Graph
from stepwell.errors import Code, InvalidRequest, NotFound
from stepwell.principals import is_user
from stepwell_storage.errors import Missing
from stepwell_storage.ports import Storage
from stepwell_storage.records import DefinitionRow

_Key = TypeVar("_Key")
_Value = TypeVar("_Value")

NEWEST_FOR = 1_000_000
"""Microseconds for which a bare name keeps its meaning here after another process has put a
newer version; a version put by this process is what the name means at once."""

STEPWELL = "service:stepwell"
"""Who puts the workflows that we bring along."""

KEPT = 256
"""Versions that stay compiled: those used last. A run in progress holds its own besides."""


async def _freely(graph: Graph) -> None:
    """Nobody is asked."""


class Workflows:
    """Finds the graph of a workflow version."""

    def __init__(
        self,
        storage: Storage,
        *,
        tools: Callable[[], Collection[str]],
        clock: Clock,
        own: Mapping[str, bytes] = MappingProxyType({}),
    ) -> None:
        """`tools` gives the names of the tools that a new definition may use.

        `own` are workflows that we bring along, by name: each is put where it is first asked for.
        """
        self._storage = storage
        self._tools = tools
        self._clock = clock
        self._graphs: OrderedDict[tuple[str, str, str], Graph] = OrderedDict()
        self._own = own
        self._brought: set[tuple[str, str]] = set()
        self._newest: OrderedDict[tuple[str, str], tuple[Graph, int]] = OrderedDict()

    def check(self, source: bytes) -> tuple[Problem, ...]:
        """Everything that is wrong with a definition, at once."""
        return check_definition(source, tools=self._tools())

    async def put(
        self,
        namespace: str,
        source: bytes,
        *,
        principal: str,
        now: int,
        permit: Callable[[Graph], Awaitable[None]] = _freely,
    ) -> tuple[DefinitionRow, bool]:
        """Stores a version and makes it the newest; the flag tells whether it is new.

        A user is its author from the first time that one puts it, and his `permit` is asked for.

        Raises:
            InvalidDefinition: with every problem.
            InvalidRequest: INVALID_DEFINITION, it has the name of one of ours.
            Whatever `permit` raises.
        """
        graph = compile_definition(source, tools=self._tools())
        if graph.name in self._own:
            raise InvalidRequest(
                f"{graph.name} is a workflow of Stepwell's own; give yours another name",
                code=Code.INVALID_DEFINITION,
            )
        row = DefinitionRow(graph.name, graph.version, source, principal, now)
        is_permit = is_user(principal) and not await self._has_author(namespace, row)
        if is_permit:
            await permit(graph)
        created = await self._storage.definitions.put(namespace, row, takes_over=is_permit)
        row = await self.get(namespace, row.name, row.version)
        graph = replace(graph, author=_author(row))
        _keep(self._graphs, (namespace, graph.name, graph.version), graph)
        _keep(self._newest, (namespace, graph.name), (graph, now + NEWEST_FOR))
        return row, created

    async def get(self, namespace: str, name: str, version: str | None = None) -> DefinitionRow:
        """One version, the newest by default.

        Raises:
            NotFound: WORKFLOW_NOT_FOUND.
        """
        try:
            return await self._storage.definitions.get(namespace, name, version)
        except Missing:
            raise await self._not_found(namespace, name, version) from None

    async def graph(self, namespace: str, name: str, version: str | None = None) -> Graph:
        """The compiled graph of a version, the newest by default.

        Raises:
            NotFound: WORKFLOW_NOT_FOUND.
        """
        if name == CALL.name:
            return CALL
        if name in self._own and (namespace, name) not in self._brought:
            await self._bring(namespace, name)
        if version is None:
            return await self._newest_graph(namespace, name)
        graph = self._compiled(namespace, name, version)
        return graph or self._compile(namespace, await self.get(namespace, name, version))

    async def _bring(self, namespace: str, name: str) -> None:
        """Puts one of ours, so that its runs find their version later, whatever ours is then."""
        source = self._own[name]
        graph = compile_definition(source, tools=None)
        row = DefinitionRow(name, graph.version, source, STEPWELL, self._clock.now())
        await self._storage.definitions.put(namespace, row)
        self._brought.add((namespace, name))

    async def _has_author(self, namespace: str, row: DefinitionRow) -> bool:
        """Whether a user has put this version before."""
        try:
            known = await self._storage.definitions.get(namespace, row.name, row.version)
        except Missing:
            return False
        return is_user(known.principal)

    async def _not_found(self, namespace: str, name: str, version: str | None) -> NotFound:
        """Tells the nearest name, or that there is another version."""
        names = [row.name for row in await self._storage.definitions.list(namespace)]
        wanted, near = repr(name), get_close_matches(name, names, n=1)
        if version and name in names:
            wanted, near = f"version {version} of the workflow {name!r}", []
        hint = f"did you mean {near[0]!r}? " if near else ""
        return NotFound(
            f"there is no workflow {wanted} in the namespace {namespace!r}; "
            f"{hint}`stepwell workflows list` shows those that there are",
            code=Code.WORKFLOW_NOT_FOUND,
        )

    async def _newest_graph(self, namespace: str, name: str) -> Graph:
        now = self._clock.now()
        known, good_until = self._newest.get((namespace, name), (None, 0))
        if known is not None and now < good_until:
            return known
        if known is not None:
            # One asks the store, whoever comes meanwhile goes by what was true a moment ago.
            _keep(self._newest, (namespace, name), (known, now + NEWEST_FOR))
        row = await self.get(namespace, name)
        graph = self._compiled(namespace, name, row.version)
        if graph is None or graph.author != _author(row):
            graph = self._compile(namespace, row)
        _keep(self._newest, (namespace, name), (graph, now + NEWEST_FOR))
        return graph

    def _compiled(self, namespace: str, name: str, version: str) -> Graph | None:
        key = namespace, name, version
        if key in self._graphs:
            self._graphs.move_to_end(key)
        return self._graphs.get(key)

    def _compile(self, namespace: str, row: DefinitionRow) -> Graph:
        # Tools may have gone since the version was put: that is told when they are called.
        graph = replace(compile_definition(row.source, tools=None), author=_author(row))
        _keep(self._graphs, (namespace, row.name, row.version), graph)
        return graph


def _author(row: DefinitionRow) -> str:
    return row.principal if is_user(row.principal) else ""


def _keep(kept: OrderedDict[_Key, _Value], key: _Key, value: _Value) -> None:
    """Remembers what was used last, and forgets what was not used for longest."""
    kept[key] = value
    kept.move_to_end(key)
    if len(kept) > KEPT:
        kept.popitem(last=False)
