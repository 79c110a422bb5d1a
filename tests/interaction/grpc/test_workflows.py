"""WorkflowService, from a client to the store and back."""

import pytest

from stepwell.client import Client
from stepwell.errors import Code, InvalidRequest, NotFound

pytestmark = pytest.mark.anyio

DOCUMENT = "workflow: one\nnodes:\n  - { id: a, transform: 1 }\n"
BROKEN = "workflow: one\nnodes:\n  - { id: a, tol: add }\n  - { id: a, transform: '=b.output' }\n"


async def test_a_workflow_is_kept_byte_for_byte_under_its_digest(client: Client) -> None:
    put = await client.workflows.put(DOCUMENT)
    got = await client.workflows.get("one")

    assert (put.name, put.source, put.principal) == ("one", DOCUMENT.encode(), "user:local")
    assert (put.created, got.created) == (True, False)
    assert got.version == put.version
    assert got.source == put.source


async def test_the_same_document_is_the_same_version(client: Client) -> None:
    first = await client.workflows.put(DOCUMENT)
    again = await client.workflows.put(DOCUMENT)

    assert (again.created, again.version) == (False, first.version)


async def test_an_older_version_stays_available(client: Client) -> None:
    first = await client.workflows.put(DOCUMENT)
    second = await client.workflows.put(DOCUMENT.replace("transform: 1", "transform: 2"))

    assert (await client.workflows.get("one")).version == second.version
    assert (await client.workflows.get("one", first.version)).source == first.source


async def test_the_list_has_the_newest_versions_by_name_without_sources(client: Client) -> None:
    workflows = await client.workflows.list()

    assert [(found.name, found.source) for found in workflows] == [("hello", b""), ("hold", b"")]
    assert workflows[0].description == "Says hello."
    assert workflows[0].input_schema["properties"] == {"name": {"type": "string"}}


async def test_a_check_tells_every_problem_with_its_place(client: Client) -> None:
    assert await client.workflows.check(DOCUMENT) == ()

    problems = await client.workflows.check(BROKEN)
    assert len(problems) >= 2
    first = problems[0]
    assert (first.line, first.path) == (3, "nodes[0].tol")
    assert "tool" in first.hint


async def test_a_document_with_problems_is_not_stored(client: Client) -> None:
    with pytest.raises(InvalidRequest) as refused:
        await client.workflows.put(BROKEN)

    assert refused.value.code is Code.INVALID_DEFINITION
    assert "nodes[0].tol" in refused.value.detail
    with pytest.raises(NotFound):
        await client.workflows.get("one")


async def test_an_unknown_workflow_is_not_found(client: Client) -> None:
    with pytest.raises(NotFound) as refused:
        await client.workflows.get("nope")

    assert refused.value.code is Code.WORKFLOW_NOT_FOUND
