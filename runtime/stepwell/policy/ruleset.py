"""A version of a policy, ready to decide: an index of what rules can name, and Cedar for the rest."""

import logging
import re
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Final, TypeVar

import msgspec
from cedarpy import _internal as cedar
from msgspec import Struct
from msgspec.structs import replace

from stepwell.policy import procedure
from stepwell.policy.port import Action, Decision
from stepwell.policy.procedure import GRANT, INTERNAL, Verdict
from stepwell.policy.rules import CALL, Reads, Rule
from stepwell.policy.schema import (
    CONTEXT,
    PRINCIPALS,
    USAGE,
    schema_json,
    tool_attributes,
)
from stepwell.policy.shapes import NOTHING_SEEN, Record, input_shape
from stepwell.policy.values import Unreadable, seen
from stepwell.tools.port import ToolSpec

KEPT_TOOLS: Final = 1024
KEPT_PRINCIPALS: Final = 256
KEPT_VARIANTS: Final = 16

_CLOSED: Final = "the policy in force cannot be read by this version of Stepwell"

log = logging.getLogger(__name__)

_GRANT_SOURCE: Final[Mapping[str, Any]] = {
    "effect": "permit",
    "principal": {"op": "All"},
    "action": {"op": "All"},
    "resource": {"op": "All"},
    "conditions": [
        {"kind": "when", "body": {".": {"left": {"Var": "context"}, "attr": "granted"}}},
    ],
}
_GRANT: Final = Rule(
    id=GRANT,
    effect="permit",
    source=_GRANT_SOURCE,
    reads=Reads(frozenset({"granted"}), frozenset()),
)


class Pass(Struct, frozen=True):
    """One time that the rules were asked: with approval or without, and what they said."""

    approved: bool
    is_allowed: bool
    rules: tuple[str, ...]
    broken: tuple[str, ...] = ()


class RuleSet:
    """Decides by the rules of one version. Pure, but for what it remembers to be fast."""

    def __init__(
        self, rules: Iterable[Rule], *, version: str = "", is_closed: bool = False
    ) -> None:
        """`is_closed` lets no call pass: the rules of this version are not known here."""
        self.version = version
        self._is_closed = is_closed
        self.rules = tuple(rules)
        self._for_all = tuple(rule for rule in self.rules if rule.actions is None)
        self._by_action: dict[str, tuple[Rule, ...]] = {}
        for rule in self.rules:
            for action in rule.actions or ():
                self._by_action[action] = (*self._by_action.get(action, ()), rule)
        self._plans: OrderedDict[str, _Plan] = OrderedDict()
        self._allowed = Decision("allow", (GRANT,), policy=version)

    def decide(self, action: Action, passes: list[Pass] | None = None) -> Decision:
        """The decision; `passes` is told of every time that the rules are asked."""
        if self._is_closed:
            return Decision("deny", (INTERNAL,), _CLOSED, policy=self.version)
        plan = self._plan(action)
        is_granted = action.workflow != CALL and action.tool in action.granted
        if plan.trial is None and not plan.enforced.has_forbids and is_granted:
            return self._allowed
        decision = plan.enforced.decide(action, passes, is_granted=is_granted)
        decision = replace(decision, policy=self.version)
        if plan.trial is None:
            return decision
        other = plan.trial.decide(action, None, is_granted=is_granted)
        if (other.effect, other.rules) == (decision.effect, decision.rules):
            return decision
        return replace(decision, log_only=f"{other.effect}: {', '.join(other.rules)}")

    def naming(self, tool: str) -> tuple[Rule, ...]:
        """The rules that can apply to a call of this tool."""
        found = (*self._by_action.get(tool, ()), *self._for_all)
        return tuple(rule for rule in found if rule.may_name(tool))

    def _plan(self, action: Action) -> "_Plan":
        plan = self._plans.get(action.tool)
        if plan is not None and plan.spec is action.spec:
            return plan
        plan = _plan(action.tool, action.spec, self.naming(action.tool))
        _keep(self._plans, action.tool, plan, KEPT_TOOLS)
        return plan


class _Plan(Struct, frozen=True):
    """How calls of one tool are decided on: by the rules in force, and with those on trial."""

    spec: ToolSpec | None
    enforced: "_Bench"
    trial: "_Bench | None"


