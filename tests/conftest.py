"""What every test may rely on."""

from collections.abc import AsyncIterator, Iterator

import pytest
from tests.processes import end_processes_in


@pytest.fixture(scope="session", autouse=True)
def no_process_outlives_the_tests(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A daemon that is forgotten keeps its ports, and the next session fails of it."""
    yield
    left = end_processes_in(tmp_path_factory.getbasetemp())
    assert not left, f"these were left running, and are ended now: {left}"


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """Asynchronous tests (`pytest.mark.anyio`) run on the loop that the product runs on."""
    return "asyncio"


@pytest.fixture(scope="session")
async def one_loop(anyio_backend: str) -> AsyncIterator[None]:
    """All tests from here on share a loop: gRPC has one poller a process, which misses a closed one."""
    yield  # noqa: PT022 - the loop lives as long as this fixture is open
