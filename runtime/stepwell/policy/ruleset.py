"""A version of a policy, ready to decide: an index of what rules can name, and Cedar for the rest."""

import logging
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from functools import lru_cache, partial, reduce
from typing import Any, Final, NamedTuple, TypeAlias, TypeVar

import msgspec
from cedarpy import _internal as cedar
from msgspec import Struct
from msgspec.structs import replace

from stepwell.policy import procedure
from stepwell.policy.cedar_world import (
    Answer,
    Sourced,
    answers,
    entities,
    entity_of,
    policy_set,
    rule_in,
)
from stepwell.policy.data.deciding import DataRules
from stepwell.policy.data.rules import DataRule
from stepwell.policy.outlook import Outlook
from stepwell.policy.port import Action, Decision
from stepwell.policy.procedure import GRANT, INTERNAL, NOBODY, Stages, Verdict
from stepwell.policy.rules import CALL, Reads, Rule
from stepwell.policy.schema import CONTEXT, TIME, USAGE, tool_attributes
from stepwell.policy.shapes import Record, input_shape
from stepwell.policy.values import Unreadable, seen
from stepwell.tools.port import ToolSpec

KEPT_TOOLS: Final = 1024
KEPT_PRINCIPALS: Final = 256
KEPT_VARIANTS: Final = 16
KEPT_VERDICTS: Final = 4096
LONGEST_KEPT: Final = 1024
"""Characters of what rules look at in a question whose answer is kept."""

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
    reads=Reads(frozenset({"granted"})),
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
        self,
        rules: Iterable[Rule],
        *,
        data: Iterable[DataRule] = (),
        version: str = "",
        is_closed: bool = False,
    ) -> None:
        """`is_closed` lets no call pass: the rules of this version are not known here."""
        self.version = version
        self._is_closed = is_closed
        self.data = DataRules(data, version=version, is_closed=is_closed)
        """Those of data, which decide on nothing else."""
        self.rules = tuple(rules)
        self._for_all = tuple(rule for rule in self.rules if rule.actions is None)
        self._by_action: dict[str, tuple[Rule, ...]] = {}
        for rule in self.rules:
            for action in rule.actions or ():
                self._by_action[action] = (*self._by_action.get(action, ()), rule)
        self._plans: OrderedDict[str, _Plan] = OrderedDict()
        self._verdicts: _Verdicts = {}
        self._outlook = Outlook()
        self._allowed = Decision("allow", (GRANT,), policy=version)

    def decide(self, action: Action, passes: list[Pass] | None = None) -> Decision:
        """The decision; `passes` is told of every time that the rules are asked."""
        if self._is_closed:
            return Decision("deny", (INTERNAL,), _CLOSED, policy=self.version)
        plan = self._plan(action)
        is_granted = procedure.is_granted(action)
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

    def never_allowed(
        self, principal: str, groups: frozenset[str], tools: Iterable[ToolSpec]
    ) -> frozenset[str]:
        """The names of those of the tools that `could_allow` tells to be in vain."""
        if self._is_closed:
            return frozenset()  # whoever calls one is told what is the matter
        named = ((spec, self.naming(spec.name)) for spec in tools)
        return self._outlook.refused(principal, groups, named)

    def could_allow(self, principal: str, groups: frozenset[str], spec: ToolSpec) -> bool:
        """Whether there may be a direct call of this tool that is not denied: False is certain."""
        return spec.name not in self.never_allowed(principal, groups, [spec])

    def naming(self, tool: str) -> tuple[Rule, ...]:
        """The rules that can apply to a call of this tool."""
        found = (*self._by_action.get(tool, ()), *self._for_all)
        return tuple(rule for rule in found if rule.may_name(tool))

    def _plan(self, action: Action) -> "_Plan":
        plan = self._plans.get(action.tool)
        if plan is not None and plan.spec is action.spec:
            return plan
        plan = _plan(action.tool, action.spec, self.naming(action.tool), self._verdicts)
        _keep(self._plans, action.tool, plan, KEPT_TOOLS)
        return plan


