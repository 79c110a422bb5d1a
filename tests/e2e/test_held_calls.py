"""Daemons that are killed anywhere between a request, its decision, the approval and the effect."""

import asyncio
import os
import random
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

import pytest
from tests.e2e.daemon import BOUND, TOOLS, Daemon
from tests.e2e.ledger_tools import FEE, LONGEST_PAUSE

from stepwell.client import Client, Run, RunStatus, Verdict, Waiting
from stepwell.engine.events import ApprovalRequested, ToolCallStarted
from stepwell.errors import StepwellError, Unavailable

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.crash,
    pytest.mark.timeout(900),
    pytest.mark.usefixtures("one_loop"),
]

KILLS = 50 if int(os.environ.get("STEPWELL_CRASH_KILLS", "2")) > 2 else 4
"""One at each point."""

CALLS = 3
"""That are under way at each point."""

SEED = 4
SOON = timedelta(seconds=1)
GOVERNING = Path(__file__).with_name("governing.py")
POINTS = ("request", "decision", "approval", "effect")
WITHIN = {"request": 0.02, "decision": 0.04, "approval": 0.02, "effect": 2 * LONGEST_PAUSE}
"""Seconds after the beginning of each in which the daemon is killed, at any moment."""


class Person:
    """Who asks for calls, approves them, and finds out what became of those that nobody knows of."""

    def __init__(self, daemon: Daemon, client: Client) -> None:
        self._daemon = daemon
        self._client = client
        self.outcomes = 0
        """How many calls of unknown outcome there were."""

    async def ask(self, number: int) -> Run:
        """Asks for a call until somebody has answered: the same request each time."""
        return await self._insist(
            lambda: self._client.call("charge", {"number": number}, request_id=f"charge-{number}")
        )

    async def see_to_the_end(self, run: str) -> Run:
        """Answers whatever the run asks, until it has ended."""
        async with asyncio.timeout(2 * BOUND):
            while True:
                found = await self._insist(lambda: self._client.wait(run, timedelta(seconds=0.2)))
                if found.status not in (RunStatus.RUNNING, RunStatus.WAITING):
                    return found
                for asked in found.waiting_for:
                    with suppress(StepwellError):  # it was answered meanwhile
                        await self.answer(run, asked)

    async def answer(self, run: str, asked: Waiting) -> None:
        """Says yes to a held call, and what is in the ledger to an unknown outcome."""
        if asked.about == "call":
            await self._client.approvals.decide(asked.approval, "approve", code="000000")
            return
        await asyncio.sleep(2 * LONGEST_PAUSE)  # until it cannot have its effect any more
        line = self._daemon.ledger.line_of(f"{run}/{asked.step}")
        verdict: Verdict = "retry" if line is None else "done"
        value = None if line is None else line.result
        await self._client.resolve(run, asked.step, verdict, value=value, code="000000")
        self.outcomes += 1

    async def _insist(self, what: Callable[[], Awaitable[Run]]) -> Run:
        async with asyncio.timeout(BOUND):
            while True:
                try:
                    return await what()
                except Unavailable:
                    await asyncio.sleep(0.02)


async def _until_held(client: Client, run: str) -> Waiting:
    async with asyncio.timeout(BOUND):
        while True:
            for asked in (await client.get(run)).waiting_for:
                if asked.about == "call":
                    return asked
            await asyncio.sleep(0.005)


async def _go(point: str, person: Person, client: Client, numbers: list[int]) -> None:
    """Brings some calls to a point, and begins what is to be killed; the kill ends it."""
    runs = []
    if point == "request":
        await asyncio.gather(*(person.ask(number) for number in numbers))
        return
    runs = [(await person.ask(number)).id for number in numbers]
    if point == "decision":
        return
    held = [await _until_held(client, run) for run in runs]
    if point == "approval":
        answers = (person.answer(run, asked) for run, asked in zip(runs, held, strict=True))
        await asyncio.gather(*answers, return_exceptions=True)
        return
    for run, asked in zip(runs, held, strict=True):
        await person.answer(run, asked)


async def test_a_held_call_is_made_once_wherever_its_daemon_dies(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    chance = random.Random(SEED)
    daemon = Daemon(tmp_path, tools=(GOVERNING, TOOLS))
    numbers: list[int] = []
    try:
        await daemon.start()
        async with daemon.client(timeout=timedelta(seconds=5), patience=SOON) as client:
            person = Person(daemon, client)
            for kill in range(KILLS):
                point = POINTS[kill % len(POINTS)]
                batch = list(range(kill * CALLS, (kill + 1) * CALLS))
                numbers += batch
                going = asyncio.ensure_future(_go(point, person, client, batch))
                if point != "request":
                    await _begun(point, going, client, batch)
                await asyncio.sleep(chance.uniform(0, WITHIN[point]))
                daemon.kill()
                await daemon.start()
                going.cancel()
                await asyncio.gather(going, return_exceptions=True)
            runs = [(await person.ask(number)).id for number in numbers]
            ended = await asyncio.gather(*map(person.see_to_the_end, runs))
            events = [event for run in runs for event in (await client.events(run)).events]
    finally:
        daemon.stop()

    made = Counter(line.key for line in daemon.lines())
    held = sum(isinstance(it.fact, ApprovalRequested) and it.fact.about == "call" for it in events)
    begun = [it.fact.decision for it in events if isinstance(it.fact, ToolCallStarted)]
    with capsys.disabled():
        print(
            f"\n{KILLS} kills, {len(runs)} calls, held {held} times, {person.outcomes} of unknown "
            f"outcome; {sum(it - 1 for it in made.values())} doubled, "
            f"{sum(it.status is not RunStatus.COMPLETED for it in ended)} lost"
        )
    assert len(set(runs)) == len(numbers)
    assert [it.output for it in ended] == [number + FEE for number in numbers]
    assert made == Counter(f"{run}/call" for run in runs)
    assert set(begun) == {"allow: charges; approved by user:local"}


async def _begun(
    point: str, going: "asyncio.Future[None]", client: Client, numbers: list[int]
) -> None:
    """Waits until the calls are where the point begins."""
    async with asyncio.timeout(BOUND):
        while not going.done():
            runs = await client.list(filter='workflow = "call"', page_size=CALLS)
            waiting = sum(it.status is RunStatus.WAITING for it in runs.runs)
            if point == "decision" or waiting == len(numbers):
                return
            await asyncio.sleep(0.005)
