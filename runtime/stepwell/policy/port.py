"""The question that is asked before every effect, and its answer."""

from typing import Literal, Protocol

from msgspec import Struct

from stepwell.engine.values import Json


class Action(Struct, frozen=True, kw_only=True):
    """One thing that somebody is about to do.

    `granted` are the tools that the workflow version of the run names; a direct call is a
    run of the built-in workflow `call`, which grants the tools that are published.
    """

    namespace: str
    principal: str
    workflow: str
    run: str
    step: str
    tool: str
    arguments: Json
    granted: frozenset[str]


class Decision(Struct, frozen=True):
    """What the policy engine says of one action, and the rules that decided."""

    effect: Literal["allow", "deny"]
    rules: tuple[str, ...] = ()
    reason: str = ""


class Policy(Protocol):
    """Decides on actions. Pure: the same facts give the same decision."""

    def decide(self, action: Action) -> Decision:
        """Allow or deny, and why."""
        ...
