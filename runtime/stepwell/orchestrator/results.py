"""The results of calls that have been made: what a tool answered, found again by its call."""

from stepwell.engine.events import ToolCall
from stepwell.engine.values import Data
from stepwell.errors import Code, NotFound
from stepwell.orchestrator.journal import Journal
from stepwell_storage.errors import Missing
from stepwell_storage.ports import Storage


class StoredResults:
    """What calls have answered, for those who have begun their runs."""

    def __init__(self, storage: Storage, journal: Journal) -> None:
        self._storage = storage
        self._journal = journal

    async def of(self, namespace: str, principal: str, result: str) -> Data:
        """The answer of the call with this idempotency key: the run's id, a slash and the call.

        Raises:
            NotFound: RESOURCE_NOT_FOUND, there is none, or it is another principal's.
            KeyDestroyed: it was erased.
        """
        run, _, call = result.partition("/")
        try:
            row = await self._storage.runs.get(namespace, run)
        except (Missing, ValueError):
            raise _missing(result) from None
        if row.principal != principal:
            raise _missing(result)
        found: Data | None = None
        async for page in self._journal.read(namespace, run):
            for event in page:
                if isinstance(event, ToolCall) and event.key == call and event.failure is None:
                    found = event.result
        if found is None:
            raise _missing(result)
        return await self._journal.resolve(namespace, run, found)


def _missing(result: str) -> NotFound:
    return NotFound(
        f"there is no result {result!r:.80} of yours; ask db_query again",
        code=Code.RESOURCE_NOT_FOUND,
    )
