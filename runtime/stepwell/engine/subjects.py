"""What a person's answer is bound to: a digest of the very thing that was shown.

The digest of a call holds a nonce, so that no answer fits a second time, and so that nobody who has
only the digest can find out the arguments by trying.
"""

import hashlib

import msgspec

from stepwell.engine.commands import CallTool
from stepwell.engine.events import ApprovalRequested

ID_LENGTH = 20
"""Hexadecimal digits of the id of an approval."""

_encode = msgspec.json.Encoder(order="sorted").encode


def call_subject(run: str, call: CallTool, *, definition: str, policy: str, nonce: str) -> str:
    """The subject of a held call; `definition` and `policy` are digests of what they were then."""
    parts = (
        call.tool,
        definition,
        call.arguments.value,
        run,
        call.step,
        call.attempt,
        call.call,
        policy,
        nonce,
    )
    return _digest(parts)


def subject_of(run: str, asked: ApprovalRequested) -> str:
    """The subject of anything that a person is asked."""
    if asked.subject:
        return asked.subject
    return _digest((asked.about, run, asked.step, asked.attempt, asked.call, asked.at))


def approval_id(run: str, asked: ApprovalRequested) -> str:
    """The id under which what a person is asked stands in the list of approvals."""
    return subject_of(run, asked)[:ID_LENGTH]


def _digest(parts: tuple[object, ...]) -> str:
    return hashlib.sha256(_encode(parts)).hexdigest()
