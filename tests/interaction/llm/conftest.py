"""A provider on loopback, and our router in front of it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

import pytest
from tests.interaction.llm.fake_provider import FakeProvider, serving
from tests.interaction.llm.wires import WIRES, Wire

from stepwell.config import ProviderSettings
from stepwell.llm.port import Model
from stepwell.llm.router import ModelRouter

KEY = "sk-secret"


@asynccontextmanager
async def routed(
    wire: Wire, url: str, *, timeout: timedelta, structured_output: bool = True
) -> AsyncIterator[Model]:
    settings = ProviderSettings(
        base_url=url + wire.version,
        api_key_env=wire.key_variable,
        timeout=timeout,
        structured_output=structured_output,
    )
    router = ModelRouter(
        {"small": f"{wire.provider}:m"},
        providers={wire.provider: settings},
        environ={wire.key_variable: KEY},
    )
    try:
        yield router.resolve("default", "small")
    finally:
        await router.aclose()


@pytest.fixture(params=WIRES, ids=repr)
def wire(request: pytest.FixtureRequest) -> Wire:
    """Each wire form in turn; a module about one of them overrides this."""
    chosen: Wire = request.param
    return chosen


@pytest.fixture
async def provider(wire: Wire) -> AsyncIterator[FakeProvider]:
    """The scripted server."""
    async with serving(wire.check) as server:
        yield server


@pytest.fixture
async def model(wire: Wire, provider: FakeProvider) -> AsyncIterator[Model]:
    """The class `small`, bound to the scripted server."""
    async with routed(wire, provider.url, timeout=timedelta(seconds=5)) as routed_model:
        yield routed_model
