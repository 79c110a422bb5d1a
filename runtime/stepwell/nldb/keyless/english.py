# ruff: noqa: SIM905
"""General English: what words do in a question, and which words mean the same.

Nothing here knows a database. A word that is in none of these tables, in no name of the catalog,
no value and no term of the glossary is a word that the matcher cannot place.
"""

from stepwell.nldb.plan.model import Comparison, TimePart

FILLERS = frozenset(
    """a an the our ours we us i you me my your yours they their theirs them its it his her hers he
    she this these those is are was were be been being am do does did have has had there here
    please so some would could can will shall should just also then ever overall altogether
    thanks thank hello hi hey dear kindly exactly all of to at on in for from into
    whose whom that who which what s d ll ve re one's as with us records record listed list
    show give tell find get display see fetch know want need like let's lets look up me want
    like need""".split()
)
"""Words that carry nothing of their own. Negations, numbers, comparisons, orders and times are
never among them."""

FILLER_PHRASES = frozenset(
    tuple(phrase.split())
    for phrase in """in total
    in the database
    in our database
    in the system
    in the catalogue
    in the catalog
    in our catalogue
    in our catalog
    in our records
    on record
    on file
    at all
    with us
    so far
    to date
    of all time
    i would like to know
    i want to know
    i need to know
    for me
    in our shop
    in our store
    in the shop
    in the store
    is on the line
    is on the phone
    do you know
    would you
    come from
    comes from
    do we carry
    do we stock
    do we offer
    do we keep
    do we have
    are there
    is there
    that exist
    in each case
    take me through
    walk me through
    in the company
    at the company
    in our company
    at our company""".splitlines()
)

NUMBERS = {
    word: number
    for number, word in enumerate(
        """zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen
        fifteen sixteen seventeen eighteen nineteen twenty""".split()
    )
} | {"thirty": 30, "forty": 40, "fifty": 50, "hundred": 100, "thousand": 1000, "dozen": 12}

MONTHS = {
    name: number
    for number, names in enumerate(
        [
            "january jan", "february feb", "march mar", "april apr", "may", "june jun", "july jul",
            "august aug", "september sept sep", "october oct", "november nov", "december dec",
        ],
        1,
    )
    for name in names.split()
}  # fmt: skip

AT_LEAST = ("at least", "no fewer than", "no less than", "not less than", "a minimum of")
AT_MOST = ("at most", "no more than", "not more than", "up to", "a maximum of")
MORE = (
    "more than", "over", "above", "greater than", "higher than", "exceeding", "exceeds", "in excess of",
    "larger than", "bigger than",
)  # fmt: skip
LESS = ("less than", "fewer than", "under", "below", "lower than", "smaller than")
EXACTLY = ("exactly", "equal to", "equals", "precisely")
_COMPARED: tuple[tuple[Comparison, tuple[str, ...]], ...] = (
    (">=", AT_LEAST), ("<=", AT_MOST), (">", MORE), ("<", LESS), ("=", EXACTLY),
)  # fmt: skip
COMPARISONS: dict[tuple[str, ...], Comparison] = {
    tuple(phrase.split()): operator for operator, phrases in _COMPARED for phrase in phrases
}

AVERAGE = ("average", "mean", "avg", "on average", "typical average")
TOTAL = ("total", "sum of", "combined", "total sum of", "sum")
HIGHEST = ("highest", "maximum", "max", "largest", "greatest", "biggest", "top")
LOWEST = ("lowest", "minimum", "min", "smallest", "least")

# Adjectives of a size: (the kinds of column that have it, whether the superlative is the most).
ADJECTIVES: dict[str, tuple[str, bool]] = {}
for _kind, _most, _words in (
    ("price", True, "expensive costly pricey dear"),
    ("price", False, "cheap inexpensive"),
    ("duration", True, "long lengthy"),
    ("duration", False, "short brief"),
    ("size", True, "big large huge"),
    ("size", False, "small little tiny"),
    ("amount", True, "high valuable"),
    ("amount", False, "low"),
    ("age", True, "old"),
    ("age", False, "young"),
    ("recency", True, "new recent late"),
    ("recency", False, "early"),
    ("seniority", True, "senior"),
    ("seniority", False, "junior"),
    ("weight", True, "heavy"),
    ("weight", False, "light"),
    ("height", True, "tall"),
):
    for _word in _words.split():
        ADJECTIVES[_word] = (_kind, _most)

SUPERLATIVES: dict[str, str] = {
    "cheapest": "cheap", "priciest": "pricey", "dearest": "dear", "costliest": "costly",
    "longest": "long", "lengthiest": "lengthy", "shortest": "short", "briefest": "brief",
    "biggest": "big", "largest": "large", "smallest": "small", "highest": "high", "lowest": "low",
    "oldest": "old", "eldest": "old", "youngest": "young", "newest": "new", "latest": "late",
    "earliest": "early", "heaviest": "heavy", "lightest": "light", "tallest": "tall",
}  # fmt: skip
COMPARATIVES: dict[str, str] = {
    "cheaper": "cheap", "longer": "long", "shorter": "short", "bigger": "big", "larger": "large",
    "smaller": "small", "higher": "high", "lower": "low", "heavier": "heavy", "lighter": "light",
    "taller": "tall", "pricier": "pricey",
}  # fmt: skip

