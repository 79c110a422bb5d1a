"""Which tools a caller is offered: those that are published, but for what policy would always deny."""

from collections import OrderedDict
from collections.abc import Sequence
from typing import Final

from msgspec import Struct

from stepwell.policy.book import PolicyBook
from stepwell.policy.ruleset import RuleSet
from stepwell.principals import Caller
from stepwell.tools.port import ToolSpec
from stepwell.tools.registry import ToolRegistry

MOST_CALLERS: Final = 1024
"""Callers of which it is remembered what they are offered."""

NO_GROUPS: Final = frozenset[str]()
"""Nobody is in a group yet when a call of his is decided on."""


class OfferedTools:
    """Answers the same tuple for as long as nothing changes, to whomever is offered the same."""

    def __init__(self, registry: ToolRegistry, book: PolicyBook) -> None:
        self._registry = registry
        self._book = book
        self._known: OrderedDict[tuple[str, str], _Known] = OrderedDict()
        self._alike: dict[frozenset[str], tuple[ToolSpec, ...]] = {}
        self._published: tuple[ToolSpec, ...] = ()

    def to(self, caller: Caller) -> tuple[ToolSpec, ...]:
        """What this caller is offered, by name."""
        published = self._registry.published()
        rules = self._book.get(caller.namespace)
        if rules is None:
            return published  # by the defaults all of it may be asked for
        if published is not self._published:
            self._published = published
            self._alike.clear()
            self._known.clear()
        key = caller.namespace, caller.principal
        known = self._known.get(key)
        if known is None or known.rules is not rules:
            known = self._known[key] = self._look(caller, rules)
            while len(self._known) > MOST_CALLERS:
                self._known.popitem(last=False)
        return known.offered

    def hidden(self, caller: Caller, names: Sequence[str]) -> frozenset[str]:
        """Which of these tools policy denies this caller whatever he asks."""
        rules = self._book.get(caller.namespace)
        if rules is None:
            return frozenset()
        tools = [tool.spec for name in names if (tool := self._registry.get(name)) is not None]
        return rules.never_allowed(caller.principal, NO_GROUPS, tools)

    def _look(self, caller: Caller, rules: RuleSet) -> "_Known":
        hidden = rules.never_allowed(caller.principal, NO_GROUPS, self._published)
        if not hidden:
            return _Known(rules, self._published)
        offered = self._alike.get(hidden)
        if offered is None:
            if len(self._alike) >= MOST_CALLERS:
                self._alike.clear()
            offered = tuple(spec for spec in self._published if spec.name not in hidden)
            self._alike[hidden] = offered
        return _Known(rules, offered)


class _Known(Struct, frozen=True):
    """What a caller is offered while these rules are in force."""

    rules: RuleSet
    offered: tuple[ToolSpec, ...]
