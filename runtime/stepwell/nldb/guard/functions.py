"""Which functions a statement may call, by dialect: those that only compute, and are bounded.

Nothing that runs SQL from a text, reads a file or the catalog, sleeps, or looks at or changes a
setting. A function that can make much from little has a bound on the argument that says how much.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Literal, TypeAlias

from msgspec import Struct

from stepwell.nldb.guard.words import words
from stepwell.nldb.model import Dialect

Sort: TypeAlias = Literal["scalar", "aggregate", "window", "rows"]
"""`rows` is a function for FROM."""

COMPARING = words("nullif greatest least iif if instr strpos like glob starts_with position")
"""Functions of which the result tells how one value compares to another."""

MOST_WIDTH = 1_000
MOST_GROWTH = 10_000
MOST_SERIES = 100_000


class Function(Struct, frozen=True):
    """What is known of a function."""

    name: str
    sort: Sort
    width: int = -1
    """The place of the argument that says how long the result is: a small whole number."""
    format: bool = False
    """Whether the first argument is a format, which must be a literal without wide fields."""
    grows: int = 1
    """How many times longer than its longest argument the result may be."""
    joins: bool = False
    """Whether it puts its arguments one behind the other."""
    output: tuple[str, ...] = ()
    """The columns of a function of rows; none: one column that is named as the function."""


Functions: TypeAlias = Mapping[str, Function]

_WIDTH = re.compile(r"%[-+ #0,!]*(?:\d+\$)?[-+ #0,!]*(\*|\d*)(?:\.(\*|\d*))?")


def is_bounded_format(text: str) -> bool:
    """Whether no field of the format is wider than the limit, or as wide as an argument says."""
    return all(
        "*" not in field.group() and all(int(part or 0) <= 100 for part in field.groups(""))
        for field in _WIDTH.finditer(text)
    )


def _of(sort: Sort, names: str) -> Iterable[Function]:
    return (Function(name, sort) for name in names.split())


_BOTH_SCALAR = """
    abs acos acosh asin asinh atan atan2 atanh ceil ceiling coalesce cos cosh degrees exp floor
    length ln log log10 lower ltrim mod nullif octet_length pi pow power radians round rtrim sign
    sin sinh sqrt substr tan tanh trunc upper concat concat_ws
"""
_BOTH_AGGREGATE = "avg count max min sum string_agg"
_WINDOW = """
    row_number rank dense_rank percent_rank cume_dist ntile lag lead first_value last_value
    nth_value
"""
_SQLITE_SCALAR = """
    char date datetime glob hex if ifnull iif instr json json_array json_array_length
    json_error_position json_extract json_insert json_object json_patch json_pretty json_quote
    json_remove json_replace json_set json_type json_valid julianday like likelihood likely log2
    quote random soundex strftime substring time timediff trim typeof unhex unicode unistr unixepoch
    unlikely max min current_date current_time current_timestamp
"""
_SQLITE_AGGREGATE = """
    group_concat json_group_array json_group_object median percentile percentile_cont
    percentile_disc total
"""
_JSON_ROWS = ("key", "value", "type", "atom", "id", "parent", "fullkey", "path")

_POSTGRES_SCALAR = """
    age array_append array_cat array_dims array_length array_lower array_ndims array_position
    array_positions array_prepend array_remove array_replace array_to_json array_to_string
    array_upper ascii bit_length btrim cardinality cbrt char_length character_length chr
    clock_timestamp cot current_date current_time current_timestamp date date_bin date_part
    date_trunc decode div encode erf gcd greatest grouping initcap isfinite
    json_array_length json_extract_path json_extract_path_text json_typeof jsonb_array_length
    jsonb_extract_path jsonb_extract_path_text jsonb_path_exists jsonb_path_query_first
    jsonb_pretty jsonb_strip_nulls json_strip_nulls jsonb_typeof json_build_array
    json_build_object jsonb_build_array jsonb_build_object jsonb_set to_json to_jsonb
    justify_days justify_hours justify_interval lcm least left localtime localtimestamp
    make_date make_interval make_time make_timestamp make_timestamptz md5 now num_nonnulls
    num_nulls parse_ident quote_literal quote_nullable random regexp_count regexp_instr
    regexp_like regexp_match regexp_substr regexp_split_to_array reverse right scale min_scale
    trim_scale sha224 sha256 sha384 sha512 split_part starts_with statement_timestamp
    string_to_array strpos timeofday timezone to_ascii to_char to_date to_hex to_number
    to_timestamp transaction_timestamp translate unicode_assigned normalize width_bucket
    gen_random_uuid array_sample array_shuffle isempty lower_inc upper_inc lower_inf upper_inf
    daterange tsrange tstzrange int4range int8range numrange row bit_count trim_array
