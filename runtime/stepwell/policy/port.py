"""The question that is asked before every effect, and its answer."""

from collections.abc import Mapping
from typing import Final, Literal, Protocol

from msgspec import Struct

from stepwell.engine.values import Json
from stepwell.tools.port import ToolSpec

DAY: Final = 86_400_000_000
"""In microseconds."""


class Facts(Struct, frozen=True, kw_only=True):
    """What the run's log and the ledger know when an action is decided on.

    `at` is UTC microseconds. `usage` counts what was spent, by name of the count. `labels` are
    those of everything that the run has read so far. `approved_before` counts the calls of this
    tool that a person has approved in this run.
    """

    at: int = 0
    usage: Mapping[str, int] = {}
    labels: frozenset[str] = frozenset()
    approved_before: int = 0


NO_FACTS: Final = Facts()


class Action(Struct, frozen=True, kw_only=True):
    """One thing that somebody is about to do.

    `granted` are the tools that the workflow version of the run names; a direct call is a
    run of the built-in workflow `call`, which grants the tools that are published. They are a
    permit when `is_own`: a user is the `author` of the version, and the run is his. `spec` is the
    tool as it is now. It is `approved` when a person has said yes to this very call, which answers
    the rules `approved_rules`; None is all that ask. `groups` are those of the principal.
    """

    namespace: str
    principal: str
    workflow: str
    run: str
    step: str
    tool: str
    arguments: Json
    granted: frozenset[str]
    is_own: bool = True
    author: str = ""
    spec: ToolSpec | None = None
    facts: Facts = NO_FACTS
    approved: bool = False
    approved_rules: tuple[str, ...] | None = None
    groups: frozenset[str] = frozenset()


class Terms(Struct, frozen=True, kw_only=True):
    """On which terms a person is asked.

    Nobody can answer any more after `expires_us` microseconds. `groups` are those whose members
    may; none is everybody. `approver` is `other` when whoever asked for the call may not answer
    himself, `caller` when he may.
    """

    expires_us: int = DAY
    groups: tuple[str, ...] = ()
    approver: Literal["other", "caller"] = "other"


class Decision(Struct, frozen=True):
    """What the policy engine says of one action, and the rules that decided.

    `remedy` says what would change it. `retry_at` (UTC microseconds) comes with `throttle`,
    `terms` with `require_approval`. `policy` is the digest of the policy version that decided.
    `log_only` is what would have been decided with the rules that are on trial, where it differs.
    """

    effect: Literal["allow", "deny", "require_approval", "throttle"]
    rules: tuple[str, ...] = ()
    reason: str = ""
    remedy: str = ""
    retry_at: int | None = None
    terms: Terms | None = None
    policy: str = ""
    log_only: str = ""


class Policy(Protocol):
    """Decides on actions. Pure: the same facts give the same decision."""

    def decide(self, action: Action) -> Decision:
        """Allow, deny, ask a person, or put off; and why."""
        ...