def _plan(tool: str, spec: ToolSpec | None, rules: Sequence[Rule]) -> _Plan:
    enforced = [rule for rule in rules if rule.mode == "enforce"]
    trial = _Bench(tool, spec, rules) if len(enforced) < len(rules) else None
    return _Plan(spec, _Bench(tool, spec, enforced), trial)


class _Bench:
    """Some rules over the calls of one tool, with all that Cedar needs parsed but the call itself.

    What no rule looks at is left out: of the context, and of the arguments.
    """

    def __init__(self, tool: str, spec: ToolSpec | None, rules: Sequence[Rule]) -> None:
        self._tool = tool
        self._spec = spec or ToolSpec(name=tool, description="", input_schema={})
        self._rules = tuple(rules)
        self._by_id = {rule.id: rule for rule in (*rules, _GRANT)}
        self.has_forbids = any(rule.effect != "permit" for rule in rules)
        self._reads = _all_reads(rules)
        self._sets: OrderedDict[frozenset[str], cedar.PolicySet] = OrderedDict()
        self._entities: OrderedDict[str, cedar.Entities] = OrderedDict()
        self._shape = NOTHING_SEEN
        self._schema: cedar.Schema | None = None

    def decide(self, action: Action, passes: list[Pass] | None, *, is_granted: bool) -> Decision:
        """What these rules say of an action."""
        if not self._rules and not is_granted:
            return procedure.decide(action, (), lambda _, __: Verdict(is_allowed=False))
        if not self.has_forbids and is_granted:
            return Decision("allow", (GRANT,))
        if self._schema is None:
            self._prepare()
        try:
            context = self._context(action, is_granted=is_granted)
        except Unreadable as error:
            return self._unreadable(action, error)

        def ask(approved: bool, without: frozenset[str]) -> Verdict:
            verdict = self._ask(action, context, approved=approved, without=without)
            if passes is not None:
                passes.append(_pass(approved, verdict))
            return verdict

        return procedure.decide(action, self._rules, ask)

    def _prepare(self) -> None:
        """Parses the schema, at the first call that needs it."""
        shape = input_shape(self._spec.input_schema)
        names = self._reads.input
        if names is not None:
            kept = {name: part for name, part in shape.attributes.items() if name in names}
            shape = Record(kept)
        self._shape = shape
        parts = CONTEXT if self._reads.context is None else self._reads.context
        self._schema = cedar.Schema.from_json_str(schema_json({self._tool: shape}, tuple(parts)))

    def _context(self, action: Action, *, is_granted: bool) -> dict[str, Any]:
        facts, wanted = action.facts, self._reads.context
        context: dict[str, Any] = {"input": seen(self._shape, action.arguments)}
        for name, read in _PARTS.items():
            if wanted is None or name in wanted:
                context[name] = read(action)
        if wanted is None or "granted" in wanted:
            context["granted"] = is_granted
        if wanted is None or "usage" in wanted:
            usage = facts.usage
            context["usage"] = {name: usage.get(name, 0) for name in USAGE}
        return context

    def _ask(
        self,
        action: Action,
        context: dict[str, Any],
        *,
        approved: bool,
        without: frozenset[str],
    ) -> Verdict:
        if "approved" in context:
            context["approved"] = approved
        kind, _, name = action.principal.partition(":")
        request: dict[str, Any] = {
            "principal": {"type": PRINCIPALS.get(kind, "Service"), "id": name},
            "action": {"type": "Action", "id": self._tool},
            "resource": {"type": "Tool", "id": self._tool},
        }
        try:
            request["context"] = msgspec.json.encode(context).decode()
            (answer,) = cedar.is_authorized_batch(
                [request], self._set(without), self._world(action), self._schema, False
            )
            return self._verdict(_DECODER.decode(answer))
        except ValueError as error:
            log.exception("the policy could not be asked about %s", self._tool)
            return Verdict(is_allowed=False, defect=str(error) or "no answer")

    def _verdict(self, answer: "_Answer") -> Verdict:
        if answer.decision == "NoDecision":
            said = "; ".join(answer.diagnostics.errors)
            log.error("Cedar did not decide about %s, a defect of ours: %s", self._tool, said)
            return Verdict(is_allowed=False, defect=said)
        broken = tuple(self._broken(answer.diagnostics.errors))
        rules = tuple(self._by_id[id] for id in sorted(answer.diagnostics.reason))
        return Verdict(answer.decision == "Allow" and not broken, rules, broken)

    def _broken(self, errors: Sequence[str]) -> Iterable[Rule]:
        """The rules that forbid and could not be applied; a permit that cannot be permits nothing."""
        for error in errors:
            match = _IN_RULE.search(error)
            rule = self._by_id.get(match[1]) if match else None
            log.warning("a rule for %s cannot be applied: %s", self._tool, error)
            if rule is None:
                raise ValueError(error)
            if rule.effect != "permit":
                yield rule

    def _set(self, without: frozenset[str]) -> "cedar.PolicySet":
        found = self._sets.get(without)
        if found is None:
            rules = [rule for rule in self._rules if rule.id not in without]
            found = _parsed([*rules, _GRANT])
            _keep(self._sets, without, found, KEPT_VARIANTS)
        return found

    def _world(self, action: Action) -> "cedar.Entities":
        """The principal with its groups, and the tool."""
        key = (
            action.principal if not action.groups else f"{action.principal} {sorted(action.groups)}"
        )
        found = self._entities.get(key)
        if found is None:
            kind, _, name = action.principal.partition(":")
            parents = [{"type": "Group", "id": group} for group in sorted(action.groups)]
            world = [
                _entity(PRINCIPALS.get(kind, "Service"), name, {}, parents),
                _entity("Tool", self._tool, tool_attributes(self._spec), []),
            ]
            found = cedar.Entities.from_json_str(msgspec.json.encode(world).decode(), None)
            _keep(self._entities, key, found, KEPT_PRINCIPALS)
        return found

    def _unreadable(self, action: Action, error: Unreadable) -> Decision:
        rules = tuple(rule.id for rule in self._rules if rule.reads.input != frozenset())
        reason = f"the rules for {action.tool} look at its arguments and cannot read {error}"
        return Decision("deny", rules, reason, "other arguments")


