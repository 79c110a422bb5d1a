"""Letters to runs, from whoever does not own them."""

from collections.abc import Sequence

from stepwell_storage.memory.database import Database, KeptNamespace
from stepwell_storage.records import Letter


def deliver(database: Database, namespace: str, letter: Letter) -> bool:
    """Leaves a letter for a run, if that has not ended; one that rests may be claimed for it."""
    kept = database[namespace].runs.get(letter.run)
    if kept is None or kept.expires_at is None:
        return False
    letters = database[namespace].letters
    if letter.id not in letters:
        letters[letter.id] = letter
        if kept.owner is None:
            kept.expires_at = min(kept.expires_at, letter.at)
    database.bell.ring()
    return True


def drop(namespace: KeptNamespace, run: str, id: str) -> None:
    """Removes a letter to a run, if there is one with this id."""
    letter = namespace.letters.get(id)
    if letter is not None and letter.run == run:
        del namespace.letters[id]


def drop_all(namespace: KeptNamespace, run: str) -> None:
    """Removes all letters to a run."""
    for letter in [it for it in namespace.letters.values() if it.run == run]:
        del namespace.letters[letter.id]


def has_letters(namespace: KeptNamespace, run: str) -> bool:
    """Whether there is a letter to a run."""
    return any(letter.run == run for letter in namespace.letters.values())


class MemoryInbox:
    """The letters."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def send(self, namespace: str, letter: Letter) -> bool:
        return deliver(self._database, namespace, letter)

    async def fetch(self, owner: str, *, limit: int) -> list[tuple[str, Letter]]:
        found = [
            (name, letter)
            for name, namespace in self._database.items()
            for letter in namespace.letters.values()
            if namespace.runs[letter.run].owner == owner
        ]
        found.sort(key=lambda it: (it[1].at, it[0], it[1].id))
        return found[:limit]

    async def drop(self, namespace: str, run: str, ids: Sequence[str]) -> None:
        for id in ids:
            drop(self._database[namespace], run, id)

    async def is_waiting(self, namespace: str, run: str, id: str) -> bool:
        letter = self._database[namespace].letters.get(id)
        return letter is not None and letter.run == run

    async def wait(self, *, timeout: float) -> bool:
        return await self._database.bell.wait(timeout=timeout)
