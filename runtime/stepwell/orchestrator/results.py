"""What calls have answered, found again by their idempotency keys: each as its run's log keeps it."""

from stepwell.engine.events import ToolCall
from stepwell.engine.values import Data
from stepwell.errors import NotFound
from stepwell.orchestrator.journal import Journal
from stepwell.orchestrator.refusals import refusals
from stepwell_storage.ports import Storage


class StoredResults:
    """Reads logs, and writes nothing. It fits `stepwell.nldb.results.Results`."""

    def __init__(self, storage: Storage, journal: Journal) -> None:
        self._storage = storage
        self._journal = journal

    async def find(
        self, namespace: str, principal: str, key: str, tools: frozenset[str]
    ) -> Data | None:
        """What the call of one of these tools with this key has answered: the run's id, a slash and more.

        None where there is none, or its run is another principal's.

        Raises:
            KeyDestroyed: it was erased.
            Unavailable: the store cannot be read.
        """
        run, _, rest = key.partition("/")
        try:
            with refusals():
                row = await self._storage.runs.get(namespace, run)
                if row.principal != principal:
                    return None
                return await self._answer(namespace, run, rest, tools)
        except NotFound:
            return None

    async def _answer(
        self, namespace: str, run: str, key: str, tools: frozenset[str]
    ) -> Data | None:
        found: ToolCall | None = None
        async for page in self._journal.read(namespace, run):
            for event in page:
                if (
                    isinstance(event, ToolCall)
                    and event.key == key
                    and event.tool in tools
                    and event.failure is None
                ):
                    found = event
        if found is None:
            return None
        return await self._journal.resolve(namespace, run, found.result)
