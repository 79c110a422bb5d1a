"""How a decision is made of what the rules say: two passes, so that nobody is asked in vain.

First as things are. When rules forbid that a person may lift, or time, the rules are asked again as
if they were lifted: what would be refused anyway is refused now, with the reasons of that.
"""

from collections.abc import Callable, Iterable
from typing import Final, TypeAlias

from msgspec import Struct

from stepwell.policy.port import Action, Decision, Terms
from stepwell.policy.remedies import remedy
from stepwell.policy.rules import CALL, Rule

GRANT: Final = "tools"
"""The id of the rule that lets a workflow call the tools that it lists."""

INTERNAL: Final = "internal"
"""The id that stands for a defect of ours."""


def is_granted(action: Action) -> bool:
    """Whether the workflow's list of tools is a permit for this call.

    It is one for the runs of its author, who is a user. An agent that could put a workflow, or start
    that of a user with an input of its own, would otherwise call what is held when it calls it directly.
    """
    return action.workflow != CALL and action.is_own and action.tool in action.granted


class Verdict(Struct, frozen=True):
    """What the rules say in one pass.

    `rules` are those that decided: all that forbid, or all that permit. `broken` are rules that
    forbid and could not be applied; Cedar passes over them, we refuse. `defect` says why Cedar
    gave no answer at all.
    """

    is_allowed: bool
    rules: tuple[Rule, ...] = ()
    broken: tuple[Rule, ...] = ()
    defect: str = ""


NOBODY: Final = Verdict(is_allowed=False)
"""No rule permits."""


class Stages(Struct, frozen=True):
    """The ids of rules that a person may lift, and of those that a person or time may."""

    asking: frozenset[str]
    soft: frozenset[str]

    @classmethod
    def of(cls, rules: Iterable[Rule]) -> "Stages":
        """Those of these rules."""
        soft = [rule for rule in rules if rule.is_soft]
        asking = frozenset(rule.id for rule in soft if rule.effect == "require_approval")
        return cls(asking, frozenset(rule.id for rule in soft))


Ask: TypeAlias = Callable[[bool, frozenset[str]], Verdict]
"""The rules but for some, by id, asked with or without a person's approval."""


def decide(action: Action, stages: Stages, ask: Ask) -> Decision:
    """What becomes of an action, as these rules say it."""
    first = ask(action.approved, _lifted(action, stages))
    if first.is_allowed:
        return Decision("allow", tuple(rule.id for rule in first.rules))
    if not _may_change(first):
        return _refused(action, first)
    second = ask(True, stages.soft)
    if not second.is_allowed:
        return _refused(action, second)
    if any(rule.effect == "throttle" for rule in first.rules):
        return _put_off(action, [rule for rule in first.rules if rule.effect == "throttle"])
    return _held(first.rules)


def _lifted(action: Action, stages: Stages) -> frozenset[str]:
    """The rules that a person has answered already."""
    if not action.approved:
        return frozenset()
    answered = action.approved_rules
    return stages.asking if answered is None else stages.asking & frozenset(answered)


def _may_change(verdict: Verdict) -> bool:
    """Whether nothing but a person's word, or time, is missing."""
    return (
        not verdict.defect
        and not verdict.broken
        and bool(verdict.rules)
        and all(rule.is_soft for rule in verdict.rules)
    )


def _refused(action: Action, verdict: Verdict) -> Decision:
    if verdict.defect:
        reason = "the policy could not be asked; that is a defect of Stepwell, and it is logged"
        return Decision("deny", (INTERNAL,), reason)
    if verdict.broken:
        ids = tuple(rule.id for rule in verdict.broken)
        reason = f"{_listed(ids)} cannot be applied to these arguments"
        return Decision("deny", ids, reason, remedy(verdict.broken))
    hard = [rule for rule in verdict.rules if not rule.is_soft]
    if hard:
        return Decision("deny", tuple(rule.id for rule in hard), _reason(hard), remedy(hard))
    reason = f"no rule allows {action.tool} here"
    way = f'a rule that permits it: permit(principal, action == Action::"{action.tool}", resource)'
    return Decision("deny", (), reason, way)


def _held(rules: Iterable[Rule]) -> Decision:
    """Held on the strictest terms of all rules that ask."""
    rules = tuple(rules)
    terms = Terms(
        expires_us=min(rule.expires_us for rule in rules),
        groups=tuple(sorted({rule.group for rule in rules if rule.group})),
        approver="caller" if all(rule.approver == "caller" for rule in rules) else "other",
    )
    ids = tuple(rule.id for rule in rules)
    way = "a person's approval; it has been asked for"
    return Decision("require_approval", ids, _reason(rules), way, terms=terms)


def _put_off(action: Action, rules: Iterable[Rule]) -> Decision:
    rules = tuple(rules)
    at = action.facts.at + max(rule.retry_us for rule in rules)
    ids = tuple(rule.id for rule in rules)
    return Decision("throttle", ids, _reason(rules), "time: it is tried again", retry_at=at)


def _reason(rules: Iterable[Rule]) -> str:
    told = [rule.reason for rule in rules if rule.reason]
    return "; ".join(dict.fromkeys(told)) or f"{_listed(rule.id for rule in rules)} forbids it"


def _listed(ids: Iterable[str]) -> str:
    listed = list(ids)
    return f"{'the rule' if len(listed) == 1 else 'each of the rules'} {', '.join(listed)}"
