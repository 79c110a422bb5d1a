"""What is decided where nobody has applied a policy.

A workflow may call the tools that it lists, in the runs that its author starts, who is a user. Anybody
may read; all else is held for a person, who may be the one that asked. `TEXT` says the same as a policy, to begin one's own with.
"""

from typing import Final

from stepwell.policy.port import Action, Decision, Terms
from stepwell.policy.procedure import GRANT, is_granted

READ: Final = "default.read"
HOLD: Final = "default.hold"

TEXT: Final = """\
// What Stepwell does where nobody has applied a policy.
// The runs of a workflow's own author may call the tools that it lists, whatever is written here,
// unless a rule forbids it.

@id("any")
permit(principal, action, resource);

@id("hold")
@effect("require_approval")
@approver("caller")
@reason("the tool may change something, and no policy allows it")
forbid(principal, action, resource)
when { !context.granted && !resource.read_only };
"""

_GRANTED: Final = Decision("allow", (GRANT,))
_READ: Final = Decision("allow", (READ,))
_APPROVED: Final = Decision("allow", (HOLD,))
_HELD: Final = Decision(
    "require_approval",
    (HOLD,),
    "the tool may change something, and no policy allows it",
    "a person's approval; or a policy that allows it (stepwell policy apply FILE)",
    terms=Terms(approver="caller"),
)


def decide(action: Action) -> Decision:
    """The decision where there is no policy."""
    if action.tool not in action.granted:
        return _not_listed(action)
    if is_granted(action):
        return _GRANTED
    if action.spec is not None and action.spec.read_only:
        return _READ
    return _APPROVED if action.approved else _HELD


def _not_listed(action: Action) -> Decision:
    reason = f"workflow {action.workflow!r} does not list the tool {action.tool!r}"
    return Decision(
        "deny", (GRANT,), reason, "add it to `tools` of the agent, or to a node of the workflow"
    )
