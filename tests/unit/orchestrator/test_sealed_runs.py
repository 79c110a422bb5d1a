"""Runs of a person: nothing that they hold lies readable in the store, whoever goes on with them."""

import msgspec
from tests.unit.orchestrator.rig import NAMESPACE, Rig, on_virtual_time, until, until_async

from stepwell.clock import Uuid7Source
from stepwell.engine.events import RunFailed
from stepwell.engine.graph import Graph
from stepwell.engine.inputs import Fork, RetryStep
from stepwell.engine.state import RunState
from stepwell.engine.values import Failure
from stepwell.orchestrator.journal import Journal
from stepwell.orchestrator.spans import NoSpans
from stepwell.vault.ring import KeyRing
from stepwell.vault.vault import Vault

CARD = "4111-1111-1111-1111"
PERSON = {"subject": "eve"}
TWO = """
workflow: two
nodes: [{ id: a, tool: look }, { id: b, tool: look, needs: [a] }]
"""
PARENT = """
workflow: parent
nodes: [{ id: sub, workflow: two, with: {} }]
"""


class Ends(NoSpans):
    """Remembers which runs have ended, and how."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, str, str]] = []

    def run_ended(self, namespace: str, state: RunState) -> None:
        self.seen.append((namespace, state.run, state.phase))


class Sealing(Rig):
    """A rig that encrypts; the label `subject` says whose a run is."""

    def __init__(self) -> None:
        super().__init__()
        self.vault = Vault(
            self.storage.keys,
            KeyRing({"k1": bytes(32)}, active="k1"),
            subject_label="subject",
            clock=self.clock,
            ids=Uuid7Source(self.clock),
        )
        self.journal = Journal(self.storage, inline_limit=16 * 1024, vault=self.vault)
        self.spans = self.ends = Ends()

    async def two(self) -> Graph:
        """A workflow of two calls."""
        return await self.put(TWO)

    async def returns_card(self) -> None:
        """The next call comes back with what is secret."""
        (await self.effects.next()).returns(CARD)

    async def is_readable(self, *runs: str) -> bool:
        """Whether the card lies in what the store has of these runs."""
        kept = [self.storage.log._database[NAMESPACE].runs[run] for run in runs]
        records = [await self.storage.log.read(NAMESPACE, run) for run in runs]
        blobs = [blob.data for run in kept for blob in run.blobs.values()]
        bodies = [record.body for found in records for record in found]
        rows = [msgspec.json.encode(await self.storage.runs.get(NAMESPACE, run)) for run in runs]
        assert blobs
        return any(CARD.encode() in it for it in (*blobs, *bodies, *rows))


@on_virtual_time
async def test_what_a_run_learns_is_sealed_before_and_after_it_is_taken_over() -> None:
    rig = Sealing()
    async with rig.working() as worker:
        run = await rig.start(worker, await rig.two(), {"card": CARD}, labels=PERSON)
        await rig.returns_card()
        await until(lambda: len(rig.effects.calls) == 2)
    async with rig.working("two"):
        await rig.returns_card()
        await until_async(lambda: rig.status(run), "completed")
    assert not await rig.is_readable(run)
    assert CARD in str((await rig.log(run))[-1])


@on_virtual_time
async def test_what_a_run_learns_is_sealed_when_it_is_tried_again() -> None:
    rig = Sealing()
    async with rig.working() as worker:
        run = await rig.start(worker, await rig.two(), labels=PERSON)
        (await rig.effects.next()).fails(Failure("TOOL_ERROR", "no"))
        await until_async(lambda: rig.status(run), "failed")
        state = await worker.fold(NAMESPACE, run)
        again = RetryStep(at=rig.clock.now(), principal="user:ann", step="a")
        await worker.reopen(NAMESPACE, state, again)
        await rig.returns_card()
        await rig.returns_card()
        await until_async(lambda: rig.status(run), "completed")
        assert not await rig.is_readable(run)


@on_virtual_time
async def test_what_a_fork_and_a_child_learn_is_sealed_as_what_they_come_from() -> None:
    rig = Sealing()
    graph = await rig.two()
    async with rig.working() as worker:
        run = await rig.start(worker, graph, labels=PERSON)
        await rig.returns_card()
        await rig.returns_card()
        await until_async(lambda: rig.status(run), "completed")
        fork = rig.new_id()
        state = await worker.fold_as(NAMESPACE, fork, of=run, until=1)
        given = Fork(at=rig.clock.now(), run=run, sequence=1, step="a", labels=PERSON)
        await worker.fork(NAMESPACE, state, given)
        await rig.returns_card()
        await rig.returns_card()
        await until_async(lambda: rig.status(fork), "completed")

        parent = await rig.start(worker, await rig.put(PARENT), labels=PERSON)
        await rig.returns_card()
        await rig.returns_card()
        await until_async(lambda: rig.status(parent), "completed")
        [child] = [
            it for it in rig.storage.log._database[NAMESPACE].runs if it not in (run, fork, parent)
        ]
        assert (await rig.storage.runs.get(NAMESPACE, child)).labels == PERSON
        assert not await rig.is_readable(run, fork, parent, child)


@on_virtual_time
async def test_a_run_that_was_erased_ends_where_it_is_taken_over_and_that_is_told_once() -> None:
    rig = Sealing()
    async with rig.working() as worker:
        run = await rig.start(worker, await rig.two(), {"card": CARD}, labels=PERSON)
        await rig.effects.next()
    await rig.vault.destroy(NAMESPACE, "subject:eve")
    async with rig.working("two") as worker:
        assert worker.open_runs == 0
        assert await rig.status(run) == "failed"
        assert rig.ends.seen == [(NAMESPACE, run, "failed")]
    [*_, last] = [event async for page in rig.journal.read(NAMESPACE, run) for event in page]
    assert isinstance(last, RunFailed)
    assert last.failure.reason == "KEY_DESTROYED"
    assert len(rig.effects.calls) == 1
