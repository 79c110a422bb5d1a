"""Schedules as messages of the contract, and back."""

from datetime import timedelta
from types import MappingProxyType

import msgspec
from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from stepwell.orchestrator.schedule_rules import Overlap, ScheduleSpec
from stepwell.orchestrator.views import Schedule
from stepwell.v1 import common_pb2
from stepwell.v1 import schedule_service_pb2 as pb
from stepwell_server.translate import duration, read_json, run_name, timestamp

_OVERLAPS: MappingProxyType[Overlap, pb.ScheduleOverlap.ValueType] = MappingProxyType(
    {
        "skip": pb.SCHEDULE_OVERLAP_SKIP,
        "queue": pb.SCHEDULE_OVERLAP_QUEUE,
        "allow": pb.SCHEDULE_OVERLAP_ALLOW,
        "cancel_other": pb.SCHEDULE_OVERLAP_CANCEL_OTHER,
    }
)
_READ: dict[int, Overlap] = {wire: overlap for overlap, wire in _OVERLAPS.items()}


def spec(message: pb.ScheduleSpec) -> ScheduleSpec:
    """What is run when, as a request has it.

    Raises:
        InvalidRequest: the input is not JSON.
    """
    given = {
        field: getattr(message, field).ToTimedelta()
        for field in ("catch_up", "jitter")
        if message.HasField(field)
    }
    return ScheduleSpec(
        cron=message.cron,
        zone=message.zone or "UTC",
        workflow=message.workflow,
        version=message.version,
        input=read_json(message.input, "spec.input", default={}),
        labels=dict(message.labels),
        queue=message.queue,
        run_key=message.run_key,
        overlap=_READ[message.overlap] if message.overlap else "skip",
        note=message.note,
        **given,
    )


def schedule(view: Schedule) -> pb.Schedule:
    """A schedule."""
    return pb.Schedule(
        name=view.name,
        spec=_spec_message(view.spec),
        principal=view.principal,
        created_at=timestamp(view.created_at),
        updated_at=timestamp(view.updated_at),
        paused=view.paused,
        next_at=_maybe(view.next_at),
        last_at=_maybe(view.last_at),
        last_run=run_name(view.last_run) if view.last_run else "",
        waiting=view.waiting,
    )


def _spec_message(spec: ScheduleSpec) -> pb.ScheduleSpec:
    return pb.ScheduleSpec(
        cron=spec.cron,
        zone=spec.zone,
        workflow=spec.workflow,
        version=spec.version,
        input=common_pb2.Data(json=msgspec.json.encode(spec.input)),
        labels=spec.labels,
        queue=spec.queue,
        run_key=spec.run_key,
        overlap=_OVERLAPS[spec.overlap],
        catch_up=_length(spec.catch_up),
        jitter=_length(spec.jitter),
        note=spec.note,
    )


def _length(value: timedelta) -> Duration:
    return duration(value // timedelta(microseconds=1))


def _maybe(at: int | None) -> Timestamp | None:
    return None if at is None else timestamp(at)
