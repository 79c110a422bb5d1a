"""Counters, histograms and gauges, cheap enough for what happens at every step.

A count is one entry of a dictionary; the text for Prometheus is made when somebody asks for it
(`prometheus`). Used on the event loop's thread alone, so nothing is locked.
"""

from bisect import bisect_left
from collections.abc import Collection, Iterator
from typing import Final

PREFIX: Final = "stepwell_"
MOST_NAMES: Final = 100
"""Values that one label may have whose values are names that users choose."""

OTHER: Final = "other"
"""What every further one is called: each series costs memory here and money at the other end."""

LATENCIES: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
LONG: Final = (*LATENCIES, 300, 1800, 7200, 43200, 86400)
"""Seconds: of calls, and of what may wait for a person."""


class Instrument:
    """What all have: `labels` are the names of what tells their series apart.

    Of the labels in `named` the values are names that users choose, so they are bounded.
    """

    def __init__(
        self, name: str, about: str, labels: tuple[str, ...] = (), *, named: Collection[str] = ()
    ) -> None:
        self.name = PREFIX + name
        self.about = about
        self.labels = labels
        self._named: dict[int, set[str]] = {labels.index(label): set() for label in named}

    def _bounded(self, values: tuple[str, ...]) -> tuple[str, ...]:
        assert len(values) == len(self.labels), f"{self.name} has the labels {self.labels}"
        if not self._named:
            return values
        return tuple(self._known(place, value) for place, value in enumerate(values))

    def _known(self, place: int, value: str) -> str:
        names = self._named.get(place)
        if names is None or value in names:
            return value
        if len(names) >= MOST_NAMES:
            return OTHER
        names.add(value)
        return value


class Tally:
    """One series of a counter. Who counts often keeps it, and counts by itself."""

    __slots__ = ("count",)

    def __init__(self) -> None:
        self.count = 0


class Counter(Instrument):
    """Something that happens; it only grows."""

    def __init__(
        self, name: str, about: str, labels: tuple[str, ...] = (), *, named: Collection[str] = ()
    ) -> None:
        super().__init__(f"{name}_total", about, labels, named=named)
        self._series: dict[tuple[str, ...], Tally] = {} if labels else {(): Tally()}

    def add(self, *values: str, by: int = 1) -> None:
        """It happened, `by` times."""
        self.of(*values).count += by

    def of(self, *values: str) -> Tally:
        """The series with these values of the labels."""
        found = self._series.get(values)
        if found is None:
            found = self._series.setdefault(self._bounded(values), Tally())
        return found

    def series(self) -> Iterator[tuple[tuple[str, ...], int]]:
        """How often, by the values of the labels."""
        return ((values, tally.count) for values, tally in self._series.items())


class Gauge(Instrument):
    """Something that is so at the moment."""

    def __init__(
        self, name: str, about: str, labels: tuple[str, ...] = (), *, named: Collection[str] = ()
    ) -> None:
        super().__init__(name, about, labels, named=named)
        self._values: dict[tuple[str, ...], float] = {}

    def set(self, value: float, *values: str) -> None:
        """It is so now."""
        self._values[self._bounded(values)] = value

    def clear(self) -> None:
        """Nothing is known of it."""
        self._values.clear()

    def series(self) -> Iterator[tuple[tuple[str, ...], float]]:
        """What is, by the values of the labels."""
        return iter(self._values.items())


class Distribution:
    """One series of a histogram: how often a measure was at most each bound, the last being none."""

    __slots__ = ("bounds", "counts", "sum")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.sum = 0.0

    def observe(self, measure: float) -> None:
        """It took so long, or was so large."""
        self.counts[bisect_left(self.bounds, measure)] += 1
        self.sum += measure


class Histogram(Instrument):
    """How long something takes, or how large it is."""

    def __init__(
        self,
        name: str,
        about: str,
        labels: tuple[str, ...] = (),
        *,
        named: Collection[str] = (),
        bounds: tuple[float, ...] = LATENCIES,
    ) -> None:
        super().__init__(name, about, labels, named=named)
        self.bounds = bounds
        self._series: dict[tuple[str, ...], Distribution] = {}
        if not labels:
            self._series[()] = Distribution(bounds)

    def observe(self, measure: float, *values: str) -> None:
        """It took so long, or was so large."""
        self.of(*values).observe(measure)

    def of(self, *values: str) -> Distribution:
        """The series with these values of the labels."""
        found = self._series.get(values)
        if found is None:
            found = self._series.setdefault(self._bounded(values), Distribution(self.bounds))
        return found

    def series(self) -> Iterator[tuple[tuple[str, ...], Distribution]]:
        """The distributions, by the values of the labels."""
        return iter(self._series.items())
