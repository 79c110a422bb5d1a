"""Several readings of one question: which of them differ, and how one of them is named."""

import hashlib
from collections.abc import Sequence
from typing import Final

import msgspec
from msgspec import Struct

from stepwell.nldb.ask.outcomes import Option
from stepwell.nldb.guard import Checked
from stepwell.nldb.keyless.finish import Reading
from stepwell.nldb.plan.model import Plan
from stepwell.nldb.rows import Rows

_DIGITS: Final = 12


class Ran(Struct, frozen=True):
    """A reading with its rows."""

    reading: Reading
    checked: Checked
    rows: Rows


def have_the_same_rows(runs: Sequence[Ran]) -> bool:
    """Whether nobody has to be asked, as every reading has the same answer. What was cut may differ."""
    if any(run.rows.truncated for run in runs):
        return False
    answers = [sorted(msgspec.json.encode(row) for row in run.rows.rows) for run in runs]
    return all(answer == answers[0] for answer in answers)


def name_of(plan: Plan) -> str:
    """The name of a reading: the same whenever the same is meant."""
    bare = msgspec.structs.replace(plan, assumptions=())
    return hashlib.sha256(msgspec.json.encode(bare, order="sorted")).hexdigest()[:_DIGITS]


def options_of(readings: Sequence[Reading]) -> tuple[Option, ...]:
    """What can be chosen of."""
    return tuple(Option(name_of(reading.plan), reading.meaning) for reading in readings)
