"""A shop with data rules, in few words."""

from stepwell.nldb.model import Catalog, Column, Dialect, Kind, Table, catalog
from stepwell.policy.data.access import Access
from stepwell.policy.data.deciding import DataDecision
from stepwell.policy.data.port import Asker
from stepwell.policy.read import read_policy
from stepwell.policy.ruleset import RuleSet
from stepwell.policy.source import PolicyFile

COLUMNS: dict[str, dict[str, Kind]] = {
    "customers": {
        "id": "integer",
        "name": "text",
        "email": "text",
        "ssn": "text",
        "tenant_id": "integer",
        "region": "text",
        "vip": "boolean",
    },
    "orders": {"id": "integer", "customer_id": "integer", "status": "text", "total": "decimal"},
}


def shop(dialect: Dialect = "sqlite") -> Catalog:
    """What there is in it."""
    tables = {
        name: Table(
            name=name,
            schema="main",
            columns=tuple(
                Column(name=column, kind=kind, generated=column == "total")
                for column, kind in columns.items()
            ),
        )
        for name, columns in COLUMNS.items()
    }
    return catalog(dialect=dialect, version="1", default_schema="main", tables=tables)


def rules(text: str) -> RuleSet:
    """The rules of a text that has no mistake."""
    reading = read_policy([PolicyFile("data.cedar", text)])
    assert not reading.problems
    return reading.rule_set("v1")


def said(text: str) -> list[str]:
    """All that is wrong with a text."""
    return [str(one) for one in read_policy([PolicyFile("data.cedar", text)]).problems]


def decided(
    text: str, principal: str = "agent:a", *, groups: str = "", **known: str
) -> DataDecision:
    """What the rules say of the shop; of an attribute, `a|b` is two texts."""
    asker = Asker(
        principal=principal,
        groups=frozenset(groups.split()),
        attributes={name: tuple(texts.split("|")) for name, texts in known.items()},
    )
    return rules(text).data.decide(asker, "shop", shop())


def access(text: str, principal: str = "agent:a", *, groups: str = "", **known: str) -> Access:
    """As `decided`."""
    return decided(text, principal, groups=groups, **known).access
