"""What a call has answered is found again by its key, for whoever it answered."""

import pytest
from tests.unit.orchestrator.rig import NAMESPACE, Rig, on_virtual_time

from stepwell.engine.events import Event, RunStarted, ToolCall
from stepwell.engine.values import Data, Failure
from stepwell.orchestrator.results import StoredResults
from stepwell_storage.records import NewRun

ROWS = Data(value={"rows": [[1]]}, sealed="datasource:shop")
QUERIES = frozenset({"db_query"})


async def results(rig: Rig, *calls: ToolCall) -> tuple[StoredResults, str]:
    """The results of a run of Ann's, and its id."""
    run = rig.new_id()
    started = RunStarted(
        at=1, workflow="call", version="v", principal="user:ann", input=Data(value={})
    )
    events: list[Event] = [started, *calls]
    await rig.journal.append(
        NAMESPACE,
        run,
        epoch=1,
        after=0,
        events=[(event, "user:ann") for event in events],
        new=NewRun("call", "v", "user:ann", 1, "one", 10),
    )
    return StoredResults(rig.storage, rig.journal), run


def called(key: str = "call", tool: str = "db_query", **answer: Data | Failure) -> ToolCall:
    return ToolCall(at=2, step="call", tool=tool, key=key, **answer)  # type: ignore[arg-type]


@on_virtual_time
async def test_an_answer_is_found_by_the_run_and_the_call_with_its_seal() -> None:
    found, run = await results(
        Rig(), called(failure=Failure("QUERY_FAILED", "no")), called(result=ROWS), called("other")
    )
    answer = await found.find(NAMESPACE, "user:ann", f"{run}/call", QUERIES)
    assert answer is not None
    assert (answer.value, answer.sealed) == (ROWS.value, ROWS.sealed)


@on_virtual_time
async def test_nobody_else_finds_it() -> None:
    found, run = await results(Rig(), called(result=ROWS))
    assert await found.find(NAMESPACE, "user:bob", f"{run}/call", QUERIES) is None
    assert await found.find("elsewhere", "user:ann", f"{run}/call", QUERIES) is None


@pytest.mark.parametrize(
    "key", ["{run}", "{run}/", "{run}/none", "no run/call", "/call", "", "\0/"]
)
def test_a_key_that_names_no_call_finds_nothing(key: str) -> None:
    @on_virtual_time
    async def look() -> None:
        found, run = await results(Rig(), called(result=ROWS))
        assert await found.find(NAMESPACE, "user:ann", key.format(run=run), QUERIES) is None

    look()


@on_virtual_time
async def test_neither_a_failure_nor_another_tool_is_an_answer() -> None:
    found, run = await results(
        Rig(),
        called(failure=Failure("QUERY_FAILED", "no")),
        called("two", "chat.post", result=ROWS),
    )
    for key in ("call", "two"):
        assert await found.find(NAMESPACE, "user:ann", f"{run}/{key}", QUERIES) is None
