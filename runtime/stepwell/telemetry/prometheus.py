"""The numbers as Prometheus reads them.

The library is loaded when somebody asks for the first time: most homes never are.
"""

from collections.abc import Iterator
from itertools import accumulate
from typing import TYPE_CHECKING

from stepwell.telemetry.instruments import Counter, Gauge, Histogram, Instrument
from stepwell.telemetry.metrics import Metrics

if TYPE_CHECKING:
    from prometheus_client import Metric


class Exposition:
    """Writes the metrics of a process, and what the system knows of it, in its own registry."""

    def __init__(self, metrics: Metrics) -> None:
        from prometheus_client import CollectorRegistry, ProcessCollector

        self._metrics = metrics
        self._registry = CollectorRegistry()
        self._registry.register(self)
        ProcessCollector(registry=self._registry)

    def text(self, accept: str = "") -> tuple[bytes, str]:
        """The text and its media type, in the format that `accept` asks for."""
        from prometheus_client.exposition import choose_encoder

        encode, media_type = choose_encoder(accept)
        return encode(self._registry), media_type

    def collect(self) -> Iterator["Metric"]:
        """What the registry asks for."""
        return map(_family, self._metrics)


def _family(instrument: Instrument) -> "Metric":
    from prometheus_client.core import (
        CounterMetricFamily,
        GaugeMetricFamily,
        HistogramMetricFamily,
    )

    name, about, labels = instrument.name, instrument.about, instrument.labels
    match instrument:
        case Counter():
            counter = CounterMetricFamily(name, about, labels=labels)
            for values, count in instrument.series():
                counter.add_metric(values, count)
            return counter
        case Gauge():
            gauge = GaugeMetricFamily(name, about, labels=labels)
            for values, value in instrument.series():
                gauge.add_metric(values, value)
            return gauge
        case Histogram():
            histogram = HistogramMetricFamily(name, about, labels=labels)
            bounds = [*(str(float(bound)) for bound in instrument.bounds), "+Inf"]
            for values, found in instrument.series():
                buckets = list(zip(bounds, accumulate(found.counts), strict=True))
                histogram.add_metric(values, buckets, found.sum)
            return histogram
        case _:
            raise NotImplementedError(type(instrument))
