"""What data rules open for whom."""

import pytest
from tests.unit.policy.data.shop import access, decided, rules, shop

from stepwell.policy.book import PolicyBook
from stepwell.policy.data.access import ChangeAccess, TableAccess, open_access
from stepwell.policy.data.port import Asker
from stepwell.policy.ruleset import RuleSet

ALL = ("id", "name", "email", "ssn", "tenant_id", "region", "vip")
READ = '@id("read") permit(principal, action == Action::"db_read", resource in Datasource::"shop");'


def test_a_datasource_that_no_rule_names_is_open_for_reading_and_nothing_else() -> None:
    other = '@id("a") permit(principal, action == Action::"db_read", resource in Datasource::"hr");'
    assert decided(other).is_open
    assert access(other).tables == open_access(shop()).tables


def test_of_a_datasource_that_is_named_only_what_is_permitted_is_there() -> None:
    text = """@id("a")
    permit(principal == User::"ann", action == Action::"db_read", resource == Table::"shop.orders");"""
    assert set(access(text, "user:ann").tables) == {"orders"}
    assert access(text, "agent:ann").tables == {}


def test_columns_masks_rows_and_the_cap_of_a_permit() -> None:
    text = """@id("a") @columns("id, email, NAME") @mask("email: redact") @most_rows("10")
    @rows("tenant_id = principal.tenant and not vip")
    permit(principal in Group::"support", action == Action::"db_read",
           resource == Table::"shop.customers");"""
    found = access(text, groups="support", tenant="42")
    assert found.tables == {
        "customers": TableAccess(
            columns=("id", "name", "email"),
            masks={"email": "redact"},
            rows='(("tenant_id" = 42) AND (NOT "vip"))',
            writable=(),
            most_rows=10,
        )
    }
    assert found.rows_of(["customers"]) == 10
    assert found.rows_of(["orders"]) == 1000
    assert found.policy == "v1"


@pytest.mark.parametrize(
    ("known", "note"),
    [
        ({}, "a opens nothing: the principal has no attribute tenant, which its row filter needs"),
        (
            {"tenant": "1 or 1=1"},
            "a opens nothing: the attribute tenant does not fit what it is compared with (integer)",
        ),
        (
            {"tenant": "1|2"},
            (
                "a opens nothing: there is more than one tenant; compare it with "
                "`in (principal.tenant)`"
            ),
        ),
    ],
)
def test_a_rule_that_needs_an_attribute_that_is_not_there_shows_nothing(
    known: dict[str, str], note: str
) -> None:
    text = """@id("a") @rows("tenant_id = principal.tenant")
    permit(principal, action == Action::"db_read", resource == Table::"shop.customers");"""
    found = decided(text, **known)
    assert found.access.tables == {}
    assert found.why["customers"].notes == (note,)


def test_a_forbid_that_needs_an_attribute_that_is_not_there_closes_the_table() -> None:
    text = (
        READ
        + """@id("no") @rows("region = principal.region")
    forbid(principal, action, resource == Table::"shop.customers");"""
    )
    assert set(access(text).tables) == {"orders"}
    assert access(text, region="eu").tables["customers"].rows == "(NOT (\"region\" = 'eu'))"


def test_permits_of_the_same_rows_show_what_any_of_them_does() -> None:
    text = """@id("a") @columns("id, name, email") @mask("email: first, name: null") @most_rows("5")
    permit(principal, action == Action::"db_read", resource == Table::"shop.customers");
    @id("b") @columns("email, name, region") @mask("email: hash")
    permit(principal, action == Action::"db_read", resource == Table::"shop.customers");"""
    found = access(text).tables["customers"]
    assert found.columns == ("id", "name", "email", "region")
    assert found.masks == {"email": "redact"}
    assert found.most_rows is None


def test_permits_of_other_rows_show_of_every_row_what_all_of_them_do() -> None:
    text = """@id("a") @columns("id, name, region")
    permit(principal, action == Action::"db_read", resource == Table::"shop.customers");
    @id("b") @rows("tenant_id = 1") @mask("name: redact")
    permit(principal, action == Action::"db_read", resource == Table::"shop.customers");
    @id("c") @rows("tenant_id = 2") @columns("id, name, email")
    permit(principal, action == Action::"db_read", resource == Table::"shop.customers");"""
    found = decided(text)
    table = found.access.tables["customers"]
    assert (table.columns, table.rows) == (("id", "name"), "")
    assert table.masks == {"name": "redact"}
    assert found.why["customers"].notes == (
        "a, b, c show different rows, so only what all of them show of a row is there (read)",
    )


def test_rows_of_several_permits_are_joined_where_none_shows_all() -> None:
    text = """@id("a") @rows("tenant_id = 1")
    permit(principal, action == Action::"db_read", resource == Table::"shop.customers");
    @id("b") @rows("tenant_id = 2")
    permit(principal, action == Action::"db_read", resource == Table::"shop.customers");"""
    assert access(text).tables["customers"].rows == '(("tenant_id" = 1) OR ("tenant_id" = 2))'


def test_a_permit_that_another_one_covers_takes_nothing_away() -> None:
    text = (
        READ
        + """@id("own") @rows("tenant_id = 1") @columns("id, name")
    permit(principal, action == Action::"db_read", resource == Table::"shop.customers");"""
    )
    found = decided(text)
    assert found.access.tables["customers"].columns == ALL
    assert found.access.tables["customers"].rows == ""
    assert found.why["customers"].notes == ()


