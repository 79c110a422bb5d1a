"""What a run learns of money and other things that it may spend so much of."""

from typing import Final

from stepwell.engine.commands import model_call_id, tool_call_id
from stepwell.engine.events import BudgetExhausted, BudgetRaised, Event
from stepwell.engine.inputs import BudgetShort, RaiseBudget
from stepwell.engine.state import RunState
from stepwell.engine.values import Data

USD_MICROS: Final = "usd_micros"
TOKENS: Final = "tokens"
CALLS: Final = "calls"
ROWS: Final = "rows"
UNITS: Final = (USD_MICROS, TOKENS, CALLS, ROWS)
"""What there are limits of: millionths of a dollar, tokens, calls of models and tools, rows read."""

DATASOURCE: Final = "datasource:"
"""What the seal of data begins with that came from a datasource."""


def least(first: dict[str, int], second: dict[str, int]) -> dict[str, int]:
    """Limits such that both hold."""
    return {
        unit: min(limits[unit] for limits in (first, second) if unit in limits)
        for unit in UNITS
        if unit in first or unit in second
    }


def short(state: RunState, given: BudgetShort) -> list[Event]:
    """A call cannot be paid: the run is paused before it, once however many calls there are."""
    if state.is_paused or not state.awaits(call_id(given)):
        return []
    return [
        BudgetExhausted(
            at=given.at,
            step=given.step,
            attempt=given.attempt,
            resource=given.resource,
            scope=given.scope,
            unit=given.unit,
            limit=given.limit,
            taken=given.taken,
            wanted=given.wanted,
        )
    ]


def call_id(given: BudgetShort) -> str:
    """The id of the command that an input is about."""
    match given.call:
        case int(number):
            return model_call_id(given.step, given.attempt, number)
        case call:
            return tool_call_id(given.step, given.attempt, call)


def raised(state: RunState, given: RaiseBudget) -> list[Event]:
    """More may be spent, or a run that has waited for that is to try again."""
    news = {unit: limit for unit, limit in given.limits.items() if state.limits.get(unit) != limit}
    if not news and state.exhausted is None:
        return []
    return [BudgetRaised(at=given.at, limits=news, scope=given.scope)]


def rows_in(result: Data | None) -> int:
    """How many rows of a datasource a result has."""
    if result is None or not result.sealed.startswith(DATASOURCE):
        return 0
    rows = result.value.get("rows") if isinstance(result.value, dict) else None
    return len(rows) if isinstance(rows, list) else 0


def exhausted_words(event: BudgetExhausted) -> str:
    """Why a run is paused, in a sentence."""
    limit, taken = amount_text(event.unit, event.limit), amount_text(event.unit, event.taken)
    if event.wanted is None:
        return (
            f"nobody knows what {event.resource} costs, and {event.scope} has a budget of {limit}; "
            "set its price under prices"
        )
    wanted = amount_text(event.unit, event.wanted)
    return (
        f"{event.resource} may need {wanted}, and of the {limit} of {event.scope} {taken} are taken"
    )


def amount_text(unit: str, amount: int) -> str:
    """An amount with its unit; money in dollars."""
    if unit != USD_MICROS:
        return f"{amount} {unit[:-1] if amount == 1 else unit}"
    dollars = f"{amount / 1_000_000:.6f}".rstrip("0")
    whole, _, rest = dollars.partition(".")
    return f"${whole}.{rest:0<2}"
