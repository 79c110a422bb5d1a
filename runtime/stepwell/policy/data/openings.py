"""How far rules open a table, and what becomes of several that do.

Nothing that comes out of here shows a value, a row or a column that no single rule shows: where
rules cannot be put together without that, what all of them show is left.
"""

from collections.abc import Iterable, Mapping, Sequence
from functools import reduce
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from stepwell.policy.data.access import Mask

_RANK: Final[Mapping[Mask, int]] = {"null": 0, "redact": 1, "first": 2, "hash": 2}
_CLEAR: Final = 3


class Opening(Struct, frozen=True, kw_only=True):
    """Some rows of a table, and what is shown of them."""

    rows: str = ""
    """SQL; "" is every row."""
    columns: Mapping[str, Mask | None] = {}
    """Each with its mask, None where its values are shown."""
    most_rows: int | None = None

    def covers(self, other: "Opening") -> bool:
        """Whether the other shows nothing that this does not."""
        return (
            self.rows in ("", other.rows)
            and _cap(self) >= _cap(other)
            and all(
                name in self.columns and _shows(self.columns[name], mask)
                for name, mask in other.columns.items()
            )
        )


def together(openings: Iterable[Opening]) -> tuple[Opening | None, bool]:
    """What several openings of one table come to; the flag tells whether some is lost by that.

    Those of the same rows show all that any of them does. One that another covers adds nothing. Of
    those that are left, every row of any is shown, with the columns that all of them show, each as the
    one that shows least of it does.
    """
    by_rows: dict[str, Opening] = {}
    for one in openings:
        same = by_rows.get(one.rows)
        by_rows[one.rows] = one if same is None else _union(same, one)
    kept = _without_covered([by_rows[rows] for rows in sorted(by_rows)])
    if not kept:
        return None, False
    return reduce(_intersection, kept), len(kept) > 1


def stricter(one: Mask | None, other: Mask | None) -> Mask | None:
    """A mask that shows no more than either; None is no mask."""
    if one != other and _rank(one) == _rank(other):
        return "redact"
    return one if _rank(one) < _rank(other) else other


def _looser(one: Mask | None, other: Mask | None) -> Mask | None:
    """The one of two masks that shows more; of two that show different things, what both do."""
    if one != other and _rank(one) == _rank(other):
        return "redact"
    return one if _rank(one) > _rank(other) else other


def _shows(one: Mask | None, other: Mask | None) -> bool:
    """Whether the first shows all that the other does."""
    return one == other or _rank(one) > _rank(other)


def _rank(mask: Mask | None) -> int:
    """How much it shows. `first` and `hash` show different things."""
    return _CLEAR if mask is None else _RANK[mask]


def _cap(opening: Opening) -> float:
    return float("inf") if opening.most_rows is None else opening.most_rows


def _union(one: Opening, other: Opening) -> Opening:
    """Of the same rows."""
    columns = dict(one.columns)
    for name, mask in other.columns.items():
        columns[name] = _looser(columns[name], mask) if name in columns else mask
    caps = (one.most_rows, other.most_rows)
    most = None if None in caps else max(cap for cap in caps if cap is not None)
    return replace(one, columns=columns, most_rows=most)


def _without_covered(openings: Sequence[Opening]) -> list[Opening]:
    kept: list[Opening] = []
    for place, one in enumerate(openings):
        others = (other for at, other in enumerate(openings) if at != place)
        if not any(other.covers(one) for other in others):
            kept.append(one)
    return kept


def _intersection(one: Opening, other: Opening) -> Opening:
    """Of the rows of either."""
    columns: dict[str, Mask | None] = {
        name: stricter(mask, other.columns[name])
        for name, mask in one.columns.items()
        if name in other.columns
    }
    caps = [cap for cap in (one.most_rows, other.most_rows) if cap is not None]
    rows = f"({one.rows} OR {other.rows})" if one.rows and other.rows else ""
    return Opening(rows=rows, columns=columns, most_rows=min(caps, default=None))
