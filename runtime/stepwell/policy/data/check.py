"""What is wrong with data rules that can be read: types, and names that a database does not have."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Final

import cedarpy
import msgspec
from cedarpy import _internal as cedar
from msgspec import Struct

from stepwell.policy.data.access import Tables
from stepwell.policy.data.names import named
from stepwell.policy.data.rules import DataRule
from stepwell.policy.locate import part_of, type_place
from stepwell.policy.problems import PolicyProblem, nearest
from stepwell.policy.schema import PRINCIPALS, data_schema_json
from stepwell.policy.source import Statement, Token


class Known(Struct, frozen=True):
    """The datasources of a namespace, each with its catalog, as far as that is known."""

    catalogs: Mapping[str, Tables | None] = {}


NOTHING_KNOWN = Known()


def data_problems(
    rules: Sequence[tuple[DataRule, Statement]], known: Known = NOTHING_KNOWN
) -> list[PolicyProblem]:
    """Conditions that do not fit their types, and names that databases which are known do not have."""
    if not rules:
        return []
    problems = list(_type_problems(rules))
    for rule, statement in rules:
        problems += _name_problems(rule, statement, known)
    # Cedar tells the same of every kind of principal: once is enough.
    return list({(one.file, one.line, one.column): one for one in reversed(problems)}.values())


# --- types -------------------------------------------------------------------------------


def _type_problems(rules: Sequence[tuple[DataRule, Statement]]) -> Iterator[PolicyProblem]:
    schema = cedarpy.Schema.from_json_str(data_schema_json())

    def errors(text: str) -> list[tuple[str, str]]:
        document = msgspec.json.decode(cedar.validate_policies(text, schema, release_gil=True))
        return [
            (error["policy_id"], re.sub(r"^for policy `policy\d+`, ", "", error["error"]))
            for error in document["errors"]
        ]

    found = errors("\n".join(statement.text for _, statement in rules))
    told = {policy for policy, message in found if not message.startswith(_FOLLOWS)}
    for policy, message in found:
        if policy in told and message.startswith(_FOLLOWS):
            continue
        _, statement = rules[int(policy.removeprefix("policy"))]
        yield _type_problem(statement, message, errors)


def _type_problem(
    statement: Statement, message: str, errors: Callable[[str], list[tuple[str, str]]]
) -> PolicyProblem:
    def has_problem(text: str) -> bool:
        return any(said == message for _, said in errors(text))

    first, last = type_place(statement, message, has_problem)
    hint = ""
    if message.startswith("unrecognized entity type"):
        hint = nearest(first.text.strip('"'), ("Action", "Table", "Group", *PRINCIPALS.values()))
    elif tag := re.search(r'access to tag `"(.*?)"`', message):
        hint = f'it may be missing; ask for it first: principal.hasTag("{tag[1]}") && ...'
    return statement.problem(first, _OF_KIND.sub("", message), hint, last=last)


_FOLLOWS: Final = "unable to find an applicable action"
_OF_KIND: Final = re.compile(r" on entity type `(User|Agent|Service)`")


# --- names -------------------------------------------------------------------------------


def _name_problems(rule: DataRule, statement: Statement, known: Known) -> Iterator[PolicyProblem]:
    if rule.datasource not in known.catalogs:
        # The rules may come before their database; a name beside one that is there has been misspelt.
        if hint := nearest(rule.datasource, known.catalogs):
            message = f"there is no datasource {rule.datasource:.64}"
            yield statement.problem(_resource_of(statement), message, hint)
        return
    catalog = known.catalogs[rule.datasource]
    if catalog is None:
        return
    if rule.table and rule.table not in catalog.tables:
        message = f"there is no table {rule.table:.64} in {rule.datasource}"
        yield statement.problem(
            _resource_of(statement), message, nearest(rule.table, catalog.tables)
        )
        return
    tables = [catalog.tables[rule.table]] if rule.table else list(catalog.tables.values())
    columns = tuple(dict.fromkeys(column.name for table in tables for column in table.columns))
    where = f"table {rule.table}" if rule.table else f"table of {rule.datasource}"
    for annotation, name, start, end in _named(rule):
        if _is_missing(name, columns):
            token = _said(statement, annotation)
            if start < 0:
                start = token.text.find(name) - 1
                end = start + len(name)
            message = f"@{annotation}: there is no column {name:.64} in {'' if rule.table else 'any '}{where}"
            yield statement.problem(part_of(token, start, end), message, nearest(name, columns))


def _is_missing(name: str, columns: tuple[str, ...]) -> bool:
    return named(columns, name) is None and name.casefold() not in map(str.casefold, columns)


def _named(rule: DataRule) -> Iterable[tuple[str, str, int, int]]:
    """The annotation, the column, and where it stands in it; -1 where that is looked for."""
    for name in rule.columns or ():
        yield "columns", name, -1, -1
    for name in rule.masks:
        yield "mask", name, -1, -1
    for name, start, end in rule.rows.columns if rule.rows else ():
        yield "rows", name, start, end


def _said(statement: Statement, annotation: str) -> Token:
    """The string of an annotation."""
    tokens = statement.tokens
    for place, token in enumerate(tokens):
        if token.text == "@" and tokens[place + 1].text == annotation:
            return tokens[place + 3]
    return statement.head


def _resource_of(statement: Statement) -> Token:
    """The string that names the table or the datasource."""
    tokens = statement.tokens
    for place, token in enumerate(tokens):
        if token.text in ("Table", "Datasource") and tokens[place + 1].text == "::":
            return tokens[place + 2]
    return statement.head