@pytest.mark.parametrize(
    ("annotation", "expected"),
    [
        ('@columns("SSN")', {"columns": tuple(name for name in ALL if name != "ssn")}),
        ('@mask("ssn: hash")', {"masks": {"ssn": "hash"}}),
        ('@rows("vip")', {"rows": '(NOT "vip")'}),
        ('@most_rows("3")', {"most_rows": 3}),
    ],
)
def test_a_forbid_takes_away_what_its_annotation_names(
    annotation: str, expected: dict[str, object]
) -> None:
    text = f"""{READ} @id("no") {annotation}
    forbid(principal, action == Action::"db_read", resource == Table::"shop.customers");"""
    found = access(text).tables["customers"]
    usual: dict[str, object] = {"columns": ALL, "masks": {}, "rows": "", "most_rows": None}
    shown = {name: getattr(found, name) for name in usual}
    assert shown == {**usual, **expected}


def test_a_forbid_without_an_annotation_takes_away_the_table() -> None:
    text = READ + '@id("no") forbid(principal, action, resource == Table::"shop.customers");'
    assert set(access(text).tables) == {"orders"}


def test_a_forbid_that_names_a_column_which_is_gone_closes_the_table() -> None:
    text = (
        READ
        + """@id("no") @columns("social_no")
    forbid(principal, action, resource == Table::"shop.customers");"""
    )
    found = decided(text)
    assert set(found.access.tables) == {"orders"}
    assert found.why["customers"].notes == (
        "no forbids the table: there is no column social_no, which it hides",
    )


def test_a_mask_of_a_column_which_is_gone_opens_nothing() -> None:
    text = """@id("a") @mask("mail: redact")
    permit(principal, action == Action::"db_read", resource == Table::"shop.customers");"""
    assert access(text).tables == {}


def test_a_rule_of_every_table_hides_a_column_where_it_is() -> None:
    text = (
        READ
        + '@id("no") @columns("ssn") forbid(principal, action, resource in Datasource::"shop");'
    )
    found = access(text).tables
    assert "ssn" not in (found["customers"].columns or ())
    assert found["orders"].columns == ("id", "customer_id", "status", "total")


def test_changes_reach_no_further_than_what_is_read_in_clear() -> None:
    text = """@id("read") @mask("email: redact") @rows("tenant_id = principal.tenant")
    permit(principal, action == Action::"db_read", resource == Table::"shop.customers");
    @id("set") @columns("name, email, region") @rows("not vip")
    permit(principal, action in [Action::"db_update", Action::"db_delete"],
           resource == Table::"shop.customers");
    @id("add") permit(principal, action == Action::"db_insert", resource == Table::"shop.orders");
    @id("price") @columns("region")
    forbid(principal, action == Action::"db_update", resource == Table::"shop.customers");"""
    found = access(text, tenant="1").tables
    assert set(found) == {"customers"}  # what cannot be read cannot be written
    assert found["customers"].changes == {
        "update": ChangeAccess(columns=("name",), rows='(NOT "vip")'),
        "delete": ChangeAccess(rows='(NOT "vip")'),
    }
    assert (found["customers"].insert, found["customers"].writable) == (False, ("name",))


def test_a_generated_column_is_never_written() -> None:
    text = """@id("a") permit(principal, action in [Action::"db_read", Action::"db_insert"],
    resource == Table::"shop.orders");"""
    assert access(text).tables["orders"].changes["insert"].columns == (
        "id",
        "customer_id",
        "status",
    )


def test_a_condition_looks_at_what_is_known_of_the_principal() -> None:
    text = """@id("a") permit(principal, action == Action::"db_read", resource in Datasource::"shop")
    when { principal.hasTag("role") && principal.getTag("role").contains("hr") };"""
    assert access(text, role="hr").tables
    assert not access(text, role="it").tables
    assert not access(text).tables


def test_a_forbid_that_cannot_be_applied_forbids() -> None:
    text = (
        READ
        + """@id("no") @columns("ssn")
    forbid(principal, action, resource == Table::"shop.customers")
    when { principal.getTag("role").contains("it") };"""
    )
    assert set(access(text).tables) == {"orders"}


def test_a_rule_on_trial_changes_nothing_and_closes_nothing() -> None:
    text = """@mode("log_only") @id("a")
    permit(principal, action == Action::"db_read", resource == Table::"shop.orders");"""
    assert decided(text).is_open
    asker = Asker(principal="agent:a")
    tried = rules(text).data.decide(asker, "shop", shop(), with_trials=True)
    assert set(tried.access.tables) == {"orders"}


def test_a_policy_that_cannot_be_read_shows_nothing() -> None:
    book = PolicyBook()
    book.put("default", RuleSet((), version="v1", is_closed=True))
    asker = Asker(principal="user:ann")
    assert book.access_of("default", asker, "shop", shop()).tables == {}
    assert book.access_of("other", asker, "shop", shop(), salt="s") == open_access(
        shop()
    ).__class__(tables=open_access(shop()).tables, policy="open", salt="s")


def test_the_same_question_is_answered_once() -> None:
    data = rules(READ).data
    asker = Asker(principal="agent:a", attributes={"tenant": ("1",)})
    first = data.decide(asker, "shop", shop())
    assert data.decide(asker, "shop", shop()) is first
    assert data.decide(asker, "shop", shop("postgres")) is not first
