"""What principals prove with that it is they."""

from msgspec.structs import replace

from stepwell_storage.errors import Exists, Missing
from stepwell_storage.memory.database import Database
from stepwell_storage.records import Attempts, FactorRow


class MemoryFactors:
    """The factors."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, namespace: str, row: FactorRow, *, is_first: bool = False) -> None:
        kept = self._database[namespace].factors
        if row.id in kept:
            raise Exists(f"There is a factor {row.id!r} already.")
        if is_first and await self.list(namespace, row.principal):
            raise Exists(f"{row.principal} has a factor already.")
        kept[row.id] = row

    async def list(self, namespace: str, principal: str | None = None) -> list[FactorRow]:
        rows = self._database[namespace].factors.values()
        found = (row for row in rows if principal in (None, row.principal))
        return sorted(found, key=lambda row: (row.created_at, row.id))

    async def remove(self, namespace: str, principal: str, id: str) -> None:
        kept = self._database[namespace].factors
        row = kept.get(id)
        if row is None or row.principal != principal:
            raise Missing(f"{principal} has no factor {id!r}.")
        del kept[id]

    async def advance(self, namespace: str, id: str, *, counter: int, now: int) -> bool:
        kept = self._database[namespace].factors
        row = kept.get(id)
        if row is None or not (row.counter < counter or row.counter == counter == 0):
            return False
        kept[id] = replace(row, counter=counter, used_at=now)
        return True

    async def spend(self, namespace: str, token: str, *, until: int, now: int) -> bool:
        spent = self._database[namespace].spent
        for old in [old for old, end in spent.items() if end < now]:
            del spent[old]
        if token in spent:
            return False
        spent[token] = until
        return True

    async def attempts(self, namespace: str, principal: str) -> Attempts:
        return self._database[namespace].attempts.get(principal, Attempts())

    async def attempt(self, namespace: str, principal: str, *, after: Attempts, now: int) -> bool:
        if await self.attempts(namespace, principal) != after:
            return False
        self._database[namespace].attempts[principal] = Attempts(after.failed + 1, now)
        return True

    async def clear_attempts(self, namespace: str, principal: str) -> None:
        self._database[namespace].attempts.pop(principal, None)
