"""What is encrypted, what is erased, and what stays: seen on the files of a real home."""

import asyncio
import base64
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.permitting import permit_direct_calls

from stepwell.bootstrap import open_runtime
from stepwell.config import load_settings
from stepwell.errors import (
    Code,
    Denied,
    FailedPrecondition,
    KeyDestroyed,
    NotFound,
    SetupError,
    StepwellError,
)
from stepwell.orchestrator.service import Service
from stepwell.orchestrator.views import Run, RunStatus
from stepwell.principals import LOCAL_AGENT, LOCAL_USER
from stepwell.vault.vault import Rotation

pytestmark = pytest.mark.anyio

SECRET = "4111-1111-1111-1111"
ANN = {"subject": "ann"}
PATIENCE = timedelta(seconds=5)
KEYS = {name: base64.b64encode(name.encode() * 16).decode() for name in ("k1", "k2")}

ECHO = b"""
workflow: echo
input: { type: object, properties: { card: {} } }
nodes:
  - { id: look, tool: look, with: { card: =input.card } }
output: { card: =look.output }
"""
HOLD = b"""
workflow: hold
input: { type: object, properties: { card: {} } }
nodes:
  - { id: hold, signal: go }
output: { given: =input.card, got: =hold.output }
"""
PARENT = b"""
workflow: parent
input: { type: object, properties: { card: {} } }
nodes:
  - { id: child, workflow: echo, with: { card: =input.card } }
output: =child.output
"""
TOOLS = '''
from stepwell import ask, tool

YOURS = {"type": "object", "properties": {"card": {"type": "string"}}}

@tool(read_only=True)
async def look(card: str) -> str:
    """Looks at a card."""
    return f"seen {card}"

@tool(read_only=True)
async def asks(card: str) -> str:
    """Asks about a card."""
    reply = await ask(f"Is {card} yours?", schema=YOURS, key="sure")
    return reply.content["card"]

@tool
async def count(of: int) -> int:
    """Counts."""
    return of
'''


@asynccontextmanager
async def opened(
    home: Path, *, ring: tuple[str, ...] = ("k1",), active: str = "k1", **more: Any
) -> AsyncIterator[Service]:
    """The runtime of a home, with these keys of the ring."""
    home.mkdir(exist_ok=True)
    (home / "tools.py").write_text(TOOLS)
    overrides: dict[str, object] = {
        "tools.paths": ["tools.py"],
        "encryption.subject_label": "subject",
        **{f"encryption.keys.{name}": f"env:{name}" for name in ring},
        **({"encryption.active": active} if ring else {}),
        **{name.replace("__", "."): value for name, value in more.items()},
    }
    async with open_runtime(load_settings(home, {}, overrides), environ=KEYS) as runtime:
        for source in (ECHO, HOLD, PARENT):
            await runtime.service.put_workflow(LOCAL_USER, source)
        await permit_direct_calls(runtime.service)
        yield runtime.service


async def started(
    service: Service, workflow: str, labels: Mapping[str, str] = ANN, **more: Any
) -> str:
    run, _ = await service.start_run(LOCAL_USER, workflow, {"card": SECRET}, labels=labels, **more)
    return run.id


async def done(service: Service, workflow: str, labels: Mapping[str, str] = ANN) -> str:
    """The id of a run that has completed."""
    id = await started(service, workflow, labels)
    run = await service.wait_run(LOCAL_USER, id, PATIENCE)
    assert run.status is RunStatus.COMPLETED
    return id


async def output(service: Service, run: str) -> Any:
    view = await service.get_run(LOCAL_USER, run)
    assert view.output is not None
    return view.output.value


async def children_of(service: Service, run: str) -> list[str]:
    page = await service.list_runs(LOCAL_USER, filter=f'parent = "{run}"')
    return [child.id for child in page.runs]


def traces(home: Path, text: str = SECRET) -> list[str]:
    """The files of the home in which a text stands."""
    files = [path for path in home.rglob("*") if path.is_file() and path.suffix != ".py"]
    assert {"stepwell.db", "stepwell.db-wal"} <= {path.name for path in files}
    return [path.name for path in files if text.encode() in path.read_bytes()]