def can_hold(rules: Iterable[Rule]) -> bool:
    """Whether Cedar can decide by these rules: what it can read may lie too deep for that."""
    try:
        _parsed(rules)
    except ValueError:
        return False
    return True


def _parsed(rules: Iterable[Rule]) -> "cedar.PolicySet":
    document = {
        "templates": {},
        "staticPolicies": {rule.id: rule.source for rule in rules},
        "templateLinks": [],
    }
    return cedar.PolicySet.from_json_str(msgspec.json.encode(document).decode())


_IN_RULE: Final = re.compile(r"while evaluating policy `([^`]*)`")


class _Diagnostics(Struct):
    reason: list[str] = []
    errors: list[str] = []


class _Answer(Struct):
    decision: str
    diagnostics: _Diagnostics


_DECODER: Final = msgspec.json.Decoder(_Answer)


@lru_cache(maxsize=64)
def _time(seconds: int) -> dict[str, int]:
    at = datetime.fromtimestamp(seconds, UTC)
    return {"seconds": seconds, "hour": at.hour, "weekday": at.isoweekday()}


_PARTS: Final[Mapping[str, Callable[[Action], Any]]] = {
    "approved": lambda action: action.approved,
    "approved_before": lambda action: action.facts.approved_before,
    "direct": lambda action: action.workflow == CALL,
    "labels": lambda action: list(action.facts.labels),
    "time": lambda action: _time(action.facts.at // 1_000_000),
    "workflow": lambda action: action.workflow,
}


def _entity(
    type: str, id: str, attrs: Mapping[str, Any], parents: Sequence[Mapping[str, str]]
) -> dict[str, Any]:
    return {"uid": {"type": type, "id": id}, "attrs": attrs, "parents": parents}


def _all_reads(rules: Iterable[Rule]) -> Reads:
    context: frozenset[str] | None = frozenset({"granted"})
    given: frozenset[str] | None = frozenset()
    for rule in rules:
        reads = rule.reads
        context = None if context is None or reads.context is None else context | reads.context
        given = None if given is None or reads.input is None else given | reads.input
    return Reads(context, given)


def _pass(approved: bool, verdict: Verdict) -> Pass:
    return Pass(
        approved,
        verdict.is_allowed,
        tuple(rule.id for rule in verdict.rules),
        tuple(rule.id for rule in verdict.broken),
    )


_Key = TypeVar("_Key")
_Value = TypeVar("_Value")


def _keep(kept: OrderedDict[_Key, _Value], key: _Key, value: _Value, most: int) -> None:
    kept[key] = value
    while len(kept) > most:
        kept.popitem(last=False)
