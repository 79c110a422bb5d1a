"""What is for people to decide: an agent that changed its own limits would have none."""

from stepwell.errors import Denied
from stepwell.principals import Caller


def demand_user(caller: Caller, deed: str, command: str) -> None:
    """Whether a person asks; `deed` is a sentence of what is done, `command` does it.

    Raises:
        Denied: POLICY_DENIED, the caller is not a user.
    """
    if not caller.is_user:
        raise Denied(
            f"{deed} by a user, and this call is by {caller.principal}; have the owner of the home "
            f"run `{command}`"
        )