FAILING = {
    "condition": "{ id: a, tool: look, if: =input.card, with: { card: =input.card } }",
    "expression": "{ id: a, transform: \"='it is ' + string(timestamp(input.card))\" }",
    "time": "{ id: a, wait: { until: =input.card } }",
    "length": "{ id: a, wait: { for: =input.card } }",
    "arguments": "{ id: a, tool: count, with: { of: =input.card } }",
    "child": "{ id: a, workflow: strict, with: { card: =input.card } }",
    "undoing": (
        "{ id: b, tool: look, with: { card: =input.card }, "
        'compensate: { tool: count, with: { of: "=int(output)" } } }, '
        "{ id: a, needs: [b], tool: count, with: { of: =input.card } }"
    ),
}
STRICT = b"""
workflow: strict
input: { type: object, properties: { card: { type: integer } } }
nodes: [{ id: a, transform: =input.card }]
"""


# --- encrypted ------------------------------------------------------------------------------


async def test_nothing_of_a_person_stands_in_any_file_in_the_clear(tmp_path: Path) -> None:
    async with opened(tmp_path / "home") as service:
        run = await done(service, "echo")
        parent = await done(service, "parent")
        held = await started(service, "hold", request_id="once")
        await service.controls.signal_run(LOCAL_USER, held, "go", {"card": SECRET})
        ended = await service.wait_run(LOCAL_USER, held, PATIENCE)
        assert ended.status is RunStatus.COMPLETED
        assert traces(tmp_path / "home") == []
        assert await output(service, run) == {"card": f"seen {SECRET}"}
        assert await output(service, parent) == {"card": f"seen {SECRET}"}
    async with opened(tmp_path / "home") as service:
        assert await output(service, held) == {"given": SECRET, "got": {"card": SECRET}}


async def test_without_encryption_the_same_run_leaves_traces(tmp_path: Path) -> None:
    """What the test above looks for can be found."""
    async with opened(tmp_path / "home", ring=()) as service:
        await done(service, "echo")
        assert traces(tmp_path / "home") != []


async def test_a_letter_that_waits_for_its_run_is_encrypted_too(tmp_path: Path) -> None:
    home = tmp_path / "home"
    async with opened(home) as service:
        run = await started(service, "hold")
        await service._worker.drain(1)
        storage = service._storage
        given = service.controls.signal_run(LOCAL_USER, run, "go", {"card": SECRET})
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("stepwell.orchestrator.controls.LETTER_PATIENCE", 0.05)
            with pytest.raises(StepwellError, match="nobody has taken"):
                await given
        assert (await storage.counts.take([])).letters == 1
        assert traces(home) == []
    async with opened(home) as service:
        view = await service.wait_run(LOCAL_USER, run, PATIENCE)
        assert view.output is not None
        assert view.output.value == {"given": SECRET, "got": {"card": SECRET}}


async def test_what_is_asked_about_a_person_and_answered_is_encrypted_and_erased_with_the_rest(
    tmp_path: Path,
) -> None:
    source = b"""
workflow: ask-card
input: { type: object, properties: { card: {} } }
nodes:
  - { id: asks, tool: asks, with: { card: =input.card } }
output: =asks.output
"""
    home = tmp_path / "home"
    async with opened(home) as service:
        await service.put_workflow(LOCAL_USER, source)
        run, other = [await started(service, "ask-card") for _ in range(2)]
        for id in (run, other):
            view = await service.wait_run(LOCAL_USER, id, PATIENCE, until=asks_something)
            assert [it.message for it in view.questions] == [f"Is {SECRET} yours?"]
        answer = {"card": SECRET}
        await service.questions.answer(LOCAL_USER, run, action="accept", content=answer)
        assert (await service.wait_run(LOCAL_USER, run, PATIENCE)).status is RunStatus.COMPLETED
        assert await output(service, run) == SECRET
        await service.keys.destroy_subject(LOCAL_USER, "ann")
        assert (await service.get_run(LOCAL_USER, other)).questions == ()
        assert traces(home) == []


