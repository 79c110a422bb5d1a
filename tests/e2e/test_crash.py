"""Real daemons, really killed, under load: what was accepted ends as if nothing had happened.

`make crash` kills twenty times; the suite does it a few times, for the sake of its time.
"""

import asyncio
import os
import random
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import pairwise
from pathlib import Path
from statistics import median

import pytest
from msgspec import Struct
from tests.e2e.daemon import BOUND, Daemon, started, until
from tests.e2e.load import MODELS, Watcher, begin, outputs, prepare, run_load
from tests.interaction.llm.fake_provider import Reply, serving
from tests.interaction.llm.wires import CHAT, Call

from stepwell.client import Client, Event, Run, RunStatus, Verdict, Waiting, WaitingOn
from stepwell.engine.events import ToolCall
from stepwell.errors import Code

pytestmark = [pytest.mark.anyio, pytest.mark.crash, pytest.mark.usefixtures("one_loop")]

KILLS = int(os.environ.get("STEPWELL_CRASH_KILLS", "3"))
RUNS = 50
CALLS = 300
"""About as many as the load makes; its first half is over when the last kill comes."""
SEED = 20

LOCAL_MODEL = """\
[models]
patient = "local:m"
[providers.local]
kind = "openai-compatible"
base_url = "{url}"
api_key_env = "LOCAL_KEY"
"""

AGENT = """\
workflow: patient
input: { type: object, required: [gate], properties: { gate: { type: string } } }
agents:
  one:
    model: patient
    tools: [hold]
    output: { type: object, required: [said], properties: { said: { type: string } } }
nodes:
  - { id: ask, agent: one, with: { message: Hold it., gate: "=input.gate" } }
output: "=ask.output"
"""

PAYMENT = """\
workflow: payment
input: {{ type: object, required: [gate], properties: {{ gate: {{ type: string }} }} }}
nodes:
  - {{ id: pay, tool: {tool}, with: {{ gate: "=input.gate" }} }}
"""


class Figures(Struct, frozen=True, kw_only=True):
    """What the load went through. `resumed` is in seconds, from launch to the first event."""

    kills: int
    runs: int
    events: int
    lines: int
    repeats: int
    resumed: list[float]

    def __str__(self) -> str:
        return (
            f"{self.kills} kills, {self.runs} runs, {self.events} events, {self.lines} lines in "
            f"the ledger, {self.repeats} of them repeats; after a restart the first new event "
            f"came {median(self.resumed):.2f} s after launch, {max(self.resumed):.2f} s at most"
        )


@pytest.mark.timeout(600)
async def test_a_load_that_is_killed_again_and_again_ends_as_an_undisturbed_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "calm").mkdir()
    async with started(tmp_path / "calm", MODELS) as daemon:
        await prepare(daemon)
        expected = await run_load(daemon, RUNS)
    (tmp_path / "killed").mkdir()
    async with started(tmp_path / "killed", MODELS) as daemon:
        await prepare(daemon)
        watcher = Watcher()
        async with daemon.client() as client, asyncio.TaskGroup() as tasks:
            watching = tasks.create_task(watcher.watch(client))
            killing = tasks.create_task(_kill_at_random(daemon, random.Random(SEED)))
            runs = await run_load(daemon, RUNS)
            assert killing.done(), "the load was over before the last kill"
            await until(
                lambda: watcher.count("run_completed") == RUNS, "the watcher to see every end"
            )
            watching.cancel()
        daemon.stop()
        figures = _figures(daemon, watcher)
    with capsys.disabled():
        print(f"\n{figures}")
    assert figures.kills == KILLS
    assert {run.status for run in runs} == {RunStatus.COMPLETED}
    assert outputs(runs) == outputs(expected)
    _assert_log_is_whole(daemon, runs, watcher.seen)
    _assert_only_calls_in_flight_were_repeated(daemon, watcher.seen)


