"""Logs that earlier versions wrote lead to the state that they led to then, for ever."""

from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.histories.record import fold, graph_of, history_of, shown
from tests.unit.orchestrator.rig import NAMESPACE, Rig, on_virtual_time, until

from stepwell.engine import codec
from stepwell.engine.events import KINDS

FOLDER = Path(__file__).parents[2] / "histories"
FILES = sorted(FOLDER.glob("*.json"))


def read(path: Path) -> dict[str, Any]:
    history: dict[str, Any] = msgspec.json.decode(path.read_bytes())
    return history


@pytest.fixture(params=FILES, ids=lambda path: path.stem)
def history(request: pytest.FixtureRequest) -> dict[str, Any]:
    return read(request.param)


def test_a_recorded_log_leads_to_the_recorded_state(history: dict[str, Any]) -> None:
    assert shown(fold(history)) == history["state"]


def test_a_recorded_definition_still_has_its_version(history: dict[str, Any]) -> None:
    """A run keeps its version, which is named by the digest of its source."""
    started = history["records"][0]["body"]
    assert graph_of(history["definition"]).version == started["version"]


def test_a_recorded_blob_still_has_its_digest(history: dict[str, Any]) -> None:
    for digest, kept in history["blobs"].items():
        assert codec.digest(msgspec.json.encode(kept["content"])) == digest


def test_the_histories_hold_every_kind_of_event() -> None:
    """A kind that is added comes with a history that holds it."""
    seen = {record["kind"] for path in FILES for record in read(path)["records"]}
    assert seen == KINDS.keys()


@on_virtual_time
async def test_a_run_is_recorded_with_all_that_its_fold_needs() -> None:
    rig = Rig()
    graph = await rig.put("{ workflow: one, nodes: [{ id: look, tool: look }] }")
    async with rig.working() as worker:
        run = await rig.start(worker, graph)
        (await rig.effects.next()).returns("x" * 20_000)
        await until(lambda: worker.open_runs == 0)
    history = await history_of(rig.storage, NAMESPACE, run, "a large result")
    assert history["state"]["phase"] == "completed"
    assert len(history["blobs"]) > 0
    assert shown(fold(history)) == history["state"]
