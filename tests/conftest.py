"""What every test may rely on."""

import pytest


@pytest.fixture
def anyio_backend() -> str:
    """Asynchronous tests (`pytest.mark.anyio`) run on the loop that the product runs on."""
    return "asyncio"
