"""Real daemons, really killed, at one moment that matters each: `test_kill_matrix` has the others."""

import asyncio
from pathlib import Path

import pytest
from tests.e2e.cluster import running
from tests.e2e.daemon import BOUND, Daemon, started, until
from tests.e2e.load import MODELS, begin, end, prepare
from tests.interaction.llm.fake_provider import Reply, serving
from tests.interaction.llm.wires import CHAT, Call

from stepwell.client import Client, Run, RunStatus, Verdict, Waiting, WaitingOn
from stepwell.errors import Code

pytestmark = [pytest.mark.anyio, pytest.mark.crash, pytest.mark.usefixtures("one_loop")]

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


async def test_every_run_that_was_accepted_before_a_kill_is_there_after_it(tmp_path: Path) -> None:
    accepted: dict[int, str] = {}
    killed_after: list[str] = []

    async with running(tmp_path, MODELS) as cluster:
        await prepare(cluster)
        [daemon] = cluster.daemons

        async def accept(starter: int) -> None:
            for number in range(10 * starter, 10 * (starter + 1)):
                accepted[number] = (await begin(cluster, "chain", number)).id
                if len(accepted) == 25:  # nothing happens between this answer and the kill
                    daemon.kill()
                    killed_after.extend(accepted.values())

        async with asyncio.TaskGroup() as tasks:
            for starter in range(8):
                tasks.create_task(accept(starter))
            await until(lambda: bool(killed_after), "the kill")
            await daemon.start()
        listed = [run.id for run in await _all_runs(daemon)]
        ended = [await end(cluster, run) for run in listed]

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
