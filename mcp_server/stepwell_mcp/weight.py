"""What the definition of a tool costs a model that reads it, and what is wrong with its length."""

from collections.abc import Iterable, Mapping
from typing import Any, Final

import msgspec

TOKEN: Final = 4
"""Bytes of JSON that are taken for a token: what tokenizers make of such texts, give or take a quarter."""
LONGEST_DESCRIPTION: Final = 500
"""Characters after which a description is long: models read all of them at every turn."""
LONGEST_NAME: Final = 64
"""Letters of a name; some clients refuse more, or put the name of the server before it."""
HEAVIEST: Final = 1000
"""Tokens after which a definition is heavy."""


def tokens(definitions: Iterable[Mapping[str, Any]]) -> int:
    """About how many tokens definitions are, as they go over the wire."""
    return sum(len(msgspec.json.encode(one)) for one in definitions) // TOKEN


def complaints(definition: Mapping[str, Any]) -> list[str]:
    """What of a definition costs more than it helps, each with what to do."""
    name, description = definition.get("name", ""), definition.get("description") or ""
    found: list[str] = []
    if len(name) > LONGEST_NAME:
        found.append(f"its name has {len(name)} letters; some clients take {LONGEST_NAME} at most")
    if not description.strip():
        found.append("it has no description, and models guess then; say what it does, and when")
    if len(description) > LONGEST_DESCRIPTION:
        found.append(
            f"its description has {len(description)} characters; say it in {LONGEST_DESCRIPTION}"
        )
    weight = tokens([definition])
    if weight > HEAVIEST:
        found.append(f"its definition is about {weight} tokens; shorten its schemas, or split it")
    return found
