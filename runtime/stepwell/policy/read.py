"""From the text of policies to rules, or to everything that is wrong with it."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

import cedarpy
import msgspec
from cedarpy import _internal as cedar
from msgspec import Struct

from stepwell.policy.data.rules import DataRule, is_of_data, read_data_rule
from stepwell.policy.locate import part_of, syntax_place, type_place
from stepwell.policy.problems import PolicyProblem, bounded, nearest
from stepwell.policy.rules import ANNOTATIONS, Fault, Rule, compared, read_rule
from stepwell.policy.ruleset import RuleSet, can_hold
from stepwell.policy.schema import CONTEXT, PRINCIPALS, TIME, TOOL_ATTRIBUTES, USAGE, schema_json
from stepwell.policy.shapes import Record, Scalar, input_shape
from stepwell.policy.source import (
    MAX_RULES,
    MAX_SOURCE,
    PolicyFile,
    Statement,
    Token,
    statements,
)
from stepwell.tools.port import ToolSpec

MAX_UNBOUND: Final = 1000
"""Rules that name no action."""

_FOLLOWS: Final = "unable to find an applicable action"
_INTERNAL: Final = re.compile(r"__cedar::internal::\w+")
_OF_ACTION: Final = re.compile(r' for Action::"(?:\\.|[^"])*"')
_TEMPLATE: Final = "it has a ?slot, and nobody fills it"
_TOO_DEEP: Final = "the rule is nested too deeply, or has too many && and ||"
_LESS_DEEP: Final = "compare with a set ([...].contains), or write more rules"


class Reading(Struct, frozen=True):
    """What files hold: the rules, each with where it stands, and what is wrong.

    `rules` decide on calls of tools, `data` on what is shown of a database.
    """

    rules: tuple[tuple[Rule, Statement], ...]
    problems: tuple[PolicyProblem, ...]
    data: tuple[tuple[DataRule, Statement], ...] = ()

    def rule_set(self, version: str) -> RuleSet:
        """The rules, ready to decide."""
        tools, data = (rule for rule, _ in self.rules), (rule for rule, _ in self.data)
        return RuleSet(tools, data=data, version=version)


def read_policy(files: Sequence[PolicyFile]) -> Reading:
    """The rules of these files; what they say of tools and arguments is not checked."""
    size = sum(len(file.text.encode(errors="replace")) for file in files)
    if size > MAX_SOURCE:
        message = f"the policy has {size} bytes, the limit is {MAX_SOURCE}"
        return Reading((), (files[0].problem(0, message, "write fewer rules"),))
    problems: list[PolicyProblem] = []
    found: list[Statement] = []
    for file in files:
        parts, wrong = statements(file)
        found += parts
        problems += wrong
    if len(found) > MAX_RULES:
        place = found[MAX_RULES]
        message = f"there are {len(found)} rules, the limit is {MAX_RULES}"
        return Reading((), (place.problem(place.head, message),))
    rules = [
        (rule, one)
        for one, source in _sources(found, problems)
        if (rule := _rule(one, source, problems)) is not None
    ]
    problems += _twice(rules)
    problems += _unfit(rules)
    tools = tuple((rule, one) for rule, one in rules if isinstance(rule, Rule))
    data = tuple((rule, one) for rule, one in rules if isinstance(rule, DataRule))
    return Reading(tools, bounded(problems), data)


def _sources(
    found: Sequence[Statement], problems: list[PolicyProblem]
) -> Iterator[tuple[Statement, Mapping[str, Any] | None]]:
    """Cedar's JSON of each rule, None for a template; those that are no rules are problems."""
    try:
        # Cedar numbers what it reads, so one call does for all, unless there is a mistake in one.
        together = _parsed("\n".join(one.text for one in found))
    except ValueError:
        together = None
    for index, one in enumerate(found):
        if together is not None:
            yield one, together.get(f"policy{index}")
            continue
        try:
            yield one, _parsed(one.text).get("policy0")
        except ValueError as error:
            problems.append(_syntax_problem(one, str(error)))


def _parsed(text: str) -> dict[str, Any]:
    document: dict[str, Any] = msgspec.json.decode(cedar.policies_to_json_str(text))
    static: dict[str, Any] = document["staticPolicies"]
    return static


