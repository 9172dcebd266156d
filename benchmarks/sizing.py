"""Processors, call slots and disk for a number of orders per second, from what one order was measured to ask.

Guarantees arithmetic and nothing else: it knows no lock that all would wait for, and no disk. docs/scaling.md says
where that holds, and what to do where it does not.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

RATES = (100, 1_000, 10_000)
# Of a core's and of a slot's time: the rest is for bursts, and for the neighbour of one that died.
USED = 0.6
CALL_SECONDS = 0.3
DAY = 86_400


def table(tables: Mapping[str, Sequence[Mapping[str, Any]]]) -> list[dict[str, str]]:
    """A row per thing to buy, a column per rate; `tables` are those of the kept result `capacity`."""
    whole = tables["whole"][0]
    kb_by_kind = {row["what"]: row["disk_kb"] for row in tables["disk"]}
    stays = kb_by_kind.pop("order, money, stock, parcel")
    rows = [
        _row(f"{row['process']}: cores", [_cores(rate, row["cpu_ms"]) for rate in RATES])
        for row in tables["by_process"]
        if row["process"] != "beat"
    ]
    return [
        *rows,
        _row(f"call slots for each provider, at {CALL_SECONDS:g} s a call", [_slots(rate) for rate in RATES]),
        _row("WAL, MB/s", [_figure(rate * whole["wal_kb"] / 1000) for rate in RATES]),
        _row("disk of unfinished and kept messages and sagas, GB a day", _disk(sum(kb_by_kind.values()))),
        _row("disk that stays, GB a day", _disk(stays)),
    ]


def _row(what: str, figures: Sequence[str]) -> dict[str, str]:
    return {"what": what} | {f"{rate:,} orders/s": figure for rate, figure in zip(RATES, figures, strict=True)}


def _cores(rate: int, cpu_ms: float) -> str:
    return _figure(rate * cpu_ms / 1000 / USED)


def _slots(rate: int) -> str:
    return f"{math.ceil(rate * CALL_SECONDS / USED):,}"


def _disk(kb: float) -> list[str]:
    return [_figure(rate * kb * DAY / 1_000_000) for rate in RATES]


def _figure(value: float) -> str:
    return f"{value:,.0f}" if value >= 10 else f"{value:.2g}"
