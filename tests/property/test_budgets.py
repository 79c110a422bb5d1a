"""Whatever order calls are reserved, answered, repeated and lost in, no limit is ever exceeded."""

import asyncio

from hypothesis import given
from hypothesis import strategies as st
from msgspec import Struct
from msgspec.structs import replace
from tests.contract.appends import OTHER, RUN, THIRD, begin, end, go_on

from stepwell_storage.memory import MemoryStorage
from stepwell_storage.records import BudgetRow, Charge, Reservation, Spent

RUNS = (RUN, OTHER, THIRD)
LIMITS = {"namespace/day": 100, "principal:*/day": 60, f"run:{RUN}": 40}


class Reserve(Struct, frozen=True):
    run: int
    key: int
    amount: int
    lasts: int


class Answer(Struct, frozen=True):
    """The call needs a share of what was reserved for it."""

    run: int
    key: int
    share: float


class End(Struct, frozen=True):
    run: int


DEEDS = st.lists(
    st.one_of(
        st.builds(
            Reserve, st.integers(0, 2), st.integers(0, 4), st.integers(0, 50), st.just(10**6)
        ),
        st.builds(Answer, st.integers(0, 2), st.integers(0, 4), st.floats(0, 1)),
        st.builds(End, st.integers(0, 2)),
    ),
    max_size=40,
)


class World:
    """A store, what each call has reserved, and what was truly spent."""

    def __init__(self) -> None:
        self.storage = MemoryStorage()
        self.lengths = dict.fromkeys(RUNS, 1)
        self.ended: set[str] = set()
        self.reserved: dict[tuple[str, str], tuple[Charge, ...]] = {}
        self.spent = dict.fromkeys(LIMITS, 0)

    async def open(self) -> None:
        await self.storage.open()
        for scope, amount in LIMITS.items():
            await self.storage.budgets.put("default", BudgetRow(scope, "calls", amount, "u", 1))
        for run in RUNS:
            await self.storage.log.append(begin(run))

    async def do(self, deed: Reserve | Answer | End) -> None:
        run = RUNS[deed.run]
        if run in self.ended:
            return
        match deed:
            case Reserve(key=key, amount=amount, lasts=lasts):
                await self._reserve(run, f"{key}", amount, lasts)
            case Answer(key=key, share=share):
                await self._answer(run, f"{key}", share)
            case End():
                last = end(run, after=self.lengths[run])
                await self.storage.log.append(replace(last, frees=True))
                self.ended.add(run)
                for call in [it for it in self.reserved if it[0] == run]:
                    del self.reserved[call]

    async def _reserve(self, run: str, key: str, amount: int, lasts: int) -> None:
        scopes = ["namespace/day", "principal:*/day", *([f"run:{RUN}"] if run != THIRD else [])]
        charges = tuple(Charge(scope, scope, "calls", amount) for scope in scopes)
        wanted = Reservation(run, key, charges, lasts)
        if await self.storage.budgets.reserve("default", wanted, now=1) is None:
            self.reserved.setdefault((run, key), charges)

    async def _answer(self, run: str, key: str, share: float) -> None:
        charges = self.reserved.pop((run, key), None)
        if charges is None:
            return
        needed = tuple(replace(it, amount=int((it.amount or 0) * share)) for it in charges)
        append = replace(go_on(run, after=self.lengths[run]), spent=(Spent(key, needed),))
        for _ in range(2):  # the answer may be lost, and then it is sent again
            await self.storage.log.append(append)
        self.lengths[run] += 1
        for charge in needed:
            self.spent[charge.account] += charge.amount or 0

    async def check(self) -> None:
        found = {it.account: it for it in await self.storage.budgets.used("default", list(LIMITS))}
        for account, limit in LIMITS.items():
            it = found.get(account)
            used, reserved = (it.used, it.reserved) if it else (0, 0)
            wanted = sum(
                charge.amount or 0
                for charges in self.reserved.values()
                for charge in charges
                if charge.account == account
            )
            assert (used, reserved) == (self.spent[account], wanted)
            assert used + reserved <= limit


@given(DEEDS)
def test_no_limit_is_exceeded_and_nothing_counts_twice(deeds: list[Reserve | Answer | End]) -> None:
    async def play() -> None:
        world = World()
        await world.open()
        for deed in deeds:
            await world.do(deed)
            await world.check()

    asyncio.run(play())
