"""Whether there is enough for a reservation. Pure; under the lock of whoever asks."""

from collections.abc import Mapping, Sequence
from typing import TypeAlias

from stepwell_storage.records import Charge, Short

Limits: TypeAlias = Mapping[tuple[str, str], int | None]
"""By scope and unit."""
Taken: TypeAlias = Mapping[tuple[str, str], int]
"""What is spent and reserved, by account and unit."""


def counted(charges: Sequence[Charge], limits: Limits) -> list[Charge]:
    """The charges of scopes that have a limit for their unit."""
    return [it for it in charges if (it.scope, it.unit) in limits]


def shortage(charges: Sequence[Charge], limits: Limits, taken: Taken) -> Short | None:
    """The first charge that is too much; None when there is enough for all."""
    for charge in charges:
        limit = limits[charge.scope, charge.unit]
        if limit is None:
            continue
        so_far = taken.get((charge.account, charge.unit), 0)
        if charge.amount is None or so_far + charge.amount > limit:
            return Short(charge.scope, charge.unit, limit, so_far, charge.amount)
    return None