def asks_something(run: Run) -> bool:
    return bool(run.questions)


async def test_what_nobody_is_named_for_stays_inline_unless_it_is_large(tmp_path: Path) -> None:
    async with opened(tmp_path / "home", limits__inline_bytes=1) as service:
        run = await done(service, "echo", {})
        assert traces(tmp_path / "home") == []
        assert await output(service, run) == {"card": f"seen {SECRET}"}


async def test_a_request_that_is_repeated_is_still_known(tmp_path: Path) -> None:
    async with opened(tmp_path / "home") as service:
        first = await started(service, "echo", request_id="once")
    async with opened(tmp_path / "home") as service:
        assert await started(service, "echo", request_id="once") == first
        with pytest.raises(StepwellError) as caught:
            await service.start_run(
                LOCAL_USER, "echo", {"card": "x"}, request_id="once", labels=ANN
            )
        assert caught.value.code is Code.REQUEST_ID_REUSED


@pytest.mark.parametrize("what", FAILING)
async def test_why_a_run_of_a_subject_failed_quotes_nothing_of_its_data(
    tmp_path: Path, what: str
) -> None:
    source = f"workflow: bad\ninput: {{ type: object }}\nnodes: [{FAILING[what]}]"
    async with opened(tmp_path / "home") as service:
        await service.put_workflow(LOCAL_USER, STRICT)
        await service.put_workflow(LOCAL_USER, source.encode())
        run = await service.wait_run(LOCAL_USER, await started(service, "bad"), PATIENCE)
        other = await started(service, "bad", labels={})
        other_run = await service.wait_run(LOCAL_USER, other, PATIENCE)
        assert (run.status, other_run.status) == (RunStatus.FAILED, RunStatus.FAILED)
        told = await service.list_events(LOCAL_USER, run=run.id)
        assert SECRET not in repr(told)
        assert run.failure is not None
        assert other_run.failure is not None
        assert run.failure.reason == other_run.failure.reason
        quotes = SECRET in repr(await service.list_events(LOCAL_USER, run=other))
        assert quotes, "where nobody can be erased the failure may say what it met"


# --- erased ---------------------------------------------------------------------------------


async def test_a_person_is_erased_and_the_log_stays_whole(tmp_path: Path) -> None:
    async with opened(tmp_path / "home") as service:
        run = await done(service, "echo")
        other = await done(service, "echo", {"subject": "bob"})
        destroyed = await service.keys.destroy_subject(LOCAL_USER, "ann")
        assert (destroyed.keys, destroyed.cancelled) == (1, ())

        view = await service.get_run(LOCAL_USER, run)
        assert view.is_erased
        assert view.status is RunStatus.COMPLETED
        assert view.output is not None
        assert view.output.blob is not None
        events = await service.list_events(LOCAL_USER, run=run)
        assert [event.kind for event in events.events] == [
            "run_started",
            "step_scheduled",
            "tool_call",
            "step_completed",
            "run_completed",
        ]
        assert [step.status for step in await service.list_steps(LOCAL_USER, run)] == ["completed"]
        watched = [
            event
            async for batch in service.watch_events(LOCAL_USER, run=run)
            for event in batch.events
        ]
        assert len(watched) == 5
        with pytest.raises(FailedPrecondition) as caught:
            await service.controls.cancel_run(LOCAL_USER, run)
        assert caught.value.code is Code.RUN_ENDED
        assert await output(service, other) == {"card": f"seen {SECRET}"}


async def test_an_erased_run_can_be_neither_forked_nor_tried_again(tmp_path: Path) -> None:
    async with opened(tmp_path / "home") as service:
        run = await done(service, "echo")
        await service.keys.destroy_subject(LOCAL_USER, "ann")
        with pytest.raises(KeyDestroyed, match="the data was erased"):
            await service.controls.fork_run(LOCAL_USER, run, "look")


