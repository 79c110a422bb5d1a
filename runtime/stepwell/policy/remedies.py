"""What would change a decision, told to whoever asked for the call.

Only which things a rule looks at, and only the caller's own: no threshold, no other principal, no
text of the rule. What an author wants to tell beyond that is in @remedy.
"""

from collections.abc import Iterable, Iterator

from stepwell.policy.rules import Rule


def remedy(rules: Iterable[Rule]) -> str:
    """What would have to be different for none of these rules to forbid."""
    rules = tuple(rules)
    told = [rule.remedy for rule in rules if rule.remedy]
    if told:
        return "; ".join(dict.fromkeys(told))
    ways = [way for rule in rules for way in _ways(rule)]
    return "; ".join(dict.fromkeys(ways)) or "another policy; these rules always forbid it"


def _ways(rule: Rule) -> Iterator[str]:
    reads = rule.reads
    context = reads.context if reads.context is not None else frozenset({"input"})
    if "input" in context:
        names = ", ".join(sorted(reads.input or ()))
        yield f"other values of {names}" if names else "other arguments"
    if "usage" in context:
        yield "less use in this run or today"
    if "labels" in context:
        yield "a run that has read less"
    if "time" in context:
        yield "another time"
    if context & {"author", "workflow", "direct", "granted"}:
        yield "another workflow"
    if rule.names_principal:
        yield "another principal"