class _Plan(Struct, frozen=True):
    """How calls of one tool are decided on: by the rules in force, and with those on trial."""

    spec: ToolSpec | None
    enforced: "_Bench"
    trial: "_Bench | None"


def _plan(tool: str, spec: ToolSpec | None, rules: Sequence[Rule], verdicts: "_Verdicts") -> _Plan:
    enforced = [rule for rule in rules if rule.mode == "enforce"]
    trial = _Bench(tool, spec, rules, verdicts) if len(enforced) < len(rules) else None
    return _Plan(spec, _Bench(tool, spec, enforced, verdicts), trial)


class _Bench:
    """Some rules over the calls of one tool, with all that Cedar needs parsed but the call itself.

    What no rule looks at is left out: of the context, and of the arguments. Cedar is not given the
    schema again, which would double its work: the rules were checked against it, and the arguments
    are made to fit it. What did not would be a rule that cannot be applied, and those refuse.
    """

    def __init__(
        self, tool: str, spec: ToolSpec | None, rules: Sequence[Rule], verdicts: "_Verdicts"
    ) -> None:
        self._tool = tool
        self._verdicts = verdicts
        self._spec = spec or ToolSpec(name=tool, description="", input_schema={})
        self._rules = tuple(rules)
        self._stages = Stages.of(rules)
        self._by_id = {rule.id: rule for rule in (*rules, _GRANT)}
        self.has_forbids = any(rule.effect != "permit" for rule in rules)
        self._reads = reduce(Reads.and_of, (rule.reads for rule in rules), _GRANT.reads)
        self._parts = _parts(self._reads)
        self._sets: OrderedDict[frozenset[str], cedar.PolicySet] = OrderedDict()
        self._worlds: OrderedDict[tuple[str, frozenset[str]], _World] = OrderedDict()
        self._shape: Record | None = None

    def decide(self, action: Action, passes: list[Pass] | None, *, is_granted: bool) -> Decision:
        """What these rules say of an action."""
        if not self._rules and not is_granted:
            return procedure.decide(action, self._stages, lambda _, __: NOBODY)
        if not self.has_forbids and is_granted:
            return Decision("allow", (GRANT,))
        if self._shape is None:
            self._shape = input_shape(self._spec.input_schema)
        try:
            given = seen(self._shape, action.arguments, self._reads.input)
        except Unreadable as error:
            return self._unreadable(action, error)
        context = {"input": given, "granted": is_granted}
        for name, read in self._parts:
            context[name] = read(action)

        def ask(approved: bool, without: frozenset[str]) -> Verdict:
            context["approved"] = approved
            verdict = self._ask(action, context, without)
            if passes is not None:
                passes.append(_pass(approved, verdict))
            return verdict

        return procedure.decide(action, self._stages, ask)

    def _ask(self, action: Action, context: dict[str, Any], without: frozenset[str]) -> Verdict:
        """What Cedar says; asked the very same again, it would say the same, and is not asked."""
        try:
            text = msgspec.json.encode(context).decode()
            question = _Question(self, action.principal, action.groups, without, text)
            found = self._verdicts.get(question)
            if found is not None:
                return found
            verdict = self._answer(action, text, without)
        except ValueError as error:
            log.exception("the policy could not be asked about %s", self._tool)
            return Verdict(is_allowed=False, defect=str(error) or "no answer")
        if len(text) <= LONGEST_KEPT and not verdict.defect and not verdict.broken:
            if len(self._verdicts) >= KEPT_VERDICTS:
                self._verdicts.clear()
            self._verdicts[question] = verdict
        return verdict

    def _answer(self, action: Action, text: str, without: frozenset[str]) -> Verdict:
        world = self._world(action)
        request = {**world.request, "context": text}
        (answer,) = answers([request], self._set(without), world.entities)
        return self._verdict(answer)

    def _verdict(self, answer: Answer) -> Verdict:
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
            rule = self._by_id.get(rule_in(error) or "")
            log.warning("a rule for %s cannot be applied: %s", self._tool, error)
            if rule is None:
                raise ValueError(error)
            if rule.effect != "permit":
                yield rule

    def _set(self, without: frozenset[str]) -> "cedar.PolicySet":
        found = self._sets.get(without)
        if found is None:
            rules = [rule for rule in self._rules if rule.id not in without]
            found = policy_set([*rules, _GRANT])
            _keep(self._sets, without, found, KEPT_VARIANTS)
        return found

    def _world(self, action: Action) -> "_World":
        """The principal with its groups, the tool, and the request that names them."""
        key = action.principal, action.groups
        found = self._worlds.get(key)
        if found is None:
            found = self._new_world(action)
            _keep(self._worlds, key, found, KEPT_PRINCIPALS)
        return found

    def _new_world(self, action: Action) -> "_World":
        who = entity_of(action.principal, action.groups)
        tool = {"type": "Tool", "id": self._tool}
        return _World(
            entities([who, {"uid": tool, "attrs": tool_attributes(self._spec), "parents": []}]),
            {
                "principal": who["uid"],
                "action": {"type": "Action", "id": self._tool},
                "resource": tool,
            },
        )

    def _unreadable(self, action: Action, error: Unreadable) -> Decision:
        rules = tuple(rule.id for rule in self._rules if rule.reads.input != frozenset())
        reason = f"the rules for {action.tool} look at its arguments and cannot read {error}"
        return Decision("deny", rules, reason, "other arguments")


