"""What it costs to be governed: steps under rules and budgets, under parts of that, and under nothing.

All take turns on one engine, in short rounds, so that whatever else the machine does falls on all
of them; each figure is the median of its rounds. Decisions alone are timed without an engine.
"""

import statistics
import time
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from bench.databases import place_for
from bench.engine import TOOLS, Engine, open_engine
from bench.trial import STEPS, Load, together
from stepwell.orchestrator.spending import ANYBODY_DAY
from stepwell.policy.port import Action, Facts
from stepwell.policy.read import read_policy
from stepwell.policy.ruleset import RuleSet
from stepwell.policy.source import PolicyFile
from stepwell.principals import LOCAL_USER
from stepwell.tools.loading import load_tools
from stepwell.tools.process import ProcessPool

ROUNDS: Final = 15
FULL = Load(runs=200, in_flight=200, warm_up=500, singles=0)
QUICK = Load(runs=2, in_flight=2, warm_up=1, singles=0)
DECISIONS: Final = 10_000

APPLYING: Final = """
@id("spend") @reason("the run has spent its share")
forbid(principal, action, resource) when { context.usage.usd_micros_run >= 2000000 };
@id("labels") forbid(principal, action, resource)
when { context.labels.contains("confidential") && resource.labels.contains("external") };
@id("often") @effect("throttle") @retry("10s")
forbid(principal, action, resource) when { context.usage.calls_day > 1000000 };
@id("large") @effect("require_approval") @group("finance")
forbid(principal, action == Action::"step", resource) when { context.input.number > 5000000 };
@id("small") forbid(principal, action == Action::"step", resource)
when { context.input.number < 0 };
@id("agents") forbid(principal is Agent, action == Action::"step", resource)
when { context.input.number > 1000000 };
@id("night") forbid(principal, action == Action::"step", resource)
when { context.time.hour > 23 };
@id("people") permit(principal is User, action == Action::"step", resource);
"""
ELSEWHERE: Final = "".join(
    f'@id("other.{number}") forbid(principal, action == Action::"db_query", resource) '
    f'when {{ context.input has sql && context.input.sql like "*{number}*" }};\n'
    for number in range(2)
)
TEN: Final = APPLYING + ELSEWHERE
NAMED_ELSEWHERE: Final = "".join(ELSEWHERE.replace("other.", f"other.{part}.") for part in range(5))


class _Regime(NamedTuple):
    """What governs a step."""

    policy: str = ""
    limits: Mapping[str, int] = {}
    """What a run may spend."""
    day: Mapping[str, int] = {}
    """What each principal may spend in a day."""
    is_varied: bool = False
    """Whether no two steps have the same arguments, so that no question was asked before."""


AMPLE: Final = {"calls": 1_000_000_000}
REGIMES: Final = {
    "ungoverned": _Regime(),
    "unnamed": _Regime(NAMED_ELSEWHERE),
    "governed": _Regime(TEN, limits=AMPLE),
    "governed_anew": _Regime(TEN, limits=AMPLE, is_varied=True),
    "governed_day": _Regime(TEN, limits=AMPLE, day=AMPLE),
    "decided": _Regime(TEN),
}


async def measure_governed(database: str, *, quick: bool) -> dict[str, float]:
    """CPU of a step under each, the shares between them, and decisions in a second."""
    load, rounds = (QUICK, 1) if quick else (FULL, ROUNDS)
    taken: dict[str, list[float]] = {name: [] for name in REGIMES}
    with place_for(database) as place:
        async with open_engine(place.new_home("home"), place.new_url("governed")) as engine:
            await together(engine, load.warm_up, load.in_flight)
            for _ in range(rounds):
                for name, regime in REGIMES.items():
                    await _put(engine, regime)
                    taken[name].append(await _cpu_ms(engine, load))
    cpu = {name: statistics.median(each) for name, each in taken.items()}
    return {
        **{f"{database}.{name}_cpu_ms_per_step": cpu[name] for name in REGIMES},
        f"{database}.governed_ratio": cpu["governed"] / cpu["ungoverned"],
        f"{database}.unnamed_ratio": _typical_ratio(taken["unnamed"], taken["ungoverned"]),
        "decisions_per_s": await _decisions_per_s(10 if quick else DECISIONS),
    }


def _typical_ratio(one: Sequence[float], other: Sequence[float]) -> float:
    """The median of what neighbours in time are to each other."""
    return statistics.median(a / b for a, b in zip(one, other, strict=True))


async def _put(engine: Engine, regime: _Regime) -> None:
    policies, budgets = engine.service.policies, engine.service.budgets
    if regime.policy:
        await policies.apply(LOCAL_USER, [PolicyFile("bench.cedar", regime.policy)])
    else:
        await policies.withdraw(LOCAL_USER)
    for budget in await budgets.list_budgets(LOCAL_USER):
        await budgets.remove_budget(LOCAL_USER, budget.scope, budget.unit)
    if regime.day:
        await budgets.set_budget(LOCAL_USER, ANYBODY_DAY, regime.day)
    engine.limits, engine.is_varied = dict(regime.limits), regime.is_varied
    await together(engine, 1, 1)  # what is parsed at the first use is there then


async def _cpu_ms(engine: Engine, load: Load) -> float:
    """User and system time of this process, for each step."""
    began = time.process_time()
    await together(engine, load.runs, load.in_flight)
    return (time.process_time() - began) * 1000 / (load.runs * STEPS)


async def _decisions_per_s(count: int) -> float:
    """Decisions under the ten rules by one thread, in a second of its time."""
    async with ProcessPool(size=1) as processes:
        (tool,) = load_tools([str(TOOLS)], processes=processes)
    reading = read_policy([PolicyFile("bench.cedar", TEN)])
    rules = RuleSet(rule for rule, _ in reading.rules)
    actions = [
        Action(
            namespace="default",
            principal="user:local",
            workflow="chain",
            run="run",
            step="step",
            tool="step",
            arguments={"number": number},
            granted=frozenset({"step"}),
            spec=tool.spec,
            facts=Facts(at=1_795_694_400_000_000 + number, usage={"calls_run": number}),
        )
        for number in range(count)
    ]
    rules.decide(actions[0])  # of the others none asks what was asked before
    began = time.thread_time()
    for action in actions:
        assert rules.decide(action).effect == "allow"
    return count / (time.thread_time() - began)
