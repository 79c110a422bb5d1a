"""Texts that every database can keep: names, keys and labels, before anybody writes them."""

import re
from collections.abc import Mapping
from typing import Final

from stepwell.errors import InvalidRequest

UNSTORABLE: Final = re.compile("[\x00\ud800-\udfff]")
"""What databases take in no text."""


def check_texts(labels: Mapping[str, str] | None = None, /, **texts: str | None) -> None:
    """Whether each of these texts, by the name of its field, can be kept; and the labels of a run.

    Raises:
        InvalidRequest: one of them cannot.
    """
    for field, text in texts.items():
        if text and UNSTORABLE.search(text):
            raise _refusal(field)
    for name, value in (labels or {}).items():
        if UNSTORABLE.search(name) or UNSTORABLE.search(value):
            raise _refusal(f"labels.{name}")


def _refusal(field: str) -> InvalidRequest:
    problem = "has a NUL character, or half of a surrogate pair, which no database keeps in a text"
    named = UNSTORABLE.sub("?", field)
    return InvalidRequest(f"{named} {problem}; leave it out", detail={named: problem})