async def test_a_fork_stays_with_the_person_whatever_labels_it_is_given(tmp_path: Path) -> None:
    async with opened(tmp_path / "home") as service:
        run = await done(service, "echo")
        fork, _ = await service.controls.fork_run(LOCAL_USER, run, "look", labels={"team": "a"})
        ended = await service.wait_run(LOCAL_USER, fork.id, PATIENCE)
        assert ended.labels == {"team": "a", "subject": "ann"}
        await service.keys.destroy_subject(LOCAL_USER, "ann")
        assert (await service.get_run(LOCAL_USER, fork.id)).is_erased


async def test_one_run_is_erased_alone(tmp_path: Path) -> None:
    async with opened(tmp_path / "home", limits__inline_bytes=1) as service:
        run, other = await done(service, "echo", {}), await done(service, "echo", {})
        assert (await service.keys.destroy_run(LOCAL_USER, run)).keys == 1
        assert (await service.get_run(LOCAL_USER, run)).is_erased
        assert await output(service, other) == {"card": f"seen {SECRET}"}
        with pytest.raises(NotFound) as caught:
            await service.keys.destroy_run(LOCAL_USER, run)
        assert caught.value.code is Code.KEY_NOT_FOUND


async def test_of_a_person_s_run_the_person_s_key_is_named(tmp_path: Path) -> None:
    async with opened(tmp_path / "home") as service:
        run = await done(service, "echo")
        with pytest.raises(NotFound, match="the key of the subject ann; destroy that"):
            await service.keys.destroy_run(LOCAL_USER, run)


async def test_runs_in_progress_are_cancelled_before_their_key_is_destroyed(tmp_path: Path) -> None:
    async with opened(tmp_path / "home") as service:
        run = await started(service, "hold")
        destroyed = await service.keys.destroy_subject(LOCAL_USER, "ann")
        assert destroyed.cancelled == (run,)
        view = await service.get_run(LOCAL_USER, run)
        assert (view.status, view.reason) == (
            RunStatus.CANCELLED,
            "the key of the subject is destroyed",
        )


async def test_an_open_run_whose_data_is_gone_fails_once_and_says_why(tmp_path: Path) -> None:
    async with opened(tmp_path / "home") as service:
        run = await started(service, "hold")
        # As if another process had destroyed the key, and had been killed before it cancelled it.
        await service._worker.drain(1)
        await service._storage.keys.destroy("default", "subject:ann", now=1)
    async with opened(tmp_path / "home") as service:
        view = await service.get_run(LOCAL_USER, run)
        assert view.status is RunStatus.FAILED
        assert view.failure is not None
        assert view.failure.reason == Code.KEY_DESTROYED
        assert "the key of the subject ann has been destroyed" in view.failure.message
        events = await service.list_events(LOCAL_USER, run=run)
        assert events.events[-1].kind == "run_failed"
    async with opened(tmp_path / "home") as service:
        again = await service.list_events(LOCAL_USER, run=run)
        assert len(again.events) == len(events.events)


async def test_a_parent_is_told_of_a_child_whose_data_is_gone(tmp_path: Path) -> None:
    nested = PARENT.replace(b"parent", b"nested").replace(b"workflow: echo", b"workflow: hold")
    async with opened(tmp_path / "home", limits__inline_bytes=1) as service:
        await service.put_workflow(LOCAL_USER, nested)
        parent = await started(service, "nested", {})
        async with asyncio.timeout(5):
            while not (children := await children_of(service, parent)):
                await asyncio.sleep(0.01)
        await service._worker.drain(1)
        await service._storage.keys.destroy("default", f"run:{children[0]}", now=1)
    async with opened(tmp_path / "home") as service:
        ended = await service.wait_run(LOCAL_USER, parent, PATIENCE)
        assert ended.failure is not None
        assert ended.failure.reason == Code.CHILD_FAILED
        assert "the data was erased" in ended.failure.message
        child = await service.get_run(LOCAL_USER, children[0])
        assert child.status is RunStatus.FAILED


