"""What is committed, and how it is read back."""

import msgspec
import pytest
from tests.unit.orchestrator.rig import NAMESPACE, Rig, on_virtual_time

from stepwell.engine.events import (
    ApprovalRequested,
    Event,
    RunCompleted,
    RunFailed,
    RunStarted,
    StepCompleted,
)
from stepwell.engine.values import Data, Failure
from stepwell.orchestrator.journal import Journal
from stepwell.orchestrator.views import Outcome
from stepwell_storage.records import NewRun

STARTED = RunStarted(at=1, workflow="w", version="v", principal="user:ann", input=Data(value={}))
LARGE = Data(value="x" * 1000)
SECRET = Data(value={"row": 1}, sealed="datasource:shop")


async def write(rig: Rig, *events: Event) -> str:
    """Appends the events of a new run, where what is over 100 bytes goes beside the log."""
    run = rig.new_id()
    await Journal(rig.storage, inline_limit=100).append(
        NAMESPACE,
        run,
        epoch=1,
        after=0,
        events=[(event, "user:ann") for event in (STARTED, *events)],
        new=NewRun("w", "v", "user:ann", 1, "one", 10),
    )
    return run


def completed(output: Data) -> StepCompleted:
    return StepCompleted(at=2, step="a", attempt=1, output=output)


@on_virtual_time
async def test_large_and_sealed_data_comes_back_from_beside_the_log() -> None:
    rig = Rig()
    run = await write(rig, completed(LARGE), completed(SECRET))
    _, large, secret = await rig.journal.load(NAMESPACE, run)
    assert isinstance(large, StepCompleted)
    assert (large.output.value, large.output.sealed) == (LARGE.value, "")
    assert isinstance(secret, StepCompleted)
    assert (secret.output.value, secret.output.sealed) == (SECRET.value, SECRET.sealed)
    bodies = [record.body for record in await rig.storage.log.read(NAMESPACE, run)]
    assert not any(b"xxx" in body or b"row" in body for body in bodies)


@on_virtual_time
async def test_a_seal_comes_back_although_unsealed_data_has_the_same_content() -> None:
    rig = Rig()
    run = await write(rig, completed(LARGE), completed(Data(value=LARGE.value, sealed="label")))
    _, plain, sealed = await rig.journal.load(NAMESPACE, run)
    assert isinstance(plain, StepCompleted)
    assert isinstance(sealed, StepCompleted)
    assert (plain.output.sealed, sealed.output.sealed) == ("", "label")


@on_virtual_time
async def test_a_log_is_read_page_by_page(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stepwell.orchestrator.journal.PAGE", 2)
    rig = Rig()
    run = await write(rig, *(completed(Data(value=n)) for n in range(4)))
    pages = [len(page) async for page in rig.journal.read(NAMESPACE, run)]
    assert pages == [2, 2, 1]
    assert len(await rig.journal.load(NAMESPACE, run)) == 5


@on_virtual_time
async def test_a_log_whose_content_is_gone_cannot_be_loaded() -> None:
    rig = Rig()
    run = await write(rig, completed(LARGE))
    rig.storage.log._database[NAMESPACE].runs[run].blobs.clear()
    with pytest.raises(LookupError):
        await rig.journal.load(NAMESPACE, run)


@pytest.mark.parametrize(
    ("end", "status", "outcome"),
    [
        (
            RunCompleted(at=5, output=Data(value=7)),
            "completed",
            Outcome(output=Data(value=7)),
        ),
        (
            RunFailed(at=5, failure=Failure("INTERNAL", "why")),
            "failed",
            Outcome(failure=Failure("INTERNAL", "why")),
        ),
    ],
)
@on_virtual_time
async def test_the_list_of_runs_shows_the_end(end: Event, status: str, outcome: Outcome) -> None:
    rig = Rig()
    run = await write(rig, end)
    row = await rig.storage.runs.get(NAMESPACE, run)
    assert (row.status, row.ended_at) == (status, 5)
    assert msgspec.json.decode(row.detail, type=Outcome) == outcome


@on_virtual_time
async def test_the_list_of_runs_shows_a_sealed_output_by_reference() -> None:
    rig = Rig()
    run = await write(rig, RunCompleted(at=5, output=SECRET))
    row = await rig.storage.runs.get(NAMESPACE, run)
    outcome = msgspec.json.decode(row.detail, type=Outcome)
    assert b"row" not in row.detail
    assert outcome.output is not None
    output = await rig.journal.resolve(NAMESPACE, run, outcome.output)
    assert (output.value, output.sealed) == (SECRET.value, SECRET.sealed)


@on_virtual_time
async def test_a_question_from_before_a_fork_is_found_without_what_else_is_in_the_log() -> None:
    """The rest may be large, or gone."""
    rig = Rig()
    ask = ApprovalRequested(at=3, step="ok", about="approval", message=LARGE)
    other = ApprovalRequested(at=3, step="other", about="approval", message=Data(value="other"))
    run = await write(rig, completed(Data(value="y" * 1000)), ask, other)
    blobs = rig.storage.log._database[NAMESPACE].runs[run].blobs
    [gone] = [digest for digest, blob in blobs.items() if b"yyy" in blob.data]
    del blobs[gone]
    found = await rig.journal.asked(NAMESPACE, run, 0, "ok")
    assert found is not None
    assert (found.step, found.message.value) == ("ok", LARGE.value)
    assert found == await rig.journal.asked(NAMESPACE, run, 3, "ok")
    assert await rig.journal.asked(NAMESPACE, run, 0, "none") is None
    assert await rig.journal.asked(NAMESPACE, run, 1, "ok") is None


@on_virtual_time
async def test_the_list_of_runs_has_no_detail_of_a_run_that_waits_for_nothing() -> None:
    rig = Rig()
    async with rig.working() as worker:
        run = await rig.start(worker, await rig.put("{workflow: w, nodes: [{id: a, tool: look}]}"))
        assert (await rig.storage.runs.get(NAMESPACE, run)).detail == b""
