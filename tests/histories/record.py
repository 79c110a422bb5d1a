"""Records the history of a run: `python -m tests.histories.record URL RUN ABOUT > NAME.json`."""

import asyncio
import sys
from typing import Any

import msgspec

from stepwell.definitions.builtin import CALL, CALL_DOCUMENT
from stepwell.definitions.compile import compile_definition
from stepwell.definitions.loader import load
from stepwell.engine import codec
from stepwell.engine.commands import WakeAt
from stepwell.engine.due import due
from stepwell.engine.events import RunForked, RunStarted
from stepwell.engine.evolve import evolve
from stepwell.engine.graph import Graph
from stepwell.engine.state import RunState
from stepwell.principals import DEFAULT_NAMESPACE
from stepwell_storage.open import open_storage
from stepwell_storage.ports import Storage
from stepwell_storage.records import Blob, Record

MOST = 10_000
"""Events of a history that a person may still want to read."""


async def history_of(storage: Storage, namespace: str, run: str, about: str) -> dict[str, Any]:
    """What a file of this folder holds: the log of a run, and what follows from it."""
    records = await _records(storage, namespace, run)
    events = [codec.decode(record.kind, record.body) for record in records]
    started = events[0]
    assert isinstance(started, RunStarted), "a log begins with run_started"
    digests = sorted({digest for event in events for digest in codec.references(event)})
    blobs = await storage.blobs.get(namespace, run, digests)
    document = CALL_DOCUMENT
    if started.workflow != CALL.name:
        row = await storage.definitions.get(namespace, started.workflow, started.version)
        document = load(row.source).value
    history = {
        "about": about,
        "run": run,
        "definition": document,
        "records": [
            {
                "sequence": record.sequence,
                "kind": record.kind,
                "principal": record.principal,
                "body": msgspec.json.decode(record.body),
            }
            for record in records
        ],
        "blobs": {
            digest: {"label": blob.label, "content": msgspec.json.decode(blob.data)}
            for digest, blob in blobs.items()
        },
    }
    return {**history, "state": shown(fold(history))}


async def _records(storage: Storage, namespace: str, run: str) -> list[Record]:
    """What made a run what it is: of a fork, what it shares with the other run comes first."""
    own = await storage.log.read(namespace, run, limit=MOST)
    first = codec.decode(own[0].kind, own[0].body)
    if not isinstance(first, RunForked):
        return own
    return [*(await _records(storage, namespace, first.run))[: first.sequence], *own]


def fold(history: dict[str, Any]) -> RunState:
    """The state that the records lead to, read as a worker reads them."""
    state = RunState(history["run"], graph_of(history["definition"]))
    blobs = {digest: _blob(digest, kept) for digest, kept in history["blobs"].items()}
    for kept in history["records"]:
        body = msgspec.json.encode(kept["body"])
        record = Record(kept["sequence"], kept["kind"], kept["principal"], body)
        evolve(state, codec.fill(codec.decode(record.kind, record.body), blobs))
    return state


def graph_of(document: dict[str, Any]) -> Graph:
    """The workflow version of a history."""
    if document["workflow"] == CALL.name:
        return CALL
    return compile_definition(msgspec.json.encode(document), tools=None)


def shown(state: RunState) -> dict[str, Any]:
    """What must never change for this log: where the run is, and what is due when all is."""
    steps = {
        step.id: {
            "node": step.node,
            "phase": step.phase,
            "attempt": step.attempt,
            "output": step.output.value,
            "sealed": step.sealed,
            "messages": step.conversation.messages if step.conversation else None,
        }
        for step in state.steps.values()
    }
    seen = {
        "phase": state.phase,
        "sequence": state.sequence,
        "output": state.output.value,
        "sealed": state.output.sealed,
        "failure": state.failure,
        "steps": steps,
        "due": [it.id for it in due(state, sys.maxsize) if not isinstance(it, WakeAt)],
    }
    decoded: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(seen))
    return decoded


def _blob(digest: str, kept: dict[str, Any]) -> Blob:
    content = msgspec.json.encode(kept["content"])
    return Blob(digest, len(content), content, kept["label"])


async def _main(url: str, run: str, about: str) -> None:
    storage = open_storage(url)
    await storage.open()
    try:
        history = await history_of(storage, DEFAULT_NAMESPACE, run, about)
    finally:
        await storage.close()
    print(msgspec.json.format(msgspec.json.encode(history), indent=2).decode())


if __name__ == "__main__":
    asyncio.run(_main(*sys.argv[1:]))
