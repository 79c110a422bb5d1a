"""Mistakes in data rules: told all at once, each with its place and what would be right."""

import pytest
from tests.unit.policy.data.shop import said

from stepwell.policy.data.predicate_nodes import ALLOWED
from stepwell.policy.data.predicates import read_predicate

SCOPE = 'principal, action == Action::"db_read", resource == Table::"shop.orders"'


def test_all_mistakes_of_a_rule_are_told_with_their_places() -> None:
    text = (
        '@id("x") @columns("a") @mask("b: redat") '
        '@rows("tenant = principal.tenant and foo(x) = 2 and y.z = 1") @efect("a")\n'
        'permit(principal, action == Action::"db_raed", resource == Table::"shop");'
    )
    assert [one.removeprefix("data.cedar:") for one in said(text)] == [
        "1:25: @mask: 'redat' is no mask; did you mean `redact`?",
        f"1:79: @rows: the function foo cannot be in a predicate; {ALLOWED}",
        (
            "1:94: @rows: there is no `y` in a predicate; write `z` alone, or principal.z for an "
            "attribute of who asks"
        ),
        (
            "1:105: there is no annotation @efect; there is id, mode, reason, columns, mask, rows, "
            "most_rows"
        ),
        "2:1: a rule of data cannot name the action db_raed; did you mean `db_read`?",
        (
            '2:1: shop names no table of a datasource; write Table::"DATASOURCE.TABLE", like '
            'Table::"shop.customers"'
        ),
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            '@id("a") permit(principal, action, resource == Table::"shop.orders");',
            "a permit of data names its actions",
        ),
        (
            '@id("a") permit(principal, action == Action::"db_read", resource);',
            "a rule of data names a table, or a datasource",
        ),
        (
            '@id("a") permit(principal, action == Action::"db_read", resource is Table);',
            "a rule of data names a table, or a datasource",
        ),
        (
            '@id("a") permit(principal, action == Action::"db_read", resource == Datasource::"s");',
            "a rule of data names a table, or a datasource",
        ),
        (
            (
                '@id("a") permit(principal, action in [Action::"db_read", Action::"mail"], '
                'resource == Table::"shop.orders");'
            ),
            "a rule of data cannot name the action mail",
        ),
        (f"permit({SCOPE});", "the rule has no id"),
        (f'@id("a") @effect("deny") forbid({SCOPE});', "@effect says nothing of data"),
        (
            f'@id("a") permit({SCOPE}) when {{ context.time.hour > 8 }};',
            "a condition of a rule of data looks at the principal alone",
        ),
        (
            f'@id("a") permit({SCOPE}) when {{ resource == Table::"shop.x" }};',
            "a condition of a rule of data looks at the principal alone",
        ),
        (
            f'@id("a") @rows("a = 1") @columns("b") forbid({SCOPE});',
            "a forbid takes away one thing, here it is columns and rows",
        ),
        (
            (
                '@id("a") @mask("b: null") permit(principal, action == Action::"db_update", '
                'resource == Table::"shop.orders");'
            ),
            "@mask says nothing of what is written",
        ),
        (
            (
                '@id("a") @columns("b") permit(principal, action == Action::"db_delete", '
                'resource == Table::"shop.orders");'
            ),
            "@columns says nothing of db_delete",
        ),
        (
            f'@id("a") @columns("b") @mask("c: null") permit({SCOPE});',
            "@mask: c is not in @columns, so it is not shown at all",
        ),
        (f'@id("a") @columns("b, b") permit({SCOPE});', "@columns: b is named twice"),
        (f'@id("a") @columns("b,") permit({SCOPE});', "@columns: it must be names of columns"),
        (f'@id("a") @mask("b") permit({SCOPE});', "@mask: it must be columns with their masks"),
        (f'@id("a") @most_rows("0") permit({SCOPE});', "@most_rows: it must be a number from 1"),
        (f'@id("a") @rows("") permit({SCOPE});', "@rows: it is empty"),
        (
            '@id("a") @columns("b") permit(principal, action == Action::"refund", resource);',
            "there is no annotation @columns",
        ),
    ],
)
def test_what_says_nothing_or_too_much_is_a_mistake(text: str, expected: str) -> None:
    (one,) = said(text)
    assert expected in one


def test_a_rule_without_an_action_is_of_tools_and_opens_no_data() -> None:
    assert said('@id("a") permit(principal, action, resource);') == []


@pytest.mark.parametrize(
    "text",
    [
        "tenant_id = 1; drop table x",
        "a = (select 1)",
        "a in (select b from c)",
        "a = current_user",
        "exists (select 1)",
        "a = $1",
        "a = ?",
        "a = :x",
        "a::int = 1",
        "a || b = 'x'",
        "a + 1 = 2",
        "a like principal.x",
        "a like 'x\\_'",
        "t.a = 1",
        "s.t.a = 1",
        "pg_sleep(10) is null",
        "random() > 0.5",
        "count(*) > 1",
        "sum(a) over () > 1",
        "case when a then b else c end",
        "a = 1 order by 1",
        "a as b",
        "*",
        "principal.x",
        "not principal.x",
        "a and 1",
        "a = null",
        "a is 1",
        "a = 1e999",
        "a = -(-1)",
        "a = x'00'",
        "a = b'1'",
        "a collate nocase = 'x'",
        "(a, b) = (1, 2)",
        "a glob '*'",
        "a regexp 'x'",
        "a ~ 'x'",
        "a = any(array[1])",
        "load_extension('x')",
        "a = 1 union select 1",
        "select 1",
        "delete from x",
        "a = 'x",
        "a = ",
        " ",
        "principal.Tenant = 'x'",
        "not " * 40 + "a",
        "(" * 40 + "a" + ")" * 40,
        " or ".join(f"a = {number}" for number in range(60)),
        "a = 'x' and " * 200 + "a",
    ],
)
def test_a_predicate_is_made_of_what_is_known_to_be_harmless(text: str) -> None:
    predicate, mistakes = read_predicate(text)
    assert predicate is None
    assert mistakes
    assert all(0 <= one.start <= one.end <= len(text) for one in mistakes)
