"""The W3C `traceparent`: which trace something belongs to, in one line of text.

A run has a place in a trace without anybody keeping it: the ids follow from the id of the run and
from the request that it came with. So every process that works on it says the same, also after a
crash, and calls can name the span of the run as their parent before that span is known.
"""

import hashlib
import re
from typing import Final

from msgspec import Struct

TRACEPARENT: Final = "traceparent"
"""What it is called in the headers of HTTP, the metadata of gRPC and the `_meta` of MCP."""

SAMPLED: Final = 1
_FORM = re.compile("([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?").fullmatch
_NO_VERSION, _FIRST_VERSION = "ff", "00"


class Place(Struct, frozen=True):
    """A span in a trace, as others name it."""

    trace_id: int
    span_id: int
    flags: int

    @property
    def is_sampled(self) -> bool:
        """Whether whoever began the trace wants to see it."""
        return bool(self.flags & SAMPLED)

    def text(self) -> str:
        """The `traceparent`."""
        return f"00-{self.trace_id:032x}-{self.span_id:016x}-{self.flags:02x}"


def parse(text: str) -> Place | None:
    """The span that a `traceparent` names; None when it is none, which is nobody's error."""
    found = _FORM(text)
    if found is None:
        return None
    version, trace_id, span_id, flags, rest = found.groups()
    if version == _NO_VERSION or (version == _FIRST_VERSION and rest):
        return None
    place = Place(int(trace_id, 16), int(span_id, 16), int(flags, 16))
    return place if place.trace_id and place.span_id else None


def clean(text: str) -> str:
    """A `traceparent` as we pass it on, or ""."""
    place = parse(text)
    return place.text() if place is not None else ""


def trace_of(run: str) -> int:
    """The trace of a run that came with none: its id, most of which is random."""
    return int(run.replace("-", ""), 16)


def span_of(run: str) -> int:
    """The span of a run."""
    return int.from_bytes(hashlib.sha256(f"run/{run}".encode()).digest()[:8], "big") or 1
