"""Whatever a pattern understands, a model can fill in: the form of a plan means that plan."""

from collections.abc import Sequence

import msgspec
import pytest
from bench.nldb.forms import form_of
from jsonschema_rs import validator_for
from tests.unit.nldb.keyless.databases import SHOP, STAFF, database, understood, world
from tests.unit.nldb.keyless.test_questions import ANSWERS

from stepwell.nldb.keyless.matcher import Understood
from stepwell.nldb.plan.filled import plan_of
from stepwell.nldb.plan.form import SCHEMA
from stepwell.nldb.plan.model import Condition, Delete, Exists, Insert, Plan, Select, Update

CHANGES = [
    (SHOP, "Please delete the categories that have no products"),
    (SHOP, "Delete cancelled orders"),
    (SHOP, "Set the city of Ben Carter to York"),
    (SHOP, "Raise the price of all Tea products by 10 percent"),
    (SHOP, "Add a new category called Cakes"),
    (STAFF, "Add Tom Okafor to the project Cumulus"),
    (STAFF, "Remove Mia Chen from Borealis"),
]


@pytest.mark.parametrize(
    ("ddl", "question"), [*(one[:2] for one in ANSWERS), *CHANGES], ids=lambda value: value[:60]
)
def test_the_form_of_a_plan_means_the_plan(ddl: str, question: str) -> None:
    made = database(ddl)
    outcome = understood(question, made)
    assert isinstance(outcome, Understood), outcome

    form = form_of(outcome.plan)

    assert in_order(plan_of(form, world(made).catalog)) == in_order(outcome.plan)
    validator_for(SCHEMA).validate(msgspec.to_builtins(form))


def in_order(plan: Plan) -> Plan:
    """The plan with its conditions sorted, which hold all together, and without what it assumes."""
    match plan:
        case Select():
            return msgspec.structs.replace(plan, where=in_order_of(plan.where), assumptions=())
        case Update() | Delete():
            return msgspec.structs.replace(plan, where=in_order_of(plan.where), assumptions=())
        case Insert():
            return msgspec.structs.replace(plan, assumptions=())


def in_order_of(conditions: Sequence[Condition]) -> tuple[Condition, ...]:
    inner = [
        msgspec.structs.replace(one, where=in_order_of(one.where))
        if isinstance(one, Exists)
        else one
        for one in conditions
    ]
    return tuple(sorted(inner, key=msgspec.json.encode))
