"""The trivial step that is measured."""

from bench.trial import step_result
from stepwell import tool


@tool(idempotent=True)
async def step(number: int) -> dict[str, object]:
    """Does nothing, and says so."""
    return step_result(number)
