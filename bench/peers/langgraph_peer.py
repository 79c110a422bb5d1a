"""LangGraph with its asynchronous checkpointers, a thread for each run.

`durability="sync"`, where a step begins after the checkpoint of the one before is written: that
is what a durable step means here. Its default writes meanwhile.
"""

import operator
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any, TypedDict

from langgraph.checkpoint.postgres.aio import AsyncPostgresSaver
from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver
from langgraph.graph import END, START, StateGraph
from langgraph.types import Send
from psycopg.rows import dict_row
from psycopg_pool import AsyncConnectionPool

from bench.peers.assignment import Assignment, carry_out
from bench.trial import STEPS, step_result, stored_bytes

POOL = 20


class Chain(TypedDict):
    """The state of a run: the last result, and how many there were."""

    last: dict[str, object]
    done: int


class Fan(TypedDict):
    """The state of a fan-out, and what each of its steps is sent."""

    items: int
    number: int
    results: Annotated[list[dict[str, object]], operator.add]


class LangGraphPeer:
    """See `assignment.Peer`."""

    def __init__(self, assignment: Assignment, saver: Any) -> None:
        self._url = assignment.url
        self._chain = _chain().compile(checkpointer=saver)
        self._fan = _fan().compile(checkpointer=saver)
        self._runs = 0

    def stored_bytes(self) -> int:
        return stored_bytes(self._url)

    async def run(self) -> None:
        state: Chain = {"last": {}, "done": 0}
        ended = await self._chain.ainvoke(state, self._thread(), durability="sync")
        assert ended["done"] == STEPS

    async def fan_out(self, items: int) -> None:
        state: Fan = {"items": items, "number": 0, "results": []}
        ended = await self._fan.ainvoke(state, self._thread(), durability="sync")
        assert len(ended["results"]) == items

    def _thread(self) -> dict[str, dict[str, str]]:
        self._runs += 1
        return {"configurable": {"thread_id": f"run-{self._runs}"}}


def _chain() -> Any:
    graph = StateGraph(Chain)
    before = START
    for number in range(STEPS):

        async def step(state: Chain, number: int = number) -> dict[str, object]:
            return {"last": step_result(number), "done": state["done"] + 1}

        graph.add_node(f"s{number}", step)
        graph.add_edge(before, f"s{number}")
        before = f"s{number}"
    graph.add_edge(before, END)
    return graph


def _fan() -> Any:
    async def step(state: Fan) -> dict[str, object]:
        return {"results": [step_result(state["number"])]}

    def spread(state: Fan) -> list[Send]:
        return [Send("step", {"number": number}) for number in range(state["items"])]

    graph = StateGraph(Fan)
    graph.add_node("step", step)
    graph.add_conditional_edges(START, spread, ["step"])
    graph.add_edge("step", END)
    return graph


@asynccontextmanager
async def opened(assignment: Assignment) -> AsyncIterator[LangGraphPeer]:
    """LangGraph on the database, its tables made."""
    if assignment.file is not None:
        async with AsyncSqliteSaver.from_conn_string(str(assignment.file)) as saver:
            await saver.setup()  # this chooses the write-ahead log
            await saver.conn.execute("PRAGMA synchronous = FULL")
            yield LangGraphPeer(assignment, saver)
        return
    settings = {"autocommit": True, "prepare_threshold": 0, "row_factory": dict_row}
    async with AsyncConnectionPool(
        assignment.url, min_size=4, max_size=POOL, kwargs=settings
    ) as pool:
        saver = AsyncPostgresSaver(pool)
        await saver.setup()
        yield LangGraphPeer(assignment, saver)


if __name__ == "__main__":
    carry_out(opened)
