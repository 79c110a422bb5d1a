"""Rules of data are checked, explained and tested with the rest of the policy."""

from collections.abc import Collection

import pytest
from msgspec.structs import replace
from tests.unit.orchestrator.test_policies import AGENT, ANN, House
from tests.unit.policy.data.shop import shop

from stepwell.errors import Code, Denied, InvalidRequest, NotFound
from stepwell.orchestrator.data_trials import DataQuestion
from stepwell.policy.data.check import Known
from stepwell.policy.data.port import Asker
from stepwell.policy.problems import InvalidPolicy
from stepwell.policy.source import PolicyFile

pytestmark = pytest.mark.anyio

TEXT = """
@id("read") @columns("id, name, email") @mask("email: redact") @rows("tenant_id = principal.tenant")
permit(principal in Group::"support", action == Action::"db_read", resource == Table::"shop.customers");
@id("close")
permit(principal in Group::"support", action in [Action::"db_read", Action::"db_update"],
       resource == Table::"shop.orders");
@mode("log_only") @id("trial") @columns("name")
forbid(principal, action == Action::"db_read", resource == Table::"shop.customers");
"""
FILES = [PolicyFile("shop.cedar", TEXT)]

CASES = """
databases:
  shop: { tables: { customers: { id: integer, name: text, email: text, ssn: text, tenant_id: integer },
                    orders: { id: integer, status: text } } }
cases:
  - name: support sees its own customers
    data: shop
    table: customers
    attributes: { tenant: "42", groups: support }
    expect: allow
    columns: [id, name, email]
    masks: { email: redact }
    rows: '("tenant_id" = 42)'
    rules: [read]
  - { name: no tenant, data: shop, table: customers, groups: [support], expect: deny }
  - { name: closing, data: shop, table: orders, groups: [support], action: update, expect: allow,
      columns: [id, status] }
  - { name: wrong, data: shop, table: orders, groups: [support], expect: allow, columns: [id],
      rows: "x" }
  - { name: others, data: shop, table: orders, expect: allow }
  - { name: a call, tool: db.look, expect: deny, principal: "agent:a" }
"""


class Shops:
    """A shop that is known, and a database that cannot be read."""

    async def known(self, namespace: str, wanted: Collection[str]) -> Known:
        """Both."""
        return Known({"shop": shop(), "away": None})


@pytest.fixture
def house() -> House:
    return House(databases=Shops())


async def test_names_are_checked_against_the_databases_that_are_known(house: House) -> None:
    wrong = TEXT.replace("email: redact", "emial: redact").replace("name, email", "name, emial")
    told = await house.policies.check(ANN, [PolicyFile("shop.cedar", wrong)])
    assert [str(one) for one in told] == [
        (
            "shop.cedar:2:33: @columns: there is no column emial in table customers; did you mean "
            "`email`?"
        ),
        "shop.cedar:2:48: @mask: there is no column emial in table customers; did you mean `email`?",
    ]
    with pytest.raises(InvalidPolicy):
        await house.policies.apply(ANN, [PolicyFile("shop.cedar", wrong)])
    away = TEXT.replace("shop.", "away.").replace("name, email", "name, emial, email")
    assert await house.policies.check(ANN, [PolicyFile("shop.cedar", away)]) == ()


async def test_what_is_applied_decides_what_is_there(house: House) -> None:
    who = Asker(principal="agent:a", groups=frozenset({"support"}), attributes={"tenant": ("7",)})
    assert set(house.book.access_of("default", who, "shop", shop()).tables) == {
        "customers",
        "orders",
    }
    applied, _ = await house.policies.apply(ANN, FILES)
    access = house.book.access_of("default", who, "shop", shop(), salt="s")
    assert access.tables["customers"].rows == '("tenant_id" = 7)'
    assert (access.policy, access.salt) == (applied.version, "s")
    await house.others.refresh()
    assert house.other_book.access_of("default", who, "shop", shop(), salt="s") == access
    await house.policies.withdraw(ANN)
    open_again = house.book.access_of("default", who, "shop", shop())
    assert open_again.policy == "open"


async def test_every_table_is_explained(house: House) -> None:
    question = DataQuestion(
        datasource="shop", attributes={"tenant": ("7",), "groups": ("support",)}
    )
    found = await house.trials.explain_data(ANN, question, FILES)
    customers, orders = found.tables
    assert (found.is_open, found.most_rows) == (False, 1000)
    assert customers.access is not None
    assert customers.rules == ("read",)
    assert customers.on_trial == ('reads id, email; email as redact; rows where ("tenant_id" = 7)')
    assert orders.access is not None
    assert orders.on_trial == ""
    missing = await house.trials.explain_data(
        ANN, replace(question, attributes={}, groups=frozenset({"support"})), FILES
    )
    assert missing.tables[0].access is None
    assert missing.tables[0].notes == (
        "read opens nothing: the principal has no attribute tenant, which its row filter needs",
    )
    assert (await house.trials.explain_data(ANN, question)).is_open


@pytest.mark.parametrize(
    ("datasource", "said"), [("shpo", "did you mean 'shop'?"), ("away", "cannot be read now")]
)
async def test_what_is_not_known_cannot_be_explained(
    house: House, datasource: str, said: str
) -> None:
    with pytest.raises(NotFound) as error:
        await house.trials.explain_data(ANN, DataQuestion(datasource=datasource), FILES)
    assert error.value.code is Code.DATASOURCE_NOT_FOUND
    assert said in error.value.message


async def test_an_agent_is_told_nothing(house: House) -> None:
    with pytest.raises(Denied):
        await house.trials.explain_data(AGENT, DataQuestion(datasource="shop"))


async def test_cases_of_data_say_what_should_be_there() -> None:
    house = House()  # knows no database: the cases bring theirs
    results = await house.trials.test(ANN, CASES.encode(), FILES)
    assert [(one.name, one.decision.effect, one.problem) for one in results] == [
        ("support sees its own customers", "allow", ""),
        ("no tenant", "deny", ""),
        ("closing", "allow", ""),
        ("wrong", "allow", "columns: expected id, it is id, status; rows: expected x, it is none"),
        ("others", "deny", "expected allow, it is deny"),
        ("a call", "deny", ""),
    ]


@pytest.mark.parametrize(
    ("case", "said"),
    [
        ("{ data: shop, table: orders, expect: maybe }", "$.cases[0].expect"),
        ("{ data: shop, table: orders, expect: allow, tool: x }", "$.cases[0]"),
        ("{ tool: x, expect: allow, usage: 1 }", "$.cases[0].usage"),
        ("{ data: shop, table: ordres, expect: allow }", "did you mean 'orders'?"),
        ("{ data: shpo, table: orders, expect: allow }", "did you mean 'shop'?"),
    ],
)
async def test_cases_that_cannot_be_read_are_told(house: House, case: str, said: str) -> None:
    with pytest.raises((InvalidRequest, NotFound)) as error:
        await house.trials.test(ANN, f"cases: [{case}]".encode(), FILES)
    assert said in error.value.message
