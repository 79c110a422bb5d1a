"""What a run learns of what it may spend."""

from typing import Any

import pytest
from msgspec.structs import replace
from tests.unit.engine.story import Story

from stepwell.engine.budgets import amount_text, exhausted_words, least, rows_in
from stepwell.engine.commands import CallModel, CallTool
from stepwell.engine.events import BudgetExhausted, BudgetRaised
from stepwell.engine.inputs import BudgetShort, Pause, RaiseBudget, Resume
from stepwell.engine.objections import objection
from stepwell.engine.values import Data
from stepwell.errors import Code

TWO = """
workflow: two
limits: { usd: "0.50", calls: 9 }
nodes:
  - { id: a, tool: look }
  - { id: b, tool: look }
"""


def short(step: str, **changed: Any) -> BudgetShort:
    given = BudgetShort(
        at=5,
        step=step,
        attempt=1,
        call="",
        resource="look",
        scope="run:r",
        unit="calls",
        limit=9,
        taken=9,
        wanted=1,
    )
    return replace(given, **changed)


def begun() -> Story:
    run = Story(TWO)
    run.start()
    return run


def test_a_run_that_has_too_little_is_paused_once_and_its_calls_wait() -> None:
    run = begun()
    asked = [it.id for it in run.due if isinstance(it, CallTool)]
    assert len(asked) == 2
    run.give(short("a"))
    assert run.state.is_paused
    assert run.state.exhausted == run.log[-1]
    assert run.log[-1] == BudgetExhausted(
        at=5, step="a", resource="look", scope="run:r", unit="calls", limit=9, taken=9, wanted=1
    )
    before = len(run.log)
    run.give(short("b"))
    assert len(run.log) == before
    assert set(asked) <= run.state.open.keys()


def test_a_run_is_paused_before_the_very_call_of_a_model_that_cannot_be_paid() -> None:
    run = Story(
        "{ workflow: w, agents: { a: { model: small } },"
        " nodes: [{ id: ask, agent: a, with: { message: hello } }] }"
    )
    run.start()
    [asked] = [it.id for it in run.due if isinstance(it, CallModel)]
    run.give(short("ask", call=2))
    assert not run.state.is_paused
    run.give(short("ask", call=1))
    assert run.state.is_paused
    assert asked in run.state.open


def test_a_run_goes_on_when_its_budget_is_raised() -> None:
    run = begun()
    run.give(short("a"))
    run.give(RaiseBudget(at=6, limits={"calls": 20}))
    assert run.log[-1] == BudgetRaised(at=6, limits={"calls": 20})
    assert (run.state.is_paused, run.state.exhausted) == (False, None)
    assert run.state.limits == {"usd_micros": 500_000, "calls": 20}


@pytest.mark.parametrize("eases", [RaiseBudget(at=6, scope="namespace/day"), Resume(at=6)])
def test_it_goes_on_too_when_there_is_more_elsewhere_or_somebody_says_so(eases: Any) -> None:
    run = begun()
    run.give(short("a", scope="namespace/day"))
    run.give(eases)
    assert not run.state.is_paused
    assert run.state.limits == {"usd_micros": 500_000, "calls": 9}


def test_what_is_no_news_teaches_nothing() -> None:
    run = begun()
    before = len(run.log)
    run.give(RaiseBudget(at=6, limits={"calls": 9}))
    run.give(RaiseBudget(at=6, scope="namespace/day"))
    run.give(short("c"))
    run.give(short("a", attempt=2))
    run.give(short("a", call=1))
    assert len(run.log) == before


def test_a_pause_by_a_person_is_not_ended_by_more_money() -> None:
    run = begun()
    run.give(Pause(at=5))
    run.give(short("a"))
    run.give(RaiseBudget(at=6, limits={"calls": 20}))
    assert run.state.is_paused
    assert run.state.limits["calls"] == 20


def test_a_budget_is_only_raised_and_only_where_there_is_one() -> None:
    run = begun()
    for limits in ({"calls": 8}, {"tokens": 5}):
        found = objection(run.state, RaiseBudget(at=6, limits=limits))
        assert found is not None
        assert found.code is Code.NOT_APPLICABLE
    for limit in (9, 10):
        assert objection(run.state, RaiseBudget(at=6, limits={"calls": limit})) is None


def test_the_smaller_of_two_limits_holds() -> None:
    assert least({"calls": 5, "tokens": 9}, {"calls": 7, "rows": 1}) == {
        "tokens": 9,
        "calls": 5,
        "rows": 1,
    }


@pytest.mark.parametrize(
    ("amount", "text"), [(0, "$0.00"), (500_000, "$0.50"), (12, "$0.000012"), (10**9, "$1000.00")]
)
def test_money_is_shown_in_dollars(amount: int, text: str) -> None:
    assert amount_text("usd_micros", amount) == text


def test_what_is_unpriced_is_said() -> None:
    event = BudgetExhausted(
        at=1, step="a", resource="small", scope="run:r", unit="usd_micros", limit=1, taken=0
    )
    assert "nobody knows what small costs" in exhausted_words(event)


def test_only_rows_of_a_datasource_are_counted() -> None:
    rows = {"rows": [[1], [2]]}
    assert rows_in(Data(value=rows, sealed="datasource:shop")) == 2
    assert rows_in(Data(value=rows)) == 0
    assert rows_in(Data(value="text", sealed="datasource:shop")) == 0
    assert rows_in(None) == 0
