"""What every test may rely on."""

from collections.abc import AsyncIterator

import pytest


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """Asynchronous tests (`pytest.mark.anyio`) run on the loop that the product runs on."""
    return "asyncio"


@pytest.fixture(scope="session")
async def one_loop(anyio_backend: str) -> AsyncIterator[None]:
    """All tests from here on share a loop: gRPC has one poller a process, which misses a closed one."""
    yield  # noqa: PT022 - the loop lives as long as this fixture is open