def _rule(
    statement: Statement, source: Mapping[str, Any] | None, problems: list[PolicyProblem]
) -> Rule | DataRule | None:
    if source is None:
        hint = "name the principal or the resource"
        problems.append(statement.problem(statement.head, _TEMPLATE, hint))
        return None
    rule, faults = read_data_rule(source) if is_of_data(source) else read_rule(source)
    problems += (_fault_problem(statement, fault) for fault in faults)
    return rule


def _syntax(text: str) -> str:
    """What Cedar says of a text that it cannot parse; "" when it can."""
    try:
        cedar.policies_to_json_str(text)
    except ValueError as error:
        return str(error)
    return ""


def _unfit(rules: Sequence[tuple[Rule | DataRule, Statement]]) -> Iterator[PolicyProblem]:
    """Rules that Cedar can read and cannot hold."""
    if can_hold(rule for rule, _ in rules):
        return
    for rule, statement in rules:
        if not can_hold([rule]):
            yield statement.problem(statement.head, _TOO_DEEP, _LESS_DEEP)


def _syntax_problem(statement: Statement, message: str) -> PolicyProblem:
    token = syntax_place(statement, message, _syntax)
    hint = ""
    if message == "unexpected end of input":
        hint = "a rule ends with a semicolon"
    elif token.kind == "name":
        hint = nearest(token.text, _GRAMMAR)
    return statement.problem(token, message, hint)


_GRAMMAR: Final = (
    *("permit", "forbid", "when", "unless", "principal", "action", "resource", "context"),
    *("in", "is", "has", "like", "if", "then", "else", "true", "false", "contains", "containsAll"),
    *("containsAny", "isEmpty", "decimal", "lessThan", "lessThanOrEqual", "greaterThan"),
    "greaterThanOrEqual",
)


def _fault_problem(statement: Statement, fault: Fault) -> PolicyProblem:
    token = statement.head
    for place, (at, name) in enumerate(zip(statement.tokens, statement.tokens[1:], strict=False)):
        if fault.at and at.text == "@" and name.text == fault.at:
            token = name
            if fault.span is not None:
                token = part_of(statement.tokens[place + 3], fault.span.start, fault.span.end)
            break
    hint = fault.hint or (
        nearest(fault.at, ANNOTATIONS) if "no annotation" in fault.message else ""
    )
    return statement.problem(token, fault.message, hint)


def _twice(rules: Iterable[tuple[Rule | DataRule, Statement]]) -> list[PolicyProblem]:
    first: dict[str, Statement] = {}
    problems: list[PolicyProblem] = []
    for rule, statement in rules:
        if rule.id and (other := first.setdefault(rule.id, statement)) is not statement:
            head = other.problem(other.head, "")
            message = f"the id {rule.id} is taken by the rule in {head.file}:{head.line}"
            token = next(one for one in statement.tokens if one.text == f'"{rule.id}"')
            problems.append(statement.problem(token, message))
    return problems


# --- types -------------------------------------------------------------------------------


def type_problems(reading: Reading, tools: Iterable[ToolSpec]) -> tuple[PolicyProblem, ...]:
    """What rules say of tools that are not there, or of arguments that these do not have."""
    shapes = {spec.name: input_shape(spec.input_schema) for spec in tools}
    unbound = [one for rule, one in reading.rules if rule.actions is None]
    if len(unbound) > MAX_UNBOUND:
        place = unbound[MAX_UNBOUND]
        message = f"more than {MAX_UNBOUND} rules name no action, each call is held against all"
        hint = 'name the tool: action == Action::"..."'
        return (place.problem(place.head, message, hint),)
    checker = _Checker(shapes)
    return bounded(checker.problems(reading.rules))


