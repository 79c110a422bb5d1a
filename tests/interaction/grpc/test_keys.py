"""KeyService, from a client to the store and back; a traceparent on its way in."""

import base64
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import grpc
import pytest
from tests.interaction.grpc.conftest import HELLO, TOKEN, serving

from stepwell.bootstrap import open_runtime
from stepwell.client import Client, RingKey, Rotation, RunStatus
from stepwell.config import load_settings
from stepwell.engine.events import RunStarted
from stepwell.errors import Code, Denied, FailedPrecondition, NotFound
from stepwell.v1 import run_service_pb2, run_service_pb2_grpc

pytestmark = pytest.mark.anyio

KEYS = {"RING": base64.b64encode(bytes(range(32))).decode()}
REQUEST = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


@pytest.fixture
async def encrypted(tmp_path: Path) -> AsyncIterator[str]:
    """Where a server listens that encrypts; `subject` says whose data a run holds."""
    overrides = {
        "storage.url": "memory:",
        "encryption.keys.k1": "env:RING",
        "encryption.active": "k1",
        "encryption.subject_label": "subject",
    }
    settings = load_settings(tmp_path / "home", {}, overrides)
    async with open_runtime(settings, environ=KEYS) as runtime, serving(runtime.service) as running:
        yield running.address


async def done(client: Client, subject: str = "") -> str:
    labels = {"subject": subject} if subject else {}
    run = await client.run("hello", {"name": "Ada"}, labels=labels)
    ended = await client.wait(run.id, timedelta(seconds=5))
    assert ended.status is RunStatus.COMPLETED
    return run.id


async def test_a_subject_is_erased_and_the_key_tells_when(encrypted: str) -> None:
    async with Client(encrypted, token=TOKEN) as client:
        await client.workflows.put(HELLO)
        run = await done(client, "ann")
        assert (await client.get(run)).output is not None
        assert await client.keys.rings() == (RingKey("k1", True, False, 1),)

        assert await client.keys.destroy_subject("ann") == ()
        erased = await client.get(run)
        assert erased.is_erased
        assert (erased.output, erased.status) == (None, RunStatus.COMPLETED)
        assert erased.output_ref is not None
        assert erased.output_ref.digest.startswith("hmac-sha256:")
        [key] = (await client.keys.list()).keys
        assert (key.subject, key.run, key.ring) == ("ann", "", "k1")
        assert key.destroyed_at is not None


async def test_keys_are_listed_page_by_page_and_wrapped_anew(encrypted: str) -> None:
    async with Client(encrypted, token=TOKEN) as client:
        await client.workflows.put(HELLO)
        runs = sorted([await done(client) for _ in range(3)])
        first = await client.keys.list(of_runs=True, page_size=2)
        second = await client.keys.list(of_runs=True, page_size=2, page_token=first.next_page_token)
        assert [key.run for key in (*first.keys, *second.keys)] == runs
        assert second.next_page_token == ""
        assert await client.keys.rotate() == Rotation(0, 0)


async def test_a_key_that_is_not_there_is_not_destroyed(encrypted: str) -> None:
    async with Client(encrypted, token=TOKEN) as client:
        with pytest.raises(NotFound) as refused:
            await client.keys.destroy_subject("eve")
        assert refused.value.code is Code.KEY_NOT_FOUND
        with pytest.raises(NotFound) as refused:
            await client.keys.destroy_run("00000000-0000-7000-8000-000000000000")
        assert refused.value.code is Code.RUN_NOT_FOUND


async def test_an_agent_keeps_no_keys(encrypted: str) -> None:
    async with Client(encrypted) as agent:
        for refused in (agent.keys.rings(), agent.keys.list(), agent.keys.rotate()):
            with pytest.raises(Denied, match="stepwell data-keys"):
                await refused
        with pytest.raises(Denied):
            await agent.keys.destroy_subject("ann")


async def test_where_encryption_is_off_there_is_nothing_to_keep(client: Client) -> None:
    with pytest.raises(FailedPrecondition, match="encryption is off") as refused:
        await client.keys.rings()
    assert refused.value.code is Code.NOT_APPLICABLE


@pytest.mark.parametrize(("sent", "kept"), [(REQUEST, REQUEST), ("nonsense", ""), ("", "")])
async def test_the_trace_of_a_request_is_that_of_its_run(
    client: Client, channel: grpc.aio.Channel, sent: str, kept: str
) -> None:
    request = run_service_pb2.StartRunRequest(workflow="hello")
    request.input.json = b'{"name": "Ada"}'
    stub = run_service_pb2_grpc.RunServiceStub(channel)
    started = await stub.StartRun(request, metadata=(("traceparent", sent),))
    [first, *_] = (await client.events(started.run.name)).events
    assert isinstance(first.fact, RunStarted)
    assert first.fact.trace == kept
