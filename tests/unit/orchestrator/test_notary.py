"""What the notary vouches for, and what a check finds that is not so any more."""

import asyncio
from collections.abc import Callable
from datetime import timedelta

import pytest
from msgspec.structs import replace
from tests.contract.appends import OTHER, RUN, THIRD, begin, end, go_on

from stepwell.clock import SystemClock
from stepwell.orchestrator import notary
from stepwell.orchestrator.audit import Audit, farewell
from stepwell.orchestrator.notary import Notary
from stepwell.orchestrator.verification import Checked, Finding, Known, verify
from stepwell_storage.chain import link
from stepwell_storage.memory import MemoryStorage
from stepwell_storage.memory.database import KeptNamespace
from stepwell_storage.records import Deed, Logged

pytestmark = pytest.mark.anyio


class Home:
    """A store with two runs that are vouched for, and what was set before."""

    def __init__(self) -> None:
        self.storage = MemoryStorage()
        self.notary = Notary(self.storage, clock=SystemClock(), every=timedelta(seconds=1))

    async def open(self) -> "Home":
        await self.storage.open()
        await self.storage.log.append(begin(RUN, count=3))
        await self.storage.log.append(begin(OTHER, count=2))
        await Audit(self.storage, SystemClock()).record("default", "user:ann", "a.b", "a/1")
        await self.notary.catch_up()
        await self.storage.log.append(go_on(RUN, after=3))
        await self.notary.catch_up()
        return self

    @property
    def kept(self) -> KeptNamespace:
        return self.storage.audit._database["default"]

    async def check(self, *known: Known) -> tuple[list[Finding], Checked]:
        found: list[Finding] = []
        async for step in verify(self.storage, "default", known):
            found += step.findings
            last = step
        return found, last

    async def findings(self, *known: Known) -> list[str]:
        found, last = await self.check(*known)
        assert last.is_done
        return [f"{it.what}: {it.where}" for it in found]

    async def head(self) -> str:
        return (await self.storage.audit.head("default")).hash


async def test_what_is_untouched_has_no_findings() -> None:
    home = await Home().open()

    assert (await home.storage.audit.head("default")).noted == 6
    _, last = await home.check(Known(await home.head()), Known(await home.head(), 3))
    assert last == Checked(
        entries=3, events=6, unnoted=0, is_done=True, sequence=3, hash=await home.head()
    )


async def test_events_that_are_not_vouched_for_yet_are_counted() -> None:
    home = await Home().open()
    await home.storage.log.append(begin(THIRD, count=4))

    found, last = await home.check()
    assert (found, last.unnoted) == ([], 4)


async def test_a_long_log_is_vouched_for_in_stretches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notary, "PAGE", 2)
    monkeypatch.setattr(notary, "MOST_ROWS", 4)
    home = Home()
    await home.storage.open()
    await home.storage.log.append(begin(RUN, count=7))
    await home.storage.log.append(begin(OTHER, count=3))
    await home.notary.catch_up()

    assert len(await home.storage.audit.read("default")) == 3
    found, last = await home.check()
    assert (found, last.events) == ([], 10)


async def test_two_notaries_vouch_once() -> None:
    home = Home()
    await home.storage.open()
    await home.storage.log.append(begin(RUN, count=7))
    other = Notary(home.storage, clock=SystemClock(), every=timedelta(seconds=1))
    await asyncio.gather(home.notary.catch_up(), other.catch_up())

    assert len(await home.storage.audit.read("default")) == 1
    assert await home.findings() == []


def _with(logged: Logged, **changes: object) -> Logged:
    return replace(logged, record=replace(logged.record, **changes))


def edit_a_body(kept: KeptNamespace) -> None:
    [event, *_] = [it for it in kept.log if it is not None]
    kept.log[0] = _with(event, body=b'{"n": 7}')


def edit_a_principal(kept: KeptNamespace) -> None:
    assert kept.log[1] is not None
    kept.log[1] = _with(kept.log[1], principal="user:ann")


def edit_a_kind(kept: KeptNamespace) -> None:
    assert kept.log[1] is not None
    kept.log[1] = _with(kept.log[1], kind="customer")


def swap_two_events(kept: KeptNamespace) -> None:
    first, second = kept.log[0], kept.log[1]
    assert first is not None
    assert second is not None
    kept.log[0] = replace(first, record=second.record)
    kept.log[1] = replace(second, record=first.record)


def delete_an_event(kept: KeptNamespace) -> None:
    kept.log[2] = None


@pytest.mark.parametrize(
    "meddle", [edit_a_body, edit_a_principal, edit_a_kind, swap_two_events, delete_an_event]
)
async def test_whatever_is_done_to_an_event_is_found(
    meddle: Callable[[KeptNamespace], None],
) -> None:
    home = await Home().open()
    meddle(home.kept)
    assert await home.findings() == [
        f"events of the log were changed, removed or moved: run {RUN}, events 1 to 3 (entry 2)"
    ]


async def test_a_run_that_is_gone_is_found_and_one_that_retention_deleted_is_not() -> None:
    home = await Home().open()
    await home.storage.log.append(end(OTHER, after=2))
    await home.notary.catch_up()
    await home.storage.retention.keep("default", 10)
    assert await home.storage.retention.purge(now=500, limit=9, farewell=farewell(500)) == 1
    found, last = await home.check()
    assert (found, last.deleted_runs) == ([], 1)

    for logged in home.kept.runs.pop(RUN).records:
        home.kept.log[logged.position - 1] = None
    assert await home.findings() == [
        f"events of the log are missing: run {RUN}, events 1 to 3 (entry 2)",
        f"events of the log are missing: run {RUN}, events 4 to 4 (entry 3)",
    ]


async def test_events_that_were_put_in_are_found() -> None:
    home = await Home().open()
    assert home.kept.log[0] is not None
    home.kept.log[0] = replace(home.kept.log[0], run=THIRD)
    assert (await home.findings())[0] == (
        f"events were added to the log: run {THIRD}, events 1 to 1 (entry 2)"
    )


async def test_a_log_that_was_cut_is_found() -> None:
    home = await Home().open()
    home.kept.log.pop()
    assert await home.findings() == [
        "the log ends before what the chain vouches for: position 5",
        f"events of the log are missing: run {RUN}, events 4 to 4 (entry 3)",
    ]


async def test_an_entry_that_was_changed_is_found() -> None:
    home = await Home().open()
    home.kept.audit[0] = replace(home.kept.audit[0], principal="user:bob")
    assert await home.findings() == ["the entry was changed: entry 1"]


async def test_an_entry_that_was_taken_out_is_found() -> None:
    home = await Home().open()
    del home.kept.audit[0]
    assert await home.findings() == ["entries of the audit log are missing: entries 1 to 1"]


async def test_a_chain_that_was_written_anew_holds_but_lacks_the_hash_that_was_kept() -> None:
    home = await Home().open()
    kept_head = await home.head()
    kept, previous = home.kept.audit, ""
    for place, entry in enumerate(kept):
        deed = Deed(entry.at, "user:bob", entry.action, entry.resource, entry.detail)
        new = link("default", deed, after=place, previous=previous or entry.previous)
        kept[place], previous = new, new.hash

    assert await home.findings() == []
    assert await home.findings(Known(kept_head)) == [
        f"no entry of the audit log has the hash {kept_head}: the whole chain"
    ]
    assert await home.findings(Known(kept_head, 3)) == [
        f"the entry is another than the one with the hash {kept_head}: entry 3"
    ]
    assert await home.findings(Known(kept_head, 9)) == [
        f"the audit log has lost the entry with the hash {kept_head}: entry 9"
    ]