SIZES: dict[str, frozenset[str]] = {
    "price": frozenset("price cost fee rate fare charge".split()),
    "duration": frozenset(
        "duration length runtime milliseconds seconds minutes hours millis".split()
    ),
    "size": frozenset("size bytes total amount area population capacity".split()),
    "amount": frozenset("total amount price salary wage balance score budget value".split()),
    "weight": frozenset("weight".split()),
    "height": frozenset("height".split()),
    "age": frozenset("birth born birthday birthdate dob".split()),
    "recency": frozenset(),
    "seniority": frozenset(),
}
"""Which words in the name of a column say that it measures this."""

MONEY_TOTALS = frozenset("total amount sum revenue turnover".split())
PRICES = frozenset("price cost fee rate fare".split())
QUANTITIES = frozenset("quantity qty units pieces".split())
MONEY_WORDS = frozenset(
    "price cost total amount revenue fee salary wage budget balance payment fare pay income".split()
)
TRANSACTIONS = frozenset(
    "invoice order sale purchase transaction receipt payment bill booking".split()
)
"""What a table is called whose rows are business that was done."""

REVENUE = (
    "revenue",
    "sales",
    "turnover",
    "income",
    "takings",
    "earnings",
    "sales revenue",
    "total sales",
)
MONEY_UNITS = frozenset("dollar dollars usd euro euros eur pounds pound gbp $ € £ bucks".split())
MONEY_PARTS = frozenset("cent penny pence ct".split())
DURATIONS = {  # milliseconds
    "millisecond": 1, "second": 1000, "sec": 1000, "minute": 60_000, "min": 60_000,
    "hour": 3_600_000, "hr": 3_600_000,
}  # fmt: skip
COLUMN_DURATIONS = {
    "milliseconds": 1, "millis": 1, "ms": 1, "msec": 1, "seconds": 1000, "secs": 1000, "sec": 1000,
    "minutes": 60_000, "mins": 60_000, "min": 60_000, "hours": 3_600_000, "hrs": 3_600_000,
}  # fmt: skip
DURATION_NOUNS = (
    "length",
    "duration",
    "running time",
    "playing time",
    "run time",
    "runtime",
    "playtime",
)

SPEND = frozenset("spend spends spent pay pays paid".split())
BILL = frozenset(
    "bill billed invoiced invoice charge charged earn earned made make gross grossed".split()
)
BUY = frozenset("buy buys bought purchase purchased purchases order ordered orders".split())
SELL = frozenset("sell sells sold".split())
CREATE = frozenset(
    "made make makes created create wrote write writes written recorded records sings sang".split()
)
CREATORS = frozenset(
    "artist author band writer creator director musician maker manufacturer brand producer".split()
)
SERVE = frozenset(
    "look looks looking after supports support supported serves serve served handles handle handled assists".split()
)
SERVERS = frozenset("support agent rep representative account adviser advisor".split())
HAVE = frozenset(
    "have has had carry stock offer own keep contain contains include includes".split()
)
WE_DO = frozenset(
    "wrote write issued issue made make sent send charge charged recorded carry have had keep ask".split()
)
GENERATE = frozenset(
    "generate generates generated bring brings brought make makes made earn earned produced produces".split()
)
LIVE = frozenset("live lives living based located reside resides sit sits".split())
BELONG = frozenset("belong belongs belonging made up part".split())

PEOPLE = frozenset(
    """employee staff customer client person user member student teacher patient doctor author artist
    supplier contact reader borrower worker colleague guest driver player actor passenger owner
    manager agent candidate applicant instructor subscriber""".split()
)
"""What a table is called whose rows may be asked for with `who`."""

FEW_VALUES = 30
"""A column with so few values is one of kinds or states."""

FLAGS = frozenset("is has was can ist hat".split())
"""How the name of a whole number begins that says yes or no: `is_active`."""

UNITS = frozenset("cent eur usd gbp euro dollar kg km cm".split())
"""How the name of a column may end that nobody says: `weight_kg`."""

EXCEPT = (
    "not in", "not from", "not", "except", "except for", "excluding", "other than", "outside",
    "outside of", "besides", "apart from", "aside from", "but not", "leaving out", "not counting",
    "not including", "non",
)  # fmt: skip

DONE = frozenset("issued placed made raised dated billed written recorded".split())
"""What is done with business by doing it."""

SPENDING = (
    "spent", "spending", "spend", "amount spent", "money spent", "amount paid", "total spent",
    "amount of money spent",
)  # fmt: skip

AUDIT = frozenset("creat updat modif insert chang delet record add".split())
"""Stems of dates that say when a row was written: nobody means them who names none."""

PLACES = frozenset(
    "city country state region province town location place address county district continent".split()
)
"""What a column is called whose values one may be in or from."""

BOSSES = ("boss", "manager", "supervisor", "superior", "line manager")
BOSS_COLUMNS = (("report", "to"), ("reports", "to"), ("manager",), ("boss",), ("supervisor",))

TIME_UNITS: dict[str, TimePart] = {
    "year": "year",
    "month": "month",
    "quarter": "quarter",
    "day": "day",
}
TIME_ADVERBS: dict[str, TimePart] = {
    "yearly": "year",
    "annually": "year",
    "annual": "year",
    "monthly": "month",
    "quarterly": "quarter",
    "daily": "day",
}

FIRST_FORMS = frozenset("first earliest".split())

ENGLISH = frozenset(
    """than over above under below when where was were did does do has have any there who's every without we us i the a an of in is are what which who how many much show list give all our with for from to
    and average total number per by each count find me most top after before since until not no or
    as been without except only between less fewer more least highest lowest set change delete
    remove add update mark rename""".split()
)
