"""Who changed or decided what is in the chain."""

from datetime import timedelta

import pytest
from tests.unit.orchestrator.rig import Rig, on_virtual_time
from tests.unit.orchestrator.test_service import ANN, serving

from stepwell.errors import Unavailable
from stepwell.orchestrator.audit import Audit
from stepwell_storage import errors as storage_errors
from stepwell_storage.chain import hash_of
from stepwell_storage.records import Deed


async def told(rig: Rig) -> list[tuple[str, str, str, str]]:
    entries = await rig.storage.audit.read(ANN.namespace)
    assert all(it.hash == hash_of(ANN.namespace, it) for it in entries)
    return [(it.principal, it.action, it.resource, it.detail) for it in entries]


@on_virtual_time
async def test_what_people_set_is_told_with_who_set_it() -> None:
    rig = Rig()
    async with serving(rig) as service:
        put = await service.get_workflow(ANN, "one")
        await service.queues.put_queue(ANN, "mail", concurrency=3)
        await service.queues.remove_queue(ANN, "mail")
        await service.retention.set_retention(ANN, timedelta(hours=1))
        await service.datasources.add(ANN, "shop", "postgresql://me:secret@host/shop?sslkey=x")
        await service.datasources.remove(ANN, "shop")

    who = ANN.principal
    assert await told(rig) == [
        (who, "workflow.put", "workflow/one", f'{{"version":"{put.version}"}}'),
        (who, "queue.put", "queue/mail", '{"concurrency":"3"}'),
        (who, "queue.remove", "queue/mail", "{}"),
        (who, "retention.set", "retention", '{"keep":"1h"}'),
        (who, "datasource.add", "datasource/shop", '{"url":"postgresql://me:***@host/shop?***"}'),
        (who, "datasource.remove", "datasource/shop", "{}"),
    ]


@on_virtual_time
async def test_what_is_done_to_runs_is_told_without_what_was_said() -> None:
    rig = Rig()
    async with serving(rig) as service:
        run, _ = await service.start_run(ANN, "one", {"q": "?"})
        await service.controls.pause_run(ANN, run.id, "a secret reason")
        await service.controls.resume_run(ANN, run.id)
        await service.controls.cancel_run(ANN, run.id, "another one")

    told_of_runs = [it for it in await told(rig) if it[1].startswith("run.")]
    assert told_of_runs == [
        (ANN.principal, "run.pause", f"run/{run.id}", "{}"),
        (ANN.principal, "run.resume", f"run/{run.id}", "{}"),
        (ANN.principal, "run.cancel", f"run/{run.id}", "{}"),
    ]


class Unsteady:
    """A chain that cannot be written so many times."""

    def __init__(self, rig: Rig, failures: int) -> None:
        self._real = rig.storage.audit
        self._failures = failures

    async def append(self, namespace: str, deed: Deed) -> int:
        if self._failures:
            self._failures -= 1
            raise storage_errors.Unavailable
        return await self._real.append(namespace, deed)


@on_virtual_time
async def test_an_entry_that_could_not_be_written_is_tried_again() -> None:
    rig = Rig()
    rig.storage.audit = Unsteady(rig, 2)  # type: ignore[assignment]
    assert await Audit(rig.storage, rig.clock).record("default", "user:ann", "a.b", "a/1") == 1

    rig.storage.audit = Unsteady(rig, 3)  # type: ignore[assignment]
    with pytest.raises(Unavailable):
        await Audit(rig.storage, rig.clock).record("default", "user:ann", "a.b", "a/1")