async def _kill_at_random(daemon: Daemon, chance: random.Random) -> None:
    """Kills after some more lines in the ledger, or after some more recorded calls.

    The first finds calls in flight whose effect is there and whose record is not, the second
    finds the log just after a commit.
    """
    for _ in range(KILLS):
        count = chance.choice([daemon.size, daemon.recorded])
        enough = count() + chance.randint(1, CALLS // (KILLS + 1))
        await until(partial(_has_reached, count, enough), f"{count.__name__} to be {enough}")
        daemon.kill()
        await daemon.start()


def _has_reached(count: Callable[[], int], enough: int) -> bool:
    return count() >= enough


async def test_every_run_that_was_accepted_before_a_kill_is_there_after_it(tmp_path: Path) -> None:
    accepted: dict[str, str] = {}
    killed_after: list[str] = []

    async with started(tmp_path, MODELS) as daemon:
        await prepare(daemon)

        async def accept(starter: int) -> None:
            for number in range(10):
                request = f"request-{starter}-{number}"
                run = await begin(daemon, client, "chain", {"number": number}, request)
                accepted[request] = run.id
                if len(accepted) == 25:  # nothing happens between this answer and the kill
                    daemon.kill()
                    killed_after.extend(accepted.values())

        async with daemon.client() as client, asyncio.TaskGroup() as tasks:
            for starter in range(8):
                tasks.create_task(accept(starter))
            await until(lambda: bool(killed_after), "the kill")
            await daemon.start()
        listed = [run.id for run in await _all_runs(daemon)]
        async with daemon.client() as client:
            ended = [await client.wait(run) for run in listed]

    assert len(killed_after) == 25
    assert sorted(listed) == sorted(accepted.values()), "one was lost, or one request began two"
    assert {run.status for run in ended} == {RunStatus.COMPLETED}


async def test_an_agent_asks_its_model_again_only_for_the_answer_that_was_in_flight(
    tmp_path: Path,
) -> None:
    answer = CHAT.answer('{"said": "held"}')
    async with serving(CHAT.check) as provider:
        settings = LOCAL_MODEL.format(url=provider.url + CHAT.version)
        async with started(tmp_path, settings) as daemon, daemon.client() as client:
            provider.will(Reply(CHAT.calls([Call("hold", "{}", "c")])), Reply(stalls=True))
            await client.workflows.put(AGENT)
            gate = tmp_path / "gate"
            run = await client.run("patient", {"gate": str(gate)})

            await until(lambda: daemon.size() == 1, "the tool to be called")
            daemon.kill()
            await daemon.start()
            await until(lambda: daemon.size() == 2, "the tool to be called again")
            gate.touch()
            await until(lambda: len(provider.seen) == 2, "the model to be asked again")
            daemon.kill()
            provider.will(Reply(answer))
            await daemon.start()
            ended = await client.wait(run.id)
            kinds = [event.kind for event in (await client.events(run.id)).events]

    assert (ended.status, ended.output) == (RunStatus.COMPLETED, {"said": "held"})
    assert (kinds.count("llm_call"), kinds.count("tool_call")) == (2, 1)
    first, stalled, repeated = (seen.body for seen in provider.seen)
    assert repeated == stalled
    assert len(first["messages"]) < len(stalled["messages"])
    assert len({line.key for line in daemon.lines()}) == 1


@pytest.mark.parametrize("tool", ["pay", "pay_apart"])
async def test_a_call_that_may_not_be_repeated_is_asked_about_instead(
    tmp_path: Path, tool: str
) -> None:
    async with started(tmp_path) as daemon, daemon.client() as client:
        run = await _pay(daemon, client, tool)
        daemon.kill()
        (tmp_path / "gate").touch()  # whoever called it again would come back with a result
        await daemon.start()
        waiting = await _asking(client, run)
        done = await client.resolve(run, "pay", "done", value="paid")
        ended = await client.wait(run)
        kinds = [event.kind for event in (await client.events(run)).events]

    assert waiting.waiting_for == (Waiting(step="pay", on=WaitingOn.HUMAN, about="outcome"),)
    assert (done.id, ended.status, ended.output) == (run, RunStatus.COMPLETED, {"pay": "paid"})
    assert [line.life for line in daemon.lines()] == [1]
    assert kinds == [
        "run_started",
        "step_scheduled",
        "tool_call_started",
        "approval_requested",
        "approval_decided",
        "tool_call",
        "step_completed",
        "run_completed",
    ]


@pytest.mark.parametrize(
    ("verdict", "status", "lives"),
    [("retry", RunStatus.COMPLETED, [1, 2]), ("fail", RunStatus.FAILED, [1])],
)
async def test_a_person_decides_whether_a_call_is_made_again(
    tmp_path: Path, verdict: Verdict, status: RunStatus, lives: list[int]
) -> None:
    async with started(tmp_path) as daemon, daemon.client() as client:
        run = await _pay(daemon, client, "pay")
        daemon.kill()
        (tmp_path / "gate").touch()
        await daemon.start()
        await _asking(client, run)
        await client.resolve(run, "pay", verdict)
        ended = await client.wait(run)

    reason = ended.failure.reason if ended.failure else None
    assert (ended.status, reason) == (status, Code.OUTCOME_UNKNOWN if verdict == "fail" else None)
    assert [line.life for line in daemon.lines()] == lives


async def test_a_daemon_that_is_stopped_in_time_repeats_nothing_either(tmp_path: Path) -> None:
    async with started(tmp_path, 'server.drain = "100ms"') as daemon, daemon.client() as client:
        run = await _pay(daemon, client, "pay")
        daemon.stop()
        (tmp_path / "gate").touch()
        await daemon.start()
        waiting = await _asking(client, run)

    assert waiting.waiting_for[0].about == "outcome"
    assert [line.life for line in daemon.lines()] == [1]


async def _pay(daemon: Daemon, client: Client, tool: str) -> str:
    """A run whose payment has had its effect, and waits at the gate."""
    await client.workflows.put(PAYMENT.format(tool=tool))
    run = await client.run("payment", {"gate": str(daemon.home.path.parent / "gate")})
    await until(lambda: daemon.size() == 1, "the call to have its effect")
    return run.id


async def _asking(client: Client, run: str) -> Run:
    """The run once it asks a person."""
    async with asyncio.timeout(BOUND):
        async for batch in client.watch(run):
            if any(event.kind == "approval_requested" for event in batch.events):
                break
    return await client.get(run)


async def _all_runs(daemon: Daemon) -> list[Run]:
    async with daemon.client() as client:
        return list((await client.list(page_size=1000)).runs)


# --- what must hold -------------------------------------------------------------------------


def _figures(daemon: Daemon, watcher: Watcher) -> Figures:
    lines = daemon.lines()
    at = sorted(_instant(event) for event in watcher.seen)
    resumed = [
        (at[bisect_left(at, launched)] - launched) / 1e6 for launched in daemon.launched_at[1:]
    ]
    return Figures(
        kills=len(daemon.killed_at),
        runs=len({event.run for event in watcher.seen}),
        events=len(watcher.seen),
        lines=len(lines),
        repeats=len(lines) - len({line.key for line in lines}),
        resumed=resumed,
    )


def _assert_log_is_whole(daemon: Daemon, runs: Sequence[Run], seen: Sequence[Event]) -> None:
    """No run and no number is missing, and the watcher saw each event once, in order."""
    entries = daemon.entries()
    assert all(before.position < after.position for before, after in pairwise(entries))
    assert [(entry.run, entry.sequence, entry.kind) for entry in entries] == [
        (event.run.replace("-", ""), event.sequence, event.kind) for event in seen
    ]
    numbers = defaultdict(list)
    for event in seen:
        numbers[event.run].append(event.sequence)
    assert set(numbers) == {run.id for run in runs}
    for sequence in numbers.values():
        assert sequence == list(range(1, len(sequence) + 1))


def _assert_only_calls_in_flight_were_repeated(daemon: Daemon, seen: Sequence[Event]) -> None:
    """For each key: one line, and one more for each kill between its first one and its record."""
    recorded = dict(_records(daemon, seen))
    lines: dict[str, list[int]] = defaultdict(list)
    for line in daemon.lines():
        lines[line.key].append(line.life)
    assert set(lines) == set(recorded)
    for key, lives in lines.items():
        assert len(set(lives)) == len(lives), f"{key} was called twice in one life: {lives}"
        assert max(lives) <= recorded[key], f"{key} was called after its outcome was recorded"
        hits = recorded[key] - min(lives)
        assert len(lives) <= 1 + hits, f"{key}: {len(lives)} lines, {hits} kills hit it"


def _records(daemon: Daemon, seen: Sequence[Event]) -> Iterator[tuple[str, int]]:
    """Of every call that succeeded: its key, and the life of the daemon that recorded it."""
    for event in seen:
        fact = event.fact
        if isinstance(fact, ToolCall) and fact.failure is None:
            life = 1 + bisect_left(daemon.killed_at, _instant(event))
            yield f"{event.run}/{fact.key}", life


def _instant(event: Event) -> int:
    return round(event.at.timestamp() * 1_000_000)
