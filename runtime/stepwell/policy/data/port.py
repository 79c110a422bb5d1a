"""The question that is asked before a database is looked into, and who answers it."""

from typing import Protocol

from msgspec import Struct

from stepwell.policy.data.access import Access, Tables
from stepwell.principals import Attributes


class Asker(Struct, frozen=True, kw_only=True):
    """Who wants to know what he may see: `agent:x`, its groups, and what is known of it."""

    principal: str
    groups: frozenset[str] = frozenset()
    attributes: Attributes = {}

    @property
    def key(self) -> tuple[object, ...]:
        """Equal for those of whom the same is known."""
        known = sorted((name, tuple(texts)) for name, texts in self.attributes.items())
        return self.principal, self.groups, tuple(known)


class DataPolicy(Protocol):
    """Says what may be done in a database. Pure: the same rules and catalog give the same answer."""

    def access_of(
        self, namespace: str, asker: Asker, datasource: str, catalog: Tables, *, salt: str = ""
    ) -> Access:
        """What the asker may do there by the policy in force; `salt` keys the mask `hash`."""
        ...
