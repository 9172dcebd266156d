"""What a person may ask of a drill: the same options for `manage.py drill` and `python -m local.drill`."""

import re
from argparse import ArgumentParser, ArgumentTypeError
from dataclasses import dataclass

from local.drill.schedule import SHORTEST_SECONDS

ORDERS = 2_000
# Orders and faults share this time; what comes before and after (starting, healing, resting, the audit) is not in it.
ORDERS_PER_MINUTE = 2_000
SHORTEST_MINUTES = SHORTEST_SECONDS / 60
ABOUT = (
    "Places orders while it kills, wipes, cuts, freezes and restarts the service after a schedule that the seed "
    "decides; heals everything, waits for quiet, audits, and prints what became of each order and which faults landed. "
    "Starts its own Postgres, broker and processes in .local/drill: nothing else is touched. "
    "Status 0: every promise held and every counter moved; 1: a promise was broken, or the drill proved nothing; "
    "2: it could not run. See docs/drill.md."
)


@dataclass(frozen=True, kw_only=True)
class Options:
    """One drill."""

    seed: int = 1
    orders: int = ORDERS
    minutes: float = 1.0
    broker: str = "redis"
    database_url: str = ""
    storm: tuple[int, int] | None = None
    backlog: int = 0
    only_plan: bool = False
    as_json: bool = False

    @property
    def seconds(self) -> float:
        return self.minutes * 60


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("--seed", type=int, default=1, help="decides the schedule and the orders (default: 1)")
    parser.add_argument(
        "--broker", choices=("redis", "amqp"), default="redis", help="Valkey, or RabbitMQ when it is installed"
    )
    parser.add_argument("--orders", type=_positive, default=ORDERS, help=f"how many are placed (default: {ORDERS:,})")
    parser.add_argument(
        "--minutes",
        type=float,
        default=None,
        help=f"for how long orders and faults come (default: one for each {ORDERS_PER_MINUTE:,} orders, at least one; "
        f"at least {SHORTEST_MINUTES:g}); starting, healing and auditing take about another minute",
    )
    parser.add_argument(
        "--storm",
        type=_storm,
        default=None,
        metavar="KEYSxTIMES",
        help="also that many keys, each sent so often at once",
    )
    parser.add_argument(
        "--backlog",
        type=_positive,
        default=0,
        metavar="N",
        help="afterwards also drain that many messages, with its rate",
    )
    parser.add_argument(
        "--database-url",
        default="",
        help="another Postgres than the drill's own; marked as a drill's own; EVERYTHING IN IT IS DELETED",
    )
    parser.add_argument("--plan", action="store_true", help="only print the schedule")
    parser.add_argument("--json", action="store_true", help="print the result as JSON on standard output")


def chosen(options: dict[str, object]) -> Options:
    """From what argparse understood. Raises ValueError with a sentence."""
    orders, minutes = int(str(options["orders"])), options["minutes"]
    length = float(str(minutes)) if minutes is not None else max(1.0, orders / ORDERS_PER_MINUTE)
    if not SHORTEST_MINUTES <= length <= 24 * 60:
        raise ValueError(
            f"--minutes {length:g}: a drill needs at least {SHORTEST_MINUTES:g} minutes, or there is no room for a "
            "freeze that outlasts a claim; a day at most."
        )
    storm = options["storm"]
    return Options(
        seed=int(str(options["seed"])),
        orders=orders,
        minutes=length,
        broker=str(options["broker"]),
        database_url=str(options["database_url"]),
        storm=storm if isinstance(storm, tuple) else None,
        backlog=int(str(options["backlog"])),
        only_plan=bool(options["plan"]),
        as_json=bool(options["json"]),
    )


def _positive(text: str) -> int:
    if not text.replace("_", "").isdecimal() or not 1 <= int(text) <= 10_000_000:
        raise ArgumentTypeError(f"{text} is no number from 1 to 10,000,000")
    return int(text)


def _storm(text: str) -> tuple[int, int]:
    match = re.fullmatch(r"(\d{1,6})x(\d{1,4})", text)
    if match is None:
        raise ArgumentTypeError(f"{text} is no storm: say keys x times, for example 1000x50")
    return int(match[1]), int(match[2])
