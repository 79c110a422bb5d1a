"""What a client sends, as the contract has it."""

from collections.abc import Mapping, Sequence

import msgspec

from stepwell.client.decode import RUN_PREFIX
from stepwell.engine.values import Json
from stepwell.v1 import common_pb2


def run_name(run: str) -> str:
    """`runs/{id}`, from the id or the name of a run."""
    return RUN_PREFIX + run.removeprefix(RUN_PREFIX)


def data(value: Json) -> common_pb2.Data:
    """A value as JSON."""
    return common_pb2.Data(json=msgspec.json.encode(value))


def attribute_messages(
    attributes: Mapping[str, Sequence[str]] | None,
) -> list[common_pb2.Attribute]:
    """What is known of a principal."""
    return [
        common_pb2.Attribute(name=name, values=texts) for name, texts in (attributes or {}).items()
    ]


def code_proof(code: str) -> common_pb2.Proof | None:
    """A one-time code as a proof; None where there is none."""
    return common_pb2.Proof(totp=code) if code else None