"""
_POSTGRES_AGGREGATE = """
    array_agg bit_and bit_or bit_xor bool_and bool_or corr covar_pop covar_samp every json_agg
    json_object_agg jsonb_agg jsonb_object_agg mode percentile_cont percentile_disc regr_avgx
    regr_avgy regr_count regr_intercept regr_r2 regr_slope regr_sxx regr_sxy regr_syy stddev
    stddev_pop stddev_samp variance var_pop var_samp any_value
"""

_SQLITE = (
    *_of("scalar", _BOTH_SCALAR),
    *_of("scalar", _SQLITE_SCALAR),
    *_of("aggregate", _BOTH_AGGREGATE),
    *_of("aggregate", _SQLITE_AGGREGATE),
    *_of("window", _WINDOW),
    Function("replace", "scalar", grows=-1),
    Function("format", "scalar", format=True),
    Function("printf", "scalar", format=True),
    Function("json_each", "rows", output=_JSON_ROWS),
    Function("json_tree", "rows", output=_JSON_ROWS),
)
_QUOTING = """
    quote_literal quote_nullable to_json to_jsonb row_to_json array_to_json json_build_array
    json_build_object jsonb_build_array jsonb_build_object jsonb_set row encode
"""
"""What may put a sign before each sign of its argument: again and again, that is without end."""
KEEPING = words("""array_agg string_agg json_agg jsonb_agg json_object_agg jsonb_object_agg
    percentile_cont percentile_disc mode""")
"""Aggregates that hold all that they read until the last row."""
_QUOTING_AGGREGATE = "array_agg json_agg jsonb_agg json_object_agg jsonb_object_agg"

_POSTGRES = (
    *(Function(name, "scalar", grows=2) for name in _QUOTING.split()),
    *(Function(name, "aggregate", grows=2) for name in _QUOTING_AGGREGATE.split()),
    Function("concat", "scalar", joins=True),
    Function("concat_ws", "scalar", joins=True),
    Function("normalize", "scalar", grows=3),
    *_of("scalar", _BOTH_SCALAR),
    *_of("scalar", _POSTGRES_SCALAR),
    *_of("aggregate", _BOTH_AGGREGATE),
    *_of("aggregate", _POSTGRES_AGGREGATE),
    *_of("window", _WINDOW),
    Function("replace", "scalar", grows=-1),
    Function("regexp_replace", "scalar", grows=-1),
    Function("format", "scalar", format=True, joins=True),
    Function("lpad", "scalar", width=1),
    Function("rpad", "scalar", width=1),
    Function("repeat", "scalar", width=1, grows=-2),
    Function("generate_series", "rows"),
    Function("generate_subscripts", "rows"),
    Function("unnest", "rows"),
    Function("json_array_elements", "rows", output=("value",)),
    Function("json_array_elements_text", "rows", output=("value",)),
    Function("jsonb_array_elements", "rows", output=("value",)),
    Function("jsonb_array_elements_text", "rows", output=("value",)),
    Function("json_each", "rows", output=("key", "value")),
    Function("json_each_text", "rows", output=("key", "value")),
    Function("jsonb_each", "rows", output=("key", "value")),
    Function("jsonb_each_text", "rows", output=("key", "value")),
    Function("json_object_keys", "rows"),
    Function("jsonb_object_keys", "rows"),
    Function("jsonb_path_query", "rows"),
    Function("regexp_split_to_table", "rows"),
    Function("regexp_matches", "rows"),
    Function("string_to_table", "rows"),
    Function("json_to_recordset", "rows"),
    Function("jsonb_to_recordset", "rows"),
    Function("json_to_record", "rows"),
    Function("jsonb_to_record", "rows"),
)

SAFE: Mapping[Dialect, Functions] = {
    "sqlite": {function.name: function for function in reversed(_SQLITE)},
    "postgres": {function.name: function for function in reversed(_POSTGRES)},
}
"""The functions of each engine, by their lower-case names."""


def with_own(dialect: Dialect, own: Iterable[str]) -> Functions:
    """The safe functions, and those that the policy opens."""
    return {**{name: Function(name, "scalar") for name in own}, **SAFE[dialect]}
