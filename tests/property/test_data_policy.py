"""Generated data rules: nothing is shown that no rule shows, and what is forbidden is never shown."""

import sqlite3
from collections.abc import Iterable

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from stepwell.nldb.guard.relations import readable
from stepwell.nldb.model import Access, Column, Kind, Table, catalog
from stepwell.policy.data.port import Asker
from stepwell.policy.read import read_policy
from stepwell.policy.ruleset import RuleSet
from stepwell.policy.source import PolicyFile

KINDS: dict[str, Kind] = {"id": "integer", "name": "text", "mail": "text", "tenant": "integer"}
ROWS = [(1, "ann", "zoe", 1), (2, "bob", "yan", 2), (3, None, "xi", None), (4, "dan", None, 1)]
CATALOG = catalog(
    dialect="sqlite",
    version="3",
    default_schema="main",
    tables={
        "people": Table(
            name="people",
            schema="main",
            columns=tuple(Column(name=name, kind=kind) for name, kind in KINDS.items()),
        )
    },
)
SHOWS = {"null": 0, "redact": 1, "first": 2, "hash": 2, "clear": 3}

PREDICATES = (
    "tenant = principal.tenant",
    "tenant in (principal.both)",
    "tenant = principal.gone",
    "name is not null",
    "name like 'a%' or id > 2",
    "not (tenant = 1)",
)


@st.composite
def annotations(draw: st.DrawFn, *, one: bool) -> str:
    columns = draw(st.lists(st.sampled_from(list(KINDS)), min_size=1, max_size=4, unique=True))
    masks = ("null", "redact", "first", "hash")
    masked = ", ".join(f"{name}: {draw(st.sampled_from(masks))}" for name in columns[:2])
    parts = [
        f'@columns("{", ".join(columns)}")',
        f'@mask("{masked}")',
        f'@rows("{draw(st.sampled_from(PREDICATES))}")',
    ]
    chosen = draw(st.lists(st.sampled_from(parts), max_size=1 if one else 3, unique=True))
    return " ".join(chosen)


WHO = ("principal", 'principal == Agent::"a"', 'principal in Group::"g"', "principal is User")


@st.composite
def texts(draw: st.DrawFn, effect: str, number: int) -> str:
    marks = draw(annotations(one=effect == "forbid"))
    actions = draw(
        st.sampled_from(['== Action::"db_read"', 'in [Action::"db_read", Action::"db_update"]'])
    )
    where = draw(st.sampled_from(['== Table::"d.people"', 'in Datasource::"d"']))
    return (
        f'@id("{effect}{number}") {marks} '
        f"{effect}({draw(st.sampled_from(WHO))}, action {actions}, resource {where});"
    )


@st.composite
def rule_sets(draw: st.DrawFn) -> tuple[list[str], list[str]]:
    permits = [draw(texts("permit", number)) for number in range(draw(st.integers(1, 4)))]
    forbids = [draw(texts("forbid", number)) for number in range(draw(st.integers(0, 2)))]
    return permits, forbids


askers = st.builds(
    Asker,
    principal=st.sampled_from(["agent:a", "agent:b", "user:ann"]),
    groups=st.sampled_from([frozenset(), frozenset({"g"})]),
    attributes=st.sampled_from(
        [{}, {"tenant": ("1",)}, {"tenant": ("1",), "both": ("1", "2")}, {"tenant": ("x",)}]
    ),
)


def rules(parts: Iterable[str]) -> RuleSet:
    reading = read_policy([PolicyFile("r.cedar", "\n".join(parts))])
    assert not reading.problems
    return reading.rule_set("v")


def access(parts: list[str], asker: Asker) -> Access:
    return rules(parts).data.decide(asker, "d", CATALOG).access


def cells(given: Access) -> dict[tuple[int, str], str]:
    """What is shown of the table, by the guard's own sub-query: each cell with its mask."""
    table = given.tables.get("people")
    if table is None:
        return {}
    connection = sqlite3.connect(":memory:")
    connection.execute("CREATE TABLE people (id INTEGER, name TEXT, mail TEXT, tenant INTEGER)")
    connection.executemany("INSERT INTO people VALUES (?, ?, ?, ?)", ROWS)
    keys = replace(given, tables={"people": replace(table, columns=("id",), masks={})})
    text = readable(CATALOG, keys).tables["main", "people"].text
    ids = [row[0] for row in connection.execute(f"SELECT id FROM {text}")]
    return {
        (id, column): table.masks.get(column, "clear")
        for id in ids
        for column in table.columns or ()
    }


@settings(max_examples=150)
@given(rule_sets(), askers)
def test_nothing_is_shown_that_no_permit_shows_by_itself(
    given_rules: tuple[list[str], list[str]], asker: Asker
) -> None:
    permits, forbids = given_rules
    alone = [cells(access([permit], asker)) for permit in permits]
    for cell, mask in cells(access([*permits, *forbids], asker)).items():
        by_itself = [shown[cell] for shown in alone if cell in shown]
        assert any(mask == other or SHOWS[mask] < SHOWS[other] for other in by_itself)


@settings(max_examples=150)
@given(rule_sets(), askers)
def test_what_is_forbidden_is_never_shown(
    given_rules: tuple[list[str], list[str]], asker: Asker
) -> None:
    permits, forbids = given_rules
    everything = (
        '@id("all") permit(principal, action == Action::"db_read", resource in Datasource::"d");'
    )
    shown = cells(access([*permits, *forbids], asker))
    for forbid in forbids:
        left = cells(access([everything, forbid], asker))
        for cell, mask in shown.items():
            assert cell in left
            assert mask == left[cell] or SHOWS[mask] < SHOWS[left[cell]]


@settings(max_examples=150)
@given(rule_sets(), askers)
def test_nothing_is_written_that_is_not_read_in_clear(
    given_rules: tuple[list[str], list[str]], asker: Asker
) -> None:
    permits, forbids = given_rules
    for table in access([*permits, *forbids], asker).tables.values():
        clear = set(table.columns or ()) - table.masks.keys()
        assert all(set(change.columns) <= clear for change in table.changes.values())
        assert set(table.writable or ()) <= clear


@given(st.sampled_from(WHO), askers)
def test_a_rule_whose_attribute_is_missing_shows_nothing(who: str, asker: Asker) -> None:
    permit = f"""@id("a") @rows("tenant = principal.gone or id > 0")
    permit({who}, action == Action::"db_read", resource in Datasource::"d");"""
    assert access([permit], asker).tables == {}
