"""Several readings of one question: whether they differ, and who chooses among them."""

from collections.abc import Sequence

import msgspec

from stepwell.nldb.ask.meant import Meant
from stepwell.nldb.ask.outcomes import Option
from stepwell.nldb.rows import Rows
from stepwell.tools.asking import ask


def have_the_same_rows(answers: Sequence[Rows]) -> bool:
    """Whether nobody has to be asked, as every reading has the same answer. What was cut may differ."""
    if any(rows.truncated for rows in answers):
        return False
    sets = [sorted(msgspec.json.encode(row) for row in rows.rows) for rows in answers]
    return all(one == sets[0] for one in sets)


def options_of(readings: Sequence[Meant]) -> tuple[Option, ...]:
    """What can be chosen of."""
    return tuple(Option(one.reading, one.meaning) for one in readings)


async def chosen_by_person(question: str, options: Sequence[Option]) -> str:
    """The reading that the person behind a call chooses; "" when he does not."""
    meanings = {option.meaning: option.reading for option in options}
    schema = {
        "type": "object",
        "properties": {"meaning": {"type": "string", "enum": list(meanings)}},
        "required": ["meaning"],
    }
    reply = await ask(f"Which is meant by {question[:200]!r}?", schema=schema, key="reading")
    return meanings.get(reply.content["meaning"], "") if reply.is_accepted else ""
