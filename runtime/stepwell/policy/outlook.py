"""Which tools rules could ever let somebody call directly: what is worth offering to him.

Of a call that is not made yet little is known: who makes it, of which tool, and that it is direct.
A part of a rule that looks at anything else may turn out either way. So a permit is asked without
such parts, and a forbid with such parts is not asked at all; nor is one that a person or time lifts.
What is refused even so is refused with every argument, at every time.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

import msgspec
from cedarpy import _internal as cedar
from msgspec.structs import replace

from stepwell.policy.cedar_world import answers, entities, entity_of, policy_set
from stepwell.policy.rules import CALL, Rule, reads
from stepwell.policy.schema import tool_attributes
from stepwell.tools.port import ToolSpec

KNOWN: Final[Mapping[str, Any]] = {"direct": True, "granted": False, "workflow": CALL}
"""What is known of the context of every direct call."""

MOST_SETS: Final = 2048
"""Sets of rules that are kept ready."""

_CONTEXT: Final = msgspec.json.encode(KNOWN).decode()


class Outlook:
    """Looks ahead by the rules of one version. Pure, but for what it remembers to be fast."""

    def __init__(self) -> None:
        self._cut: dict[str, Rule | None] = {}
        self._sets: dict[tuple[str, ...], _Ahead] = {}

    def refused(
        self,
        principal: str,
        groups: frozenset[str],
        tools: Iterable[tuple[ToolSpec, Sequence[Rule]]],
    ) -> frozenset[str]:
        """The names of the tools, each with the rules that may name it, of which no call can pass."""
        found: set[str] = set()
        alike: dict[tuple[str, ...], tuple[_Ahead, list[ToolSpec]]] = {}
        for spec, rules in tools:
            ahead = self._ahead(rules)
            if not ahead.permits:
                found.add(spec.name)
            elif not ahead.is_open:
                alike.setdefault(ahead.key, (ahead, []))[1].append(spec)
        for ahead, specs in alike.values():
            found.update(_refused(ahead, principal, groups, specs))
        return frozenset(found)

    def _ahead(self, rules: Sequence[Rule]) -> "_Ahead":
        key = tuple(rule.id for rule in rules)
        ahead = self._sets.get(key)
        if ahead is None:
            if len(self._sets) >= MOST_SETS:
                self._sets.clear()
            ahead = self._sets[key] = _Ahead(
                key, [cut for rule in rules if (cut := self._of(rule))]
            )
        return ahead

    def _of(self, rule: Rule) -> Rule | None:
        if rule.id not in self._cut:
            self._cut[rule.id] = _known_part(rule)
        return self._cut[rule.id]


class _Ahead:
    """Some rules, as far as they say anything before a call is made."""

    def __init__(self, key: tuple[str, ...], rules: Sequence[Rule]) -> None:
        self.key = key
        self.permits = tuple(rule for rule in rules if rule.effect == "permit")
        self.is_open = len(self.permits) == len(rules) and any(map(_is_for_all, self.permits))
        """Whether any of them lets everybody call whatever it names, and none refuses."""
        self._rules = tuple(rules)
        self._set: cedar.PolicySet | None = None

    @property
    def set(self) -> "cedar.PolicySet":
        """As Cedar takes them."""
        if self._set is None:
            self._set = policy_set(self._rules)
        return self._set


def _refused(
    ahead: _Ahead, principal: str, groups: frozenset[str], specs: Sequence[ToolSpec]
) -> Iterator[str]:
    """The tools that Cedar denies; what it gives no answer of may be called, and is refused then."""
    who = entity_of(principal, groups)
    them: list[Any] = [who]
    requests: list[Any] = []
    for spec in specs:
        tool = {"type": "Tool", "id": spec.name}
        them.append({"uid": tool, "attrs": tool_attributes(spec), "parents": []})
        action = {"type": "Action", "id": spec.name}
        asked = {"principal": who["uid"], "action": action, "resource": tool}
        requests.append({**asked, "context": _CONTEXT})
    found = answers(requests, ahead.set, entities(them))
    for spec, answer in zip(specs, found, strict=True):
        if answer.decision == "Deny":
            yield spec.name


def _known_part(rule: Rule) -> Rule | None:
    """A rule as far as it holds of every direct call; None where it says nothing of all of them."""
    if rule.mode != "enforce" or rule.is_soft:
        return None
    parts = list(_parts(rule.source))
    known = [part for part in parts if _is_known(part)]
    if rule.effect == "permit":
        return replace(rule, source={**rule.source, "conditions": known})
    return rule if len(known) == len(parts) else None


def _parts(source: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """The conditions of a rule, each that is an `and` as those that it joins."""
    for condition in source.get("conditions", ()):
        ahead = [condition["body"]]
        while ahead:
            body = ahead.pop()
            both = body.get("&&") if condition["kind"] == "when" else None
            if both is None:
                yield {"kind": condition["kind"], "body": body}
            else:
                ahead += [both["right"], both["left"]]


def _is_known(condition: Mapping[str, Any]) -> bool:
    looked_at = reads({"conditions": [condition]}).context
    return looked_at is not None and looked_at <= KNOWN.keys()


def _is_for_all(rule: Rule) -> bool:
    return (
        not rule.names_principal
        and rule.source["resource"]["op"] == "All"
        and rule.source["action"]["op"] in ("All", "==", "in")
        and not rule.source["conditions"]
    )
