"""Who asks. Everything lives in one namespace; an agent can never approve."""

from collections.abc import Mapping
from typing import Literal, TypeAlias

from msgspec import Struct

Kind: TypeAlias = Literal["user", "agent", "service"]
"""What a principal is; its name begins with it."""

Attributes: TypeAlias = Mapping[str, tuple[str, ...]]
"""What is known of a principal besides its name: one text or more, by name."""

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
    `attributes` is what the credential vouches for.
    """

    namespace: str
    principal: str
    key: str = ""
    scopes: tuple[str, ...] | None = None
    attributes: Attributes = {}

    def __hash__(self) -> int:
        return hash((self.namespace, self.principal, self.key))

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
