"""The pages over real sockets, beside MCP, as a daemon serves them; the approvals are a double."""

import re
import socket
from collections.abc import AsyncIterator, Callable, Mapping
from datetime import timedelta
from functools import partial
from pathlib import Path
from types import MappingProxyType

import httpx2
import pyotp
import pytest
from tests.interaction.web.desk import Desk

from stepwell.bootstrap import open_runtime
from stepwell.clock import SystemClock
from stepwell.config import load_settings
from stepwell.orchestrator.authentication import Authentication
from stepwell.orchestrator.service import Service
from stepwell.principals import LOCAL_USER, Caller
from stepwell_mcp.http import McpHttp
from stepwell_mcp.server import build_server
from stepwell_server.http import HttpServer
from stepwell_server.web.app import make_app
from stepwell_server.web.lazily import mounted

OWNER_TOKEN = "the owner's token"


class Codes:
    """An app with the secret of a person; each code it shows is another one."""

    def __init__(self, service: Service, caller: Caller) -> None:
        self._service = service
        self._caller = caller
        self._step = SystemClock().now() // 30_000_000 - 2
        self._secret = ""

    async def enrol(self) -> "Codes":
        offer = await self._service.factors.offer_totp(self._caller)
        self._secret = offer.secret
        await self._service.factors.enrol_totp(self._caller, offer.ticket, self.next())
        return self

    def next(self) -> str:
        """One of the three that count now, and was not shown before."""
        self._step += 1
        return pyotp.HOTP(self._secret).at(self._step)


class Browser:
    """Keeps cookies, and sends forms as a browser would: of our own origin."""

    def __init__(self, http: httpx2.AsyncClient, origin: str) -> None:
        self.http = http
        self.origin = origin

    async def get(self, path: str) -> httpx2.Response:
        return await self.http.get(path)

    async def token(self, path: str) -> str:
        """The token of the forms on a page."""
        found = re.search(r'name="form_token" value="([0-9a-f]{64})"', (await self.get(path)).text)
        assert found is not None
        return found[1]

    async def post(
        self,
        path: str,
        sent: Mapping[str, str] = MappingProxyType({}),
        *,
        form_token: str | None = None,
        headers: Mapping[str, str] = MappingProxyType({}),
        **fields: str,
    ) -> httpx2.Response:
        """Sends a form with the token of this session, unless there is another."""
        token = await self.token("/sign-in") if form_token is None else form_token
        return await self.http.post(
            path,
            data={"form_token": token, **sent, **fields},
            headers={"origin": self.origin, **headers},
        )

    async def sign_in(self, token: str = OWNER_TOKEN) -> None:
        response = await self.post("/sign-in", token=token)
        assert (response.status_code, response.headers["location"]) == (303, "/approvals")


@pytest.fixture
async def service(tmp_path: Path) -> AsyncIterator[Service]:
    settings = load_settings(tmp_path / "home", {}, {"storage.url": "memory:"})
    async with open_runtime(settings, environ={}, http_port=7421) as runtime:
        yield runtime.service


@pytest.fixture
def desk(service: Service) -> Desk:
    desk = Desk(service.factors)
    service.approvals = desk  # type: ignore[assignment]
    return desk


@pytest.fixture
async def port(service: Service, desk: Desk) -> AsyncIterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        authentication = Authentication(service.api_keys.identify, OWNER_TOKEN)
        pages = partial(
            make_app,
            service,
            authentication,
            origin=f"http://localhost:{port}",
            owner_token=OWNER_TOKEN,
            clock=SystemClock(),
        )
        mcp = McpHttp(build_server(service), authentication)
        http = HttpServer([*mcp.routes, *mounted(pages)], drain=timedelta(seconds=1))
        async with http.draining(), mcp.running():
            await http.listen(listener)
            yield port


@pytest.fixture
async def browsers(port: int) -> AsyncIterator[Callable[[], Browser]]:
    """As many browsers as a test wants."""
    opened: list[httpx2.AsyncClient] = []

    def browser() -> Browser:
        origin = f"http://127.0.0.1:{port}"
        opened.append(httpx2.AsyncClient(base_url=origin))
        return Browser(opened[-1], origin)

    yield browser
    for client in opened:
        await client.aclose()


@pytest.fixture
def browser(browsers: Callable[[], Browser]) -> Browser:
    return browsers()


@pytest.fixture
async def codes(service: Service) -> Codes:
    """The app of `user:local`."""
    return await Codes(service, LOCAL_USER).enrol()
