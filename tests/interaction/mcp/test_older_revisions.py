"""The SDK's client at 2025-06-18, which many hosts still speak: it lists, calls, is told and reads."""

from pathlib import Path

import pytest
from tests.interaction.mcp.conftest import DOORS, PATIENT

from stepwell.orchestrator.service import Service
from stepwell_mcp.server import build_server

pytestmark = pytest.mark.anyio

REVISION = "2025-06-18"


@pytest.mark.parametrize("door", DOORS)
async def test_a_client_of_an_older_revision_lists_calls_and_reads(
    service: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, door: str
) -> None:
    monkeypatch.setattr("mcp.client.session.LATEST_HANDSHAKE_VERSION", REVISION)
    server = build_server(service, wait=PATIENT)
    async with DOORS[door](server, tmp_path, "legacy") as client:
        assert client.protocol_version == REVISION
        names = {tool.name for tool in (await client.list_tools()).tools}
        told: list[float] = []

        async def hear(progress: float, total: float | None, message: str | None) -> None:
            told.append(progress)

        result = await client.call_tool("add", {"a": 1, "b": 2}, progress_callback=hear)
        templates = (await client.list_resource_templates()).resource_templates
        run = (result.meta or {})["stepwell/run"]
        read = (await client.read_resource(f"stepwell://runs/{run}")).contents

    assert {"add", "echo", "run_get"} <= names
    assert result.content[0].model_dump()["text"] == '{"total":3}'
    assert result.structured_content == {"total": 3}
    assert told == sorted(told)
    assert told
    assert "stepwell://runs/{run}" in {template.uri_template for template in templates}
    assert run in read[0].model_dump_json()
