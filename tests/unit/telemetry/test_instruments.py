import asyncio
import re

import pytest
from prometheus_client.parser import text_string_to_metric_families

from stepwell.telemetry.instruments import MOST_NAMES, OTHER, Counter, Gauge, Histogram
from stepwell.telemetry.loop_lag import LoopLag
from stepwell.telemetry.metrics import Metrics
from stepwell.telemetry.prometheus import Exposition


def samples(metrics: Metrics) -> dict[str, float]:
    """What Prometheus reads, by name and labels."""
    text, _ = Exposition(metrics).text()
    return {
        sample.name
        + "".join(f" {name}={value}" for name, value in sorted(sample.labels.items())): (
            sample.value
        )
        for family in text_string_to_metric_families(text.decode())
        for sample in family.samples
    }


def test_prometheus_reads_what_was_counted_and_measured() -> None:
    metrics = Metrics()
    metrics.steps_ended.add("tool", "completed")
    metrics.steps_ended.add("tool", "completed", by=2)
    metrics.tool_call_seconds.observe(0.002, "charge")
    metrics.tool_call_seconds.observe(600, "charge")
    metrics.queue_waiting.set(3, "default", 'a "queue"')
    read = samples(metrics)
    assert read["stepwell_steps_ended_total kind=tool status=completed"] == 3
    assert read["stepwell_tool_call_seconds_bucket le=0.0025 tool=charge"] == 1
    assert read["stepwell_tool_call_seconds_bucket le=60.0 tool=charge"] == 1
    assert read["stepwell_tool_call_seconds_bucket le=+Inf tool=charge"] == 2
    assert read["stepwell_tool_call_seconds_count tool=charge"] == 2
    assert read["stepwell_tool_call_seconds_sum tool=charge"] == pytest.approx(600.002)
    assert read['stepwell_queue_waiting namespace=default queue=a "queue"'] == 3


def test_what_has_no_labels_is_there_before_it_happens() -> None:
    """A rate that begins with its first event hides that event."""
    read = samples(Metrics())
    assert read["stepwell_runs_claimed_total"] == 0
    assert read["stepwell_commit_seconds_count"] == 0


def test_a_measure_on_a_bound_is_counted_with_it() -> None:
    histogram = Histogram("size", "How large.", bounds=(1, 2, 4))
    for size in (1, 2, 2, 5):
        histogram.observe(size)
    [(_, found)] = histogram.series()
    assert found.counts == [1, 2, 0, 1]


def test_names_that_users_choose_do_not_make_series_without_end() -> None:
    counter = Counter("calls", "Calls.", ("tool", "outcome"), named=["tool"])
    gauge = Gauge("waiting", "Waiting.", ("queue",), named=["queue"])
    for number in range(MOST_NAMES + 50):
        counter.add(f"tool-{number}", "ok")
        gauge.set(number, f"queue-{number}")
    counted = dict(counter.series())
    assert len(counted) == MOST_NAMES + 1
    assert counted[OTHER, "ok"] == 50
    assert len(dict(gauge.series())) == MOST_NAMES + 1


def test_every_metric_has_a_name_and_a_sentence_of_its_own() -> None:
    metrics = list(Metrics())
    names = [metric.name for metric in metrics]
    assert len(set(names)) == len(names)
    assert [name for name in names if not re.fullmatch("stepwell_[a-z_]+", name)] == []
    assert [metric.name for metric in metrics if not metric.about.endswith(".")] == []


def test_the_format_is_the_one_that_is_asked_for() -> None:
    exposition = Exposition(Metrics())
    text, kind = exposition.text("application/openmetrics-text; version=1.0.0")
    assert kind.startswith("application/openmetrics-text")
    assert text.endswith(b"# EOF\n")


def test_the_lag_is_measured_until_the_block_ends() -> None:
    lag = Histogram("lag", "Lag.")

    async def measure() -> int:
        with LoopLag(lag, interval=0):
            async with asyncio.timeout(5):
                while sum(next(iter(lag.series()))[1].counts) < 3:
                    await asyncio.sleep(0)
        before = sum(next(iter(lag.series()))[1].counts)
        for _ in range(10):
            await asyncio.sleep(0)
        return sum(next(iter(lag.series()))[1].counts) - before

    assert asyncio.run(measure()) == 0
