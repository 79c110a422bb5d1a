"""Who asks. Everything lives in one namespace; an agent can never approve."""

from msgspec import Struct

DEFAULT_NAMESPACE = "default"


class Caller(Struct, frozen=True):
    """An authenticated asker: `principal` is `user:...`, `agent:...` or `service:...`."""

    namespace: str
    principal: str

    @property
    def is_user(self) -> bool:
        """Whether it is a person; some things are theirs to decide."""
        return self.principal.startswith("user:")


LOCAL_AGENT = Caller(DEFAULT_NAMESPACE, "agent:local")
"""An MCP client, or a loopback call, that shows no credential."""

LOCAL_USER = Caller(DEFAULT_NAMESPACE, "user:local")
"""The command line on its owner's terminal."""