class _Checker:
    """Checks rules against what rules see of these tools."""

    def __init__(self, shapes: Mapping[str, Record]) -> None:
        self._shapes = shapes
        self._schema = cedarpy.Schema.from_json_str(schema_json(shapes))

    def problems(self, rules: Sequence[tuple[Rule, Statement]]) -> list[PolicyProblem]:
        text = "\n".join(statement.text for _, statement in rules)
        found: list[PolicyProblem] = []
        told: Counter[str] = Counter()
        for policy, message in self._errors(text):
            told[policy] += 1
            if message.startswith(_FOLLOWS) and told[policy] > 1:
                continue  # it follows from what was told before
            rule, statement = rules[int(policy.removeprefix("policy"))]
            found.append(self._problem(rule, statement, message))
        for rule, statement in rules:
            found += self._never(rule, statement)
            found += self._impossible(rule, statement)
        # One access may be told in more than one way: the first says the most.
        return list({(one.file, one.line, one.column): one for one in reversed(found)}.values())

    def _errors(self, text: str) -> list[tuple[str, str]]:
        document = msgspec.json.decode(
            cedar.validate_policies(text, self._schema, release_gil=True)
        )
        errors = [
            (error["policy_id"], re.sub(r"^for policy `policy\d+`, ", "", error["error"]))
            for error in document["errors"]
        ]
        return sorted(errors, key=lambda error: (error[0], error[1].startswith(_FOLLOWS), error[1]))

    def _problem(self, rule: Rule, statement: Statement, message: str) -> PolicyProblem:
        def has_problem(text: str) -> bool:
            return any(said == message for _, said in self._errors(text))

        first, last = type_place(statement, message, has_problem)
        said = _INTERNAL.sub("Bool", message)
        if rule.actions is None or len(rule.actions) > 1:
            said = _OF_ACTION.sub("", said)  # Cedar names any one of them
        return statement.problem(first, said, self._hint(rule, message, first), last=last)

    def _hint(self, rule: Rule, message: str, token: Token) -> str:
        word = token.text.strip('"')
        if message.startswith("unrecognized action"):
            return nearest(word, self._shapes) or "`stepwell policy schema` lists them all"
        if message.startswith("unrecognized entity type"):
            return nearest(word, ("Action", "Tool", "Group", *PRINCIPALS.values()))
        if message.startswith("unable to guarantee safety"):
            path = _attribute_of(message)
            return f"it may be missing; ask for it first: {_has(path)} && ..."
        if message.startswith("attribute"):
            return self._attribute_hint(rule, message, word)
        return ""

    def _attribute_hint(self, rule: Rule, message: str, word: str) -> str:
        if "on entity type `Tool`" in message:
            return nearest(word, TOOL_ATTRIBUTES) or f"a Tool has {', '.join(TOOL_ATTRIBUTES)}"
        if "in context" not in message:
            return ""
        path = _attribute_of(message)
        if not path.startswith("input."):
            parts = {"usage": USAGE, "time": TIME}.get(path.partition(".")[0], (*CONTEXT, "input"))
            return nearest(word, parts)
        seen: set[str] = set()
        for tool, shape in self._shapes.items():
            if rule.may_name(tool):
                why = shape.unseen.get(word) or shape.unseen.get("")
                if why:
                    return f"rules cannot see it: {why}"
                seen |= _names(shape)
        return nearest(word, seen)

    def _never(self, rule: Rule, statement: Statement) -> list[PolicyProblem]:
        """`has` of a name that nothing has: Cedar takes it for no, and the rule never applies."""
        shapes = [shape for tool, shape in self._shapes.items() if rule.may_name(tool)]
        wanted = (rule.reads.input or frozenset()) if shapes else frozenset()
        problems: list[PolicyProblem] = []
        for name in sorted(wanted):
            if any(name in shape.attributes for shape in shapes):
                continue
            message = f"attribute `input.{name}` in context not found"
            token, last = type_place(statement, message, lambda _: False)
            hint = self._attribute_hint(rule, message, name)
            problems.append(statement.problem(token, message, hint, last=last))
        return problems

    def _impossible(self, rule: Rule, statement: Statement) -> Iterator[PolicyProblem]:
        """Comparisons with a text that the argument never is, because its schema lists them."""
        for name, text in compared(rule.source):
            allowed: set[str] = set()
            for tool, shape in self._shapes.items():
                attribute = shape.attributes.get(name) if rule.may_name(tool) else None
                if attribute is not None and isinstance(attribute.shape, Scalar):
                    allowed |= attribute.shape.allowed or {text}
            if allowed and text not in allowed:
                token = next(
                    (one for one in statement.tokens if one.text == f'"{text}"'), statement.head
                )
                hint = nearest(text, allowed) or f"it is one of {', '.join(sorted(allowed)[:10])}"
                yield statement.problem(token, f"{name} is never {text!r}", hint)


def _attribute_of(message: str) -> str:
    match = re.search(r"attribute `([^`]*)`", message)
    return match[1] if match else ""


def _has(path: str) -> str:
    base, _, name = path.rpartition(".")
    return f"context.{base} has {name}" if base else f"context has {name}"


def _names(shape: Record) -> set[str]:
    names = set(shape.attributes)
    for attribute in shape.attributes.values():
        if isinstance(attribute.shape, Record):
            names |= _names(attribute.shape)
    return names
