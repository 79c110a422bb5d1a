"""The policies in force, one per namespace: what every effect is decided by."""

from collections.abc import Iterable
from typing import Final

from stepwell.policy import defaults
from stepwell.policy.data.access import Access, Tables
from stepwell.policy.data.deciding import DataRules
from stepwell.policy.data.port import Asker
from stepwell.policy.port import Action, Decision
from stepwell.policy.ruleset import Pass, RuleSet
from stepwell.tools.port import ToolSpec

_NO_RULES: Final = DataRules()


class PolicyBook:
    """Decides by the policy of the action's namespace, else by the defaults."""

    def __init__(self) -> None:
        self._in_force: dict[str, RuleSet] = {}

    def decide(self, action: Action, passes: list[Pass] | None = None) -> Decision:
        """As `Policy.decide`; `passes` is told of every time that the rules are asked."""
        rules = self._in_force.get(action.namespace)
        if rules is None:
            return defaults.decide(action)
        return rules.decide(action, passes)

    def never_allowed(
        self, namespace: str, principal: str, groups: frozenset[str], tools: Iterable[ToolSpec]
    ) -> frozenset[str]:
        """The names of those of the tools of which every direct call is denied, whatever it holds.

        Not all of them: what may turn out either way is left out.
        """
        rules = self._in_force.get(namespace)
        return frozenset() if rules is None else rules.never_allowed(principal, groups, tools)

    def could_allow(
        self, namespace: str, principal: str, groups: frozenset[str], spec: ToolSpec
    ) -> bool:
        """Whether there may be a direct call of this tool that is not denied: False is certain."""
        return spec.name not in self.never_allowed(namespace, principal, groups, [spec])

    def access_of(
        self, namespace: str, asker: Asker, datasource: str, catalog: Tables, *, salt: str = ""
    ) -> Access:
        """As `DataPolicy.access_of`."""
        rules = self._in_force.get(namespace)
        data = _NO_RULES if rules is None else rules.data
        return data.decide(asker, datasource, catalog, salt=salt).access

    def get(self, namespace: str) -> RuleSet | None:
        """The policy in force; None where the defaults are."""
        return self._in_force.get(namespace)

    def put(self, namespace: str, rules: RuleSet) -> None:
        """Puts a policy into force: the next action is decided by it."""
        self._in_force[namespace] = rules

    def remove(self, namespace: str) -> None:
        """Goes by the defaults from now on."""
        self._in_force.pop(namespace, None)
