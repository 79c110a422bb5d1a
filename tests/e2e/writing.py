"""One of several processes that write into the same log, as fast as they may.

    python -m tests.e2e.writing URL WRITER EVENTS

Each writer has runs of its own, of fifty events each, ten to an append. Every hundredth append is
sent a second time with an epoch that is over, in the same group as its neighbours: it has to be
refused, and they have not. What meets a database that cannot be used just now is sent again.
"""

import asyncio
import sys
from uuid import UUID

from stepwell_storage.errors import Fenced, Unavailable
from stepwell_storage.open import open_storage
from stepwell_storage.ports import Storage
from stepwell_storage.records import Append, Head, NewRun, Record

NAMESPACE = "default"
OF_RUN = 50
OF_APPEND = 10
AT_ONCE = 200


def appends_of(writer: int, number: int) -> list[Append]:
    """The appends of one run."""
    run = str(UUID(int=(writer << 64) | number))
    new = NewRun("load", "v1", "user:ann", number, f"writer-{writer}", 2**60)
    made = []
    for after in range(0, OF_RUN, OF_APPEND):
        records = tuple(
            Record(sequence, "custom", "user:ann", b'{"at":1,"type":"load"}')
            for sequence in range(after + 1, after + OF_APPEND + 1)
        )
        head = Head("running", number) if after == 0 else None
        made.append(
            Append(NAMESPACE, run, 1, after, records, head=head, new=None if after else new)
        )
    return made


async def write(storage: Storage, append: Append) -> None:
    """Sends an append until the store has taken it."""
    while True:
        try:
            await storage.log.append(append)
        except Unavailable:
            await asyncio.sleep(0.05)
        else:
            return


async def be_refused(storage: Storage, append: Append) -> None:
    """Sends an append of somebody who has lost the run."""
    late = Record(append.last + 1, "custom", "user:ann", b'{"at":1,"type":"stale"}')
    stale = Append(NAMESPACE, append.run, 7, append.last, (late,))
    while True:
        try:
            await storage.log.append(stale)
        except Fenced:
            return
        except Unavailable:
            await asyncio.sleep(0.05)
        else:
            raise AssertionError("a stale append was taken")


async def write_run(storage: Storage, writer: int, number: int) -> None:
    """Writes one run, from its first event to its last."""
    for append in appends_of(writer, number):
        if number % 20 == 0 and append.after:
            async with asyncio.TaskGroup() as both:
                both.create_task(be_refused(storage, appends_of(writer, number)[0]))
                both.create_task(write(storage, append))
        else:
            await write(storage, append)


async def main(url: str, writer: int, events: int) -> None:
    """Writes all runs, some of them at a time."""
    storage = open_storage(url)
    await storage.open()
    places = asyncio.Semaphore(AT_ONCE)

    async def one(number: int) -> None:
        async with places:
            await write_run(storage, writer, number)

    async with asyncio.TaskGroup() as runs:
        for number in range(events // OF_RUN):
            runs.create_task(one(number))
    await storage.close()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))
