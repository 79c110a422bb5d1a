"""Who asks. Everything lives in one namespace; an agent can never approve."""

from typing import Literal, TypeAlias

from msgspec import Struct

Kind: TypeAlias = Literal["user", "agent", "service"]
"""What a principal is; its name begins with it."""

DEFAULT_NAMESPACE = "default"


SCHEDULE = "service:schedule/"
"""How the principals begin that the runs of schedules have; no key is ever one of these."""


def is_user(principal: str) -> bool:
    """Whether it is a person."""
    return principal.startswith("user:")


class Caller(Struct, frozen=True):
    """An authenticated asker: `principal` is `user:...`, `agent:...` or `service:...`.

    `key` is the id of the API key that it showed, if it showed one. `scopes` is what its access token
    grants; other credentials know no scopes, and None takes everything that its principal may.
    """

    namespace: str
    principal: str
    key: str = ""
    scopes: tuple[str, ...] | None = None

    @property
    def is_user(self) -> bool:
        """Whether it is a person; some things are theirs to decide."""
        return is_user(self.principal)

    @property
    def is_owner(self) -> bool:
        """Whether it is the owner of the home, who operates it."""
        return self.principal == "user:local" and not self.key


LOCAL_AGENT = Caller(DEFAULT_NAMESPACE, "agent:local")
"""An MCP client, or a loopback call, that shows no credential."""

LOCAL_USER = Caller(DEFAULT_NAMESPACE, "user:local")
"""The command line on its owner's terminal."""
