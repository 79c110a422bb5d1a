"""Workflow versions: stored as source, compiled once, kept for the runs that use them."""

from collections.abc import Callable, Collection

from stepwell.definitions.builtin import CALL
from stepwell.definitions.compile import check_definition, compile_definition
from stepwell.definitions.problems import Problem
from stepwell.engine.graph import Graph
from stepwell.errors import Code, InvalidRequest, NotFound
from stepwell_storage.errors import Missing
from stepwell_storage.ports import DefinitionRow, Storage


class Workflows:
    """Finds the graph of a workflow version."""

    def __init__(self, storage: Storage, *, tools: Callable[[], Collection[str]]) -> None:
        """`tools` gives the names of the tools that a new definition may use."""
        self._storage = storage
        self._tools = tools
        self._graphs: dict[tuple[str, str, str], Graph] = {}

    def check(self, source: bytes) -> tuple[Problem, ...]:
        """Everything that is wrong with a definition, at once."""
        return check_definition(source, tools=self._tools())

    async def put(
        self, namespace: str, source: bytes, *, principal: str, now: int
    ) -> tuple[DefinitionRow, bool]:
        """Stores a version and makes it the newest; the flag tells whether it is new.

        Raises:
            InvalidDefinition: with every problem.
        """
        graph = compile_definition(source, tools=self._tools())
        if graph.name == CALL.name:
            raise InvalidRequest(
                f"the name {CALL.name!r} belongs to the built-in workflow; choose another",
                code=Code.INVALID_DEFINITION,
            )
        row = DefinitionRow(graph.name, graph.version, source, principal, now)
        created = await self._storage.definitions.put(namespace, row)
        self._graphs[namespace, graph.name, graph.version] = graph
        return row, created

    async def get(self, namespace: str, name: str, version: str | None = None) -> DefinitionRow:
        """One version, the newest by default.

        Raises:
            NotFound: WORKFLOW_NOT_FOUND.
        """
        try:
            return await self._storage.definitions.get(namespace, name, version)
        except Missing:
            wanted = f"version {version} of the workflow {name!r}" if version else f"{name!r}"
            raise NotFound(
                f"there is no workflow {wanted} in the namespace {namespace!r}; "
                "`stepwell workflows list` shows those that there are",
                code=Code.WORKFLOW_NOT_FOUND,
            ) from None

    async def graph(self, namespace: str, name: str, version: str | None = None) -> Graph:
        """The compiled graph of a version, the newest by default.

        Raises:
            NotFound: WORKFLOW_NOT_FOUND.
        """
        if name == CALL.name:
            return CALL
        graph = self._graphs.get((namespace, name, version or ""))
        if graph is not None:
            return graph
        row = await self.get(namespace, name, version)
        key = namespace, name, row.version
        if key not in self._graphs:
            # Tools may have gone since the version was put: that is told when they are called.
            self._graphs[key] = compile_definition(row.source, tools=None)
        return self._graphs[key]
