"""What the SQL guard costs: CPU for a statement that it has not seen, and for one that it has.

The statements are the honest ones of the tests, under the policy of the tests. CPU times are of
this process, in milliseconds; each statement is made new by a comment of its own, which the guard
drops. The ratio to a mere parse by sqlglot says what checking and rebuilding add.
"""

import statistics
import time
from collections.abc import Callable

from sqlglot.dialects.dialect import Dialect as Parsing
from sqlglot.dialects.postgres import Postgres
from sqlglot.dialects.sqlite import SQLite
from tests.unit.nldb.guard.corpus import read
from tests.unit.nldb.guard.shop import shop_access, shop_catalog

from stepwell.nldb.guard import check_read
from stepwell.nldb.model import Dialect

_PARSING: dict[Dialect, Parsing] = {"sqlite": SQLite(), "postgres": Postgres()}


async def measure_guard(database: Dialect, *, quick: bool) -> dict[str, float]:
    """Median and 95th percentile of the CPU of one check, and of a repeated one."""
    catalog, access = shop_catalog(database), shop_access()
    statements = [statement.sql for statement in read("honest.sql", database)]
    parsing = _PARSING[database]
    turns = 1 if quick else 10

    def check(sql: str) -> None:
        check_read(sql, catalog, access)

    check(statements[0])
    anew: list[float] = []
    parsed: list[float] = []
    for turn in range(turns):
        for sql in statements:
            fresh = f"-- {turn}\n{sql}"
            parsed.append(_cpu(parsing.parse, fresh))
            anew.append(_cpu(check, fresh))
    again = [_cpu(check, f"-- {turns - 1}\n{sql}") for sql in statements]
    median = statistics.median(anew)
    return {
        f"{database}.guard_cpu_ms": median,
        f"{database}.guard_cpu_p95_ms": statistics.quantiles(anew, n=20)[-1],
        f"{database}.guard_repeated_cpu_ms": statistics.median(again),
        f"{database}.guard_ratio_to_parse": median / statistics.median(parsed),
    }


def _cpu(do: Callable[[str], object], sql: str) -> float:
    began = time.process_time()
    do(sql)
    return (time.process_time() - began) * 1000
