"""A daemon whose settings let in bearers of access tokens, and who else comes to its HTTP door."""

from pathlib import Path
from typing import Any

import httpx2
import pytest
from tests.e2e.daemon import started
from tests.interaction.mcp.authorization_server import AuthorizationServer
from tests.interaction.mcp.test_http import ACCEPT, headed, modern

pytestmark = pytest.mark.anyio

SETTINGS = """\
[mcp]
hosts = ["stepwell.internal"]
origins = ["https://app.example"]
rate = 60
streams = 1

[mcp.oauth]
issuer = "{issuer}"
resource = "https://stepwell.example/mcp"
networks = ["loopback"]
scopes = ["mcp"]

[mcp.oauth.tools]
"post*" = "ledger:write"
"""


def asked(token: str = "", **headers: str) -> dict[str, Any]:
    given = {"authorization": f"Bearer {token}"} if token else {}
    return headed(modern("tools/list"), {**given, **headers})


async def test_a_daemon_holds_its_http_door_as_its_settings_say(tmp_path: Path) -> None:
    server = AuthorizationServer("https://stepwell.example/mcp")
    async with (
        server.listening(),
        started(tmp_path, SETTINGS.format(issuer=server.issuer)) as daemon,
    ):
        endpoints = daemon.home.endpoints()
        assert endpoints
        async with httpx2.AsyncClient(base_url=endpoints.http, headers=ACCEPT) as http:
            token = server.token()
            await _check(http, token)
    assert token.rpartition(".")[2] not in daemon.log


async def _check(http: httpx2.AsyncClient, token: str) -> None:
    async def status(**headers: str) -> int:
        return (await http.post("/mcp", **asked(token, **headers))).status_code

    unknown = await http.post("/mcp", **asked())
    metadata = "https://stepwell.example/.well-known/oauth-protected-resource/mcp"
    assert unknown.status_code == 401
    assert f'resource_metadata="{metadata}"' in unknown.headers["www-authenticate"]
    found = await http.get("/.well-known/oauth-protected-resource/mcp")
    assert found.json()["scopes_supported"] == ["mcp", "ledger:write"]
    assert await status() == 200
    for host in ("stepwell.internal", "stepwell.example:443"):
        assert await status(host=host) == 200
    assert await status(host="evil.example") == 421
    assert await status(origin="https://app.example") == 200
    assert await status(origin="https://evil.example") == 403
    call = modern("tools/call", name="post_line", arguments={})
    narrow = await http.post("/mcp", **headed(call, {"authorization": f"Bearer {token}"}))
    assert narrow.status_code == 403
    assert 'scope="mcp ledger:write"' in narrow.headers["www-authenticate"]
    listen = modern("subscriptions/listen", notifications={"toolsListChanged": True})
    shown = headed(listen, {"authorization": f"Bearer {token}"})
    async with http.stream("POST", "/mcp", **shown) as stream:
        assert stream.status_code == 200
        full = await http.post("/mcp", **asked(token))
        assert (full.status_code, "mcp.streams" in full.text) == (429, True)
    answers = [await http.post("/mcp", **asked(token)) for _ in range(20)]
    assert (answers[-1].status_code, "mcp.rate" in answers[-1].text) == (429, True)
