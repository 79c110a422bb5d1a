"""Lists come in pages, whatever they list."""

import sqlite3
from pathlib import Path

import grpc
import pytest

from stepwell.client import Client
from stepwell.v1 import datasource_service_pb2, run_service_pb2, workflow_service_pb2
from stepwell.v1.datasource_service_pb2_grpc import DatasourceServiceStub
from stepwell.v1.run_service_pb2_grpc import RunServiceStub
from stepwell.v1.workflow_service_pb2_grpc import WorkflowServiceStub

pytestmark = pytest.mark.anyio


async def test_workflows_come_in_pages(client: Client, channel: grpc.aio.Channel) -> None:
    stub = WorkflowServiceStub(channel)
    request = workflow_service_pb2.ListWorkflowsRequest(page_size=1)
    first = await stub.ListWorkflows(request)
    request.page_token = first.next_page_token
    second = await stub.ListWorkflows(request)

    assert [workflow.name for page in (first, second) for workflow in page.workflows] == [
        "hello",
        "hold",
    ]
    assert second.next_page_token == ""


async def test_steps_come_in_pages(client: Client, channel: grpc.aio.Channel) -> None:
    nodes = "".join(f"  - {{ id: n{number}, transform: {number} }}\n" for number in range(5))
    await client.workflows.put(f"workflow: many\nnodes:\n{nodes}")
    run = await client.run("many")
    await client.wait(run.id)

    request = run_service_pb2.ListStepsRequest(run=f"runs/{run.id}", page_size=2)
    pages = [await RunServiceStub(channel).ListSteps(request)]
    while pages[-1].next_page_token:
        request.page_token = pages[-1].next_page_token
        pages.append(await RunServiceStub(channel).ListSteps(request))

    assert [len(page.steps) for page in pages] == [2, 2, 1]
    assert [step.id for page in pages for step in page.steps] == ["n0", "n1", "n2", "n3", "n4"]
    assert [step.id for step in await client.steps(run.id)] == ["n0", "n1", "n2", "n3", "n4"]


async def test_datasources_come_in_pages(
    client: Client, channel: grpc.aio.Channel, tmp_path: Path
) -> None:
    path = tmp_path / "shop.db"
    database = sqlite3.connect(path)
    database.execute("create table sale (id integer primary key)")
    database.close()
    for name in ("b", "a"):
        await client.datasources.create(name, f"sqlite:///{path}")

    request = datasource_service_pb2.ListDatasourcesRequest(page_size=1)
    first = await DatasourceServiceStub(channel).ListDatasources(request)
    request.page_token = first.next_page_token
    second = await DatasourceServiceStub(channel).ListDatasources(request)

    assert [first.datasources[0].name, second.datasources[0].name] == ["a", "b"]
    assert second.next_page_token == ""


async def test_a_made_up_page_token_is_refused(channel: grpc.aio.Channel) -> None:
    for token in ("made up", "bm90LWEtbnVtYmVy"):
        request = run_service_pb2.ListStepsRequest(run="runs/r-1", page_token=token)
        with pytest.raises(grpc.aio.AioRpcError, match="page token") as refused:
            await RunServiceStub(channel).ListSteps(request)
        assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
