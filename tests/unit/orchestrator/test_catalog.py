"""What is told of changes of what a namespace offers, whichever process makes them."""

import asyncio
from contextlib import aclosing
from typing import Any

import pytest
from tests.unit.orchestrator.rig import NAMESPACE, Rig, on_virtual_time
from tests.unit.orchestrator.test_service import ONE, serving

from stepwell.errors import Unavailable
from stepwell.orchestrator.catalog import Catalog, Kind
from stepwell.orchestrator.service import Service
from stepwell.policy.source import PolicyFile
from stepwell.principals import LOCAL_USER, Caller
from stepwell.tools.registry import ToolRegistry
from stepwell.tools.shelf import ResourceOffer, Shelf
from stepwell_storage.errors import Unavailable as StorageUnavailable

READER = Caller(NAMESPACE, "service:mcp")
ELSEWHERE = Caller("elsewhere", "user:bob")
ALL = '@id("all") permit(principal, action, resource);'


class Watched:
    """A catalog of another process on the same store."""

    def __init__(self, rig: Rig, service: Service) -> None:
        self.tools = ToolRegistry()
        self.shelf = Shelf()
        self.policies = service.policies
        self.told: list[frozenset[Kind]] = []
        self.catalog = Catalog(
            rig.storage, tools=self.tools, policies=self.policies, shelf=self.shelf
        )

    async def watch(self) -> None:
        async with aclosing(self.catalog.watch(READER)) as changes:
            async for kinds in changes:
                self.told.append(kinds)

    async def next(self) -> frozenset[Kind]:
        async with asyncio.timeout(60):
            while not self.told:
                await asyncio.sleep(0.01)
        return self.told.pop(0)


@on_virtual_time
async def test_a_change_is_told_within_a_second_whoever_makes_it() -> None:
    rig = Rig()
    async with serving(rig) as service, asyncio.TaskGroup() as tasks:
        watched = Watched(rig, service)
        watching = tasks.create_task(watched.watch())
        assert await watched.next() == frozenset()
        begun = asyncio.get_running_loop().time()
        await service.put_workflow(LOCAL_USER, ONE + b"# anew")
        assert await watched.next() == {"workflows"}
        assert asyncio.get_running_loop().time() - begun < 1.1
        await service.policies.apply(LOCAL_USER, [PolicyFile("all.cedar", ALL)])
        assert await watched.next() == {"policy"}
        await service.datasources.add(LOCAL_USER, "shop", "sqlite:///shop.db")
        await service.datasources.remove(LOCAL_USER, "shop")
        assert await watched.next() == {"datasources"}
        watching.cancel()


@on_virtual_time
async def test_what_changes_in_this_process_is_told_at_once() -> None:
    rig = Rig()
    async with serving(rig) as service, asyncio.TaskGroup() as tasks:
        watched = Watched(rig, service)
        watching = tasks.create_task(watched.watch())
        await watched.next()
        begun = asyncio.get_running_loop().time()
        watched.shelf.add(ResourceOffer(name="note", tool="read_note", uri="note://one"))
        assert await watched.next() == {"resources"}
        assert asyncio.get_running_loop().time() - begun < 0.1
        watching.cancel()


@on_virtual_time
async def test_nobody_hears_of_other_namespaces_and_of_what_changes_no_list() -> None:
    rig = Rig()
    async with serving(rig) as service, asyncio.TaskGroup() as tasks:
        watched = Watched(rig, service)
        watching = tasks.create_task(watched.watch())
        await watched.next()
        await service.put_workflow(ELSEWHERE, ONE)
        await service.queues.put_queue(LOCAL_USER, "slow", concurrency=1)
        await asyncio.sleep(5)
        assert watched.told == []
        watching.cancel()


@on_virtual_time
async def test_a_change_that_could_not_be_read_is_told_as_soon_as_it_can(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rig = Rig()
    async with serving(rig) as service, asyncio.TaskGroup() as tasks:
        watched = Watched(rig, service)
        watching = tasks.create_task(watched.watch())
        await watched.next()

        async def fails(*_: Any, **__: Any) -> None:
            raise StorageUnavailable("away")

        with monkeypatch.context() as broken:
            broken.setattr(rig.storage.audit, "read", fails)
            await service.put_workflow(LOCAL_USER, ONE + b"# anew")
            await asyncio.sleep(3)
        assert await watched.next() == {"workflows"}
        watching.cancel()


@on_virtual_time
async def test_who_cannot_begin_to_watch_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    rig = Rig()
    async with serving(rig) as service:

        async def fails(*_: Any, **__: Any) -> None:
            raise StorageUnavailable("away")

        monkeypatch.setattr(rig.storage.audit, "head", fails)
        with pytest.raises(Unavailable):
            await anext(service.catalog.watch(READER))
