"""Approvals: how a person proves who answers."""

from typing import Literal, Protocol

from msgspec import Struct

from stepwell.principals import Caller


class Proof(Struct, frozen=True, kw_only=True):
    """What only the person has: a one-time code, or the JSON of a WebAuthn assertion."""

    kind: Literal["totp", "passkey"]
    value: str


class Factors(Protocol):
    """Knows the factors that people have enrolled."""

    async def is_enrolled(self, caller: Caller) -> bool:
        """Whether the caller has a factor."""
        ...

    async def verify(self, caller: Caller, proof: Proof | None, subject: str) -> None:
        """Returns when the proof is the caller's and for this subject.

        Raises:
            Denied: FACTOR_REQUIRED, there is no proof, or no factor is enrolled; FACTOR_WRONG.
        """
        ...
