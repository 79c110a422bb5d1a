"""The policies in force, one per namespace: what every effect is decided by."""

from stepwell.policy import defaults
from stepwell.policy.port import Action, Decision
from stepwell.policy.ruleset import Pass, RuleSet


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

    def get(self, namespace: str) -> RuleSet | None:
        """The policy in force; None where the defaults are."""
        return self._in_force.get(namespace)

    def put(self, namespace: str, rules: RuleSet) -> None:
        """Puts a policy into force: the next action is decided by it."""
        self._in_force[namespace] = rules

    def remove(self, namespace: str) -> None:
        """Goes by the defaults from now on."""
        self._in_force.pop(namespace, None)