class _Question(NamedTuple):
    """All that an answer of Cedar depends on. A tool that changes has another bench."""

    bench: _Bench
    principal: str
    groups: frozenset[str]
    without: frozenset[str]
    context: str
    """What the rules look at of the call and its facts, as Cedar reads it."""


_Verdicts: TypeAlias = dict[_Question, Verdict]


def can_hold(rules: Iterable[Sourced]) -> bool:
    """Whether Cedar can decide by these rules: what it can read may lie too deep for that."""
    try:
        policy_set(rules)
    except ValueError:
        return False
    return True


class _World(Struct, frozen=True):
    """Who asks for what, as Cedar has it."""

    entities: "cedar.Entities"
    request: dict[str, Any]


@lru_cache(maxsize=64)
def _time(seconds: int) -> dict[str, int]:
    at = datetime.fromtimestamp(seconds, UTC)
    return {"seconds": seconds, "hour": at.hour, "weekday": at.isoweekday()}


_READS: Final[Mapping[str, Callable[[Action], Any]]] = {
    "approved_before": lambda action: action.facts.approved_before,
    "author": lambda action: action.author,
    "direct": lambda action: action.workflow == CALL,
    "labels": lambda action: list(action.facts.labels),
    "workflow": lambda action: action.workflow,
}


def _parts(reads: Reads) -> list[tuple[str, Callable[[Action], Any]]]:
    """How to read what is looked at of the context; `input`, `granted` and `approved` are there."""
    wanted = frozenset(CONTEXT) if reads.context is None else reads.context
    parts: list[tuple[str, Callable[[Action], Any]]] = [
        (name, read) for name, read in _READS.items() if name in wanted
    ]
    if "time" in wanted:
        parts.append(("time", partial(_some_time, names=_names(reads, "time", TIME))))
    if "usage" in wanted:
        parts.append(("usage", partial(_some_usage, names=_names(reads, "usage", USAGE))))
    return parts


def _names(reads: Reads, part: str, known: tuple[str, ...]) -> tuple[str, ...]:
    wanted = reads.of(part)
    return known if wanted is None else tuple(name for name in known if name in wanted)


def _some_usage(action: Action, names: tuple[str, ...]) -> dict[str, int]:
    usage = action.facts.usage
    return {name: usage.get(name, 0) for name in names}


def _some_time(action: Action, names: tuple[str, ...]) -> dict[str, int]:
    time = _time(action.facts.at // 1_000_000)
    return {name: time[name] for name in names}


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
