"""Rows that are meant by a value: a name, or something about them."""

from functools import partial
from typing import TypeAlias

from stepwell.nldb.keyless import english
from stepwell.nldb.keyless.builder import Builder, Unfit
from stepwell.nldb.keyless.frame import (
    ByValue,
)
from stepwell.nldb.keyless.meanings.choices import Around, Choice
from stepwell.nldb.link.names import noun
from stepwell.nldb.link.paths import Path
from stepwell.nldb.link.values import Hit
from stepwell.nldb.link.words import words_of_name
from stepwell.nldb.plan.model import (
    AnyOf,
    Col,
    Condition,
    Filter,
)

Places: TypeAlias = dict[tuple[str, tuple[str, ...]], tuple[Hit, ...]]


class ByNames(Around):
    """The meanings of values."""

    def _by_role(self, slot: ByValue) -> list[Choice]:
        """A row named by what it is to those that are asked for."""
        made: list[Choice] = []
        for role in slot.roles:
            label = self.world.label(role.other)
            hits = tuple(
                h for h in slot.hits[0] if h.table == role.other and set(h.columns) <= set(label)
            )
            if role.table != self.root or not hits:
                continue
            for people in self._who_is_meant(role.other, hits[0].columns, hits, slot):
                conditions = partial(is_value, hits=people, negated=slot.negated)
                apply = partial(Builder.add, path=(role.edge,), conditions=conditions)
                said = f"{role.edge.key[0]} names {' '.join(people[0].values)!r}"
                made.append(Choice(apply, 0, said))
        if not made:
            raise Unfit("nobody has this role")
        return made

    def _by_value(self, slot: ByValue) -> list[Choice]:
        if slot.roles:
            return self._by_role(slot)
        places = self._places(slot)
        if not places:
            raise Unfit("no column has all the values")
        made: list[Choice] = []
        cost = 10 * min(self.distance(table) for table, _ in places)
        for (table, columns), hits in places.items():
            if slot.every and not all(edge.to_one for path in self.paths(table) for edge in path):
                raise Unfit("`and` between values of which a row may have several")
            for people in self._who_is_meant(table, columns, hits, slot):
                made += self._with_value(table, people, slot, cost)
        return made

    def _with_value(
        self, table: str, hits: tuple[Hit, ...], slot: ByValue, cost: int
    ) -> list[Choice]:
        def apply(builder: Builder, path: Path) -> None:
            builder.add(path, lambda name: is_value(name, hits, slot.negated))
            if (
                hits[0].columns
                and sum(h.rows for h in hits) > 1
                and self._names_rows(table, hits)
                and table != self.root
            ):
                builder.assumptions.append(
                    f"{sum(h.rows for h in hits)} rows of {table} have this name"
                )
            if not all(h.complete for h in hits):
                builder.assumptions.append(f"not every value of {table} was looked at")

        if slot.negated and not all(edge.to_one for path in self.paths(table) for edge in path):
            raise Unfit("`not` about what a row may have several of")
        said = " or ".join(repr(" ".join(hit.values)) for hit in hits[:3])
        place = ".".join((table, *hits[0].columns))
        if not slot.negated:
            return self.reached(table, apply, cost, f"{place} is {said}")
        made = self.reached(table, apply, cost, f"{place} is given, and is not {said}")
        return made + self._or_empty(table, hits, cost, f"{place} is not {said}, or is not given")

    def _or_empty(self, table: str, hits: tuple[Hit, ...], cost: int, meaning: str) -> list[Choice]:
        """What is not some value, if what is empty is not it either."""
        first = hits[0].columns[0]

        def apply(builder: Builder, path: Path) -> None:
            def conditions(name: str) -> list[Condition]:
                (other,) = is_value(name, hits, negated=True)
                return [AnyOf((other, Filter(Col(name, first), "is null")))]

            builder.add(path, conditions, outer=True)

        optional = any(self.is_optional(path) for path in self.paths(table))
        if len(hits[0].columns) > 1 or not (optional or self.world.column(table, first).nullable):
            return []
        return self.reached(table, apply, cost, meaning)

    def _names_rows(self, table: str, hits: tuple[Hit, ...]) -> bool:
        return set(hits[0].columns) == set(self.world.label(table))

    def _places(self, slot: ByValue) -> Places:
        """The columns that have a value for each of the alternatives."""
        found: Places = {}
        for hit in slot.hits[0]:
            key = (hit.table, hit.columns)
            own = [[h for h in hits if (h.table, h.columns) == key] for hits in slot.hits]
            if all(own) and self.distance(hit.table) < 99:
                found[key] = tuple(h for hits in own for h in hits)
        if slot.owner and slot.owner != self.frame.subject:
            return {k: v for k, v in found.items() if k[0] in slot.owner}
        if slot.columns:
            said = {(c.table, (c.column,)) for c in slot.columns}
            found = {k: v for k, v in found.items() if k in said}
        near = {k: v for k, v in found.items() if self._is_near(k, slot)}
        if near:
            return near
        return self._plausible(found, slot.preposition)

    def _is_near(self, place: tuple[str, tuple[str, ...]], slot: ByValue) -> bool:
        """Whether a value is a name or a place of what was named just before it."""
        table, columns = place
        if table not in slot.near or table == self.root or slot.preposition == "by":
            return False
        is_label = set(columns) <= set(self.world.label(table))
        is_place = bool(set(words_of_name(columns[0])) & english.PLACES)
        return is_label or (is_place and slot.preposition in ("in", "from", "at", "outside"))

    def _plausible(self, found: Places, preposition: str) -> Places:
        """What a bare name may mean: any row that is called so, or the nearest row's attribute.

        `by` asks for a maker and `in` for a place, where there is one.
        """
        labels = {k for k in found if set(k[1]) <= set(self.world.label(k[0]))}
        if self.root in self.frame.subject and len({k[0] for k in found}) > 1:
            labels = {k for k in labels if k[0] != self.root}
            found = {
                k: v
                for k, v in found.items()
                if k in labels or k[0] != self.root or not self._is_own_name(k)
            }
        makers = {k for k in labels if set(noun(self.world.table(k[0]).bare)) & english.CREATORS}
        if preposition == "by" and makers:
            return {k: v for k, v in found.items() if k in makers}
        places = {
            k for k in found if k not in labels and set(words_of_name(k[1][0])) & english.PLACES
        }
        if preposition in ("in", "from", "at", "outside") and places:
            nearest = min(self.distance(k[0]) for k in places)
            return {
                k: v for k, v in found.items() if k in places and self.distance(k[0]) == nearest
            }
        attributes = [k for k in found if k not in labels]
        nearest = min((self.distance(k[0]) for k in attributes), default=0)
        if labels and nearest > min(self.distance(k[0]) for k in labels):
            attributes = []
        kept = labels | {k for k in attributes if self.distance(k[0]) == nearest}
        return {k: v for k, v in found.items() if k in kept}

    def _is_own_name(self, place: tuple[str, tuple[str, ...]]) -> bool:
        return place[0] == self.root and set(place[1]) <= set(self.world.label(self.root))

    def _who_is_meant(
        self, table: str, columns: tuple[str, ...], hits: tuple[Hit, ...], slot: ByValue
    ) -> list[tuple[Hit, ...]]:
        """All hits at once, or one for each person who has the name."""
        label = self.world.label(table)
        if len(label) < 2 or not set(columns) < set(label) or len(slot.hits) > 1:
            return [hits]
        if (
            not slot.roles
            and table == self.root
            and table in self.frame.subject
            and self.frame.subject_plural
        ):
            return [hits]
        people = [
            person for hit in hits for person in self.world.values.rows_with(table, label, hit)
        ]
        if len(people) > 8:
            raise Unfit("too many people have this name")
        return [(person,) for person in people] or [hits]


def is_value(name: str, hits: tuple[Hit, ...], negated: bool) -> list[Condition]:
    """Conditions that a table has one of some values.

    Raises:
        Unfit: several people at once.
    """
    first = hits[0]
    columns = first.columns
    if len(columns) == 1:
        values = tuple(dict.fromkeys("".join(hit.values) for hit in hits))
        return [Filter(Col(name, columns[0]), "!=" if negated else "=", values)]
    if negated or len(hits) > 1:
        raise Unfit("several people at once")
    return [Filter(Col(name, c), "=", (v,)) for c, v in zip(columns, first.values, strict=True)]