# --- the ring -------------------------------------------------------------------------------


async def test_the_ring_is_rotated_and_the_old_key_can_go(tmp_path: Path) -> None:
    home = tmp_path / "home"
    async with opened(home) as service:
        run = await done(service, "echo")
        held = await started(service, "hold")
    async with opened(home, ring=("k1", "k2"), active="k2") as service:
        assert await service.keys.rotate(LOCAL_USER) == Rotation(wrapped=1, lost=0)
        rings = await service.keys.list_rings(LOCAL_USER)
        assert [(ring.name, ring.is_active, ring.keys) for ring in rings] == [
            ("k1", False, 0),
            ("k2", True, 1),
        ]
    async with opened(home, ring=("k2",), active="k2") as service:
        assert await output(service, run) == {"card": f"seen {SECRET}"}
        await service.controls.signal_run(LOCAL_USER, held, "go")
        ended = await service.wait_run(LOCAL_USER, held, PATIENCE)
        assert ended.status is RunStatus.COMPLETED


@pytest.mark.parametrize("ring", [("k2",), ()])
async def test_a_home_whose_ring_lacks_a_key_does_not_start(
    ring: tuple[str, ...], tmp_path: Path
) -> None:
    async with opened(tmp_path / "home") as service:
        await done(service, "echo")
    with pytest.raises(SetupError, match="wrapped with the ring key 'k1'") as caught:
        async with opened(tmp_path / "home", ring=ring, active="k2"):
            raise AssertionError("it started")
    assert caught.value.code is Code.INVALID_CONFIG


async def test_a_ring_key_that_is_given_up_erases_what_it_protects(tmp_path: Path) -> None:
    async with opened(tmp_path / "home") as service:
        run = await done(service, "echo")
        held = await started(service, "hold")
    lost = {"encryption__lost": ["k1"]}
    async with opened(tmp_path / "home", ring=("k2",), active="k2", **lost) as service:
        assert (await service.get_run(LOCAL_USER, run)).is_erased
        failed = await service.get_run(LOCAL_USER, held)
        assert failed.status is RunStatus.FAILED
        assert await service.keys.rotate(LOCAL_USER) == Rotation(wrapped=0, lost=1)


async def test_keys_are_for_users_and_there_are_none_while_encryption_is_off(
    tmp_path: Path,
) -> None:
    async with opened(tmp_path / "home") as service:
        for refused in (
            service.keys.rotate(LOCAL_AGENT),
            service.keys.list_rings(LOCAL_AGENT),
            service.keys.list_keys(LOCAL_AGENT),
            service.keys.destroy_subject(LOCAL_AGENT, "ann"),
            service.keys.destroy_run(LOCAL_AGENT, "r"),
        ):
            with pytest.raises(Denied):
                await refused
        with pytest.raises(NotFound) as caught:
            await service.keys.destroy_subject(LOCAL_USER, "eve")
        assert caught.value.code is Code.KEY_NOT_FOUND
    async with opened(tmp_path / "plain", ring=()) as service:
        with pytest.raises(FailedPrecondition, match="encryption is off"):
            await service.keys.rotate(LOCAL_USER)


async def test_keys_are_listed_page_by_page(tmp_path: Path) -> None:
    async with opened(tmp_path / "home") as service:
        for name in ("bob", "ann", "eve"):
            await done(service, "echo", {"subject": name})
        run = await done(service, "echo", {})
        await service.keys.destroy_subject(LOCAL_USER, "bob")
        first = await service.keys.list_keys(LOCAL_USER, limit=2)
        second = await service.keys.list_keys(LOCAL_USER, limit=2, after=first.next)
        listed = [*first.keys, *second.keys]
        assert [(key.name, key.destroyed_at is not None) for key in listed] == [
            ("ann", False),
            ("bob", True),
            ("eve", False),
        ]
        assert second.next == ""
        of_runs = await service.keys.list_keys(LOCAL_USER, of_runs=True)
        assert [key.name for key in of_runs.keys] == [run]
