"""How Cedar is asked: rules and entities as it takes them, and its answers as values.

Cedar is fast where it parses nothing again: sets of rules and entities are made once and kept by
whoever asks.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, Protocol

import msgspec
from cedarpy import _internal as cedar
from msgspec import Struct

from stepwell.policy.schema import PRINCIPALS

_IN_RULE: Final = re.compile(r"while evaluating policy `([^`]*)`")


class Sourced(Protocol):
    """A rule of any kind."""

    @property
    def id(self) -> str:
        """What it is named by."""
        ...

    @property
    def source(self) -> Mapping[str, Any]:
        """Cedar's JSON of it."""
        ...


class Diagnostics(Struct):
    """The ids of the rules that decided, and what is wrong with others."""

    reason: list[str] = []
    errors: list[str] = []


class Answer(Struct):
    """What Cedar says of one request."""

    decision: str
    """`Allow`, `Deny`, or `NoDecision`, which is a defect of ours."""
    diagnostics: Diagnostics


_DECODER: Final = msgspec.json.Decoder(Answer)


def policy_set(rules: Iterable[Sourced]) -> "cedar.PolicySet":
    """The rules, by their ids.

    Raises:
        ValueError: Cedar cannot hold one of them.
    """
    return policies({rule.id: rule.source for rule in rules})


def policies(sources: Mapping[str, Mapping[str, Any]]) -> "cedar.PolicySet":
    """Cedar's JSON of rules, by their ids.

    Raises:
        ValueError: Cedar cannot hold one of them.
    """
    document = {"templates": {}, "staticPolicies": sources, "templateLinks": []}
    return cedar.PolicySet.from_json_str(msgspec.json.encode(document).decode())


def entity_of(
    principal: str, groups: Iterable[str], tags: Mapping[str, Sequence[str]] | None = None
) -> dict[str, Any]:
    """Somebody as an entity: `user:ann` is a `User`, in her groups; `uid` is what requests name."""
    kind, _, bare = principal.partition(":")
    entity = {
        "uid": {"type": PRINCIPALS.get(kind, "Service"), "id": bare},
        "attrs": {},
        "parents": [{"type": "Group", "id": group} for group in sorted(groups)],
    }
    return entity if tags is None else {**entity, "tags": tags}


def entities(them: Sequence[Mapping[str, Any]]) -> "cedar.Entities":
    """The entities that rules may look at."""
    return cedar.Entities.from_json_str(msgspec.json.encode(them).decode(), None)


def answers(
    requests: Sequence[dict[str, Any]], rules: "cedar.PolicySet", world: "cedar.Entities"
) -> list[Answer]:
    """What Cedar says, one answer for each request.

    Raises:
        ValueError: it cannot be asked.
    """
    told = cedar.is_authorized_batch(list(requests), rules, world, None, False)
    return [_DECODER.decode(text) for text in told]


def rule_in(error: str) -> str | None:
    """The id of the rule that an error of an answer is about; None where it names none."""
    match = _IN_RULE.search(error)
    return match[1] if match else None
