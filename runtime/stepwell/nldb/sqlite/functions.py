"""The functions that a statement may call in SQLite, and the one that is ours."""
# ruff: noqa: SIM905

import hashlib
from collections.abc import Callable
from typing import Final

FUNCTIONS: Final = frozenset(
    """
    abs acos acosh asin asinh atan atan2 atanh avg bm25 ceil ceiling char coalesce concat
    concat_ws cos cosh count cume_dist current_date current_time current_timestamp date datetime
    degrees dense_rank exp first_value floor format glob group_concat hex highlight if ifnull
    iif instr json json_array json_array_length json_error_position json_extract
    json_group_array json_group_object json_insert json_object json_patch json_pretty json_quote
    json_remove json_replace json_set json_type json_valid julianday lag last_value lead length
    like likelihood likely ln log log10 log2 lower ltrim match max median min mod nth_value
    ntile nullif octet_length percent_rank percentile percentile_cont percentile_disc pi pow
    power printf quote radians random rank replace round row_number rtrim sign sin sinh snippet
    soundex sqrt strftime string_agg substr substring sum tan tanh time timediff total trim
    trunc typeof unhex unicode unistr unixepoch unlikely upper -> ->>
    """.split()
)
"""What a query may call: everything that only computes, and not much from nothing."""

HASH: Final = "stepwell_hash"
"""The function of the mask `hash`, which the guard writes and only we define."""


def hashing(salt: str) -> Callable[[object], str | None]:
    """What the mask `hash` makes of a value: the same as on PostgreSQL."""

    def hashed(value: object) -> str | None:
        if value is None:
            return None
        data = value if isinstance(value, bytes) else str(value).encode()
        return hashlib.sha256(salt.encode() + data).hexdigest()[:16]

    return hashed
