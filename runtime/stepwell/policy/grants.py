"""The first policy: a workflow may call the tools that it names, and nothing else."""

from stepwell.policy.port import Action, Decision

_ALLOW = Decision("allow", ("tools",))


class GrantedTools:
    """Allows what the workflow's own tool list names."""

    def decide(self, action: Action) -> Decision:
        """Allow a tool that the run's workflow version grants."""
        if action.tool in action.granted:
            return _ALLOW
        return Decision(
            "deny",
            ("tools",),
            f"workflow {action.workflow!r} does not list the tool {action.tool!r}; "
            "add it to `tools` of the agent, or to a node",
        )
