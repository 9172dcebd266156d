"""The result of a drill as a table for people, and as JSON."""

import json
from collections.abc import Iterator
from dataclasses import asdict

from local.drill.schedule import Schedule
from local.drill.verdict import Evidence, Verdict

NAME = 46


def as_json(schedule: Schedule, evidence: Evidence, verdict: Verdict, *, notes: dict[str, object]) -> str:
    return json.dumps(
        {
            "seed": schedule.seed,
            "broker": schedule.broker,
            "seconds": schedule.seconds,
            "held": verdict.status == 0,
            "broken": list(verdict.broken),
            "vacuous": list(verdict.vacuous),
            **asdict(evidence),
            **notes,
        },
        indent=2,
        default=list,
    )


def as_text(evidence: Evidence, verdict: Verdict) -> str:
    return "\n".join(
        [
            *_orders(evidence),
            *_faults(evidence),
            *_counters(evidence),
            *_recoveries(evidence),
            *_promises(evidence),
            *_verdict(verdict),
        ]
    )


def _row(name: str, value: object, note: str = "") -> str:
    shown = f"{value:,}" if isinstance(value, int) else str(value)
    return f"  {name:<{NAME}} {shown:>9}  {note}".rstrip()


def _orders(evidence: Evidence) -> Iterator[str]:
    yield "\nOrders"
    yield _row("placed", evidence.wanted)
    yield _row("answered", evidence.answered)
    for status in ("confirmed", "rejected", "cancelled", "pending"):
        yield _row(status, evidence.orders.get(status, 0))


def _faults(evidence: Evidence) -> Iterator[str]:
    yield f"\n{'Faults':<{NAME}} {'planned':>9} {'delivered':>10} {'landed':>8}"
    for fault in evidence.faults:
        name, none = fault.label, "" if fault.landed else "  ← none landed"
        yield f"  {name:<{NAME - 2}} {fault.planned:>9,} {fault.delivered:>10,} {fault.landed:>8,}{none}"
    planned, delivered, landed = (
        sum(getattr(fault, name) for fault in evidence.faults) for name in ("planned", "delivered", "landed")
    )
    yield f"  {'all':<{NAME - 2}} {planned:>9,} {delivered:>10,} {landed:>8,}"


def _counters(evidence: Evidence) -> Iterator[str]:
    yield "\nWhat that set in motion"
    for name, count in evidence.counters.items():
        yield _row(name, count, "" if count else "← must move")


def _recoveries(evidence: Evidence) -> Iterator[str]:
    yield f"\n{'Recovery':<62} {'times':>6} {'typical':>9} {'longest':>9} {'bound':>7}"
    for found in evidence.recoveries:
        typical, longest = (f"{each:.1f} s" if each is not None else "–" for each in (found.typical, found.longest))
        over = "  ← over" if found.longest is not None and found.longest > found.bound_seconds else ""
        bound = f"{found.bound_seconds:g} s"
        yield f"  {found.what:<60} {found.times:>6} {typical:>9} {longest:>9} {bound:>7}{over}"


def _promises(evidence: Evidence) -> Iterator[str]:
    yield "\nMust be zero"
    yield _row("lost orders", len(evidence.lost))
    yield _row("keys with two orders, orders without a key", len(evidence.doubled) + len(evidence.unclaimed))
    yield _row("keys answered with different bytes", len(evidence.torn))
    yield _row("customers never answered", len(evidence.unanswered))
    yield _row("answers that no client should get", len(evidence.unexpected))
    yield _row("double charges", len(evidence.double_charges))
    yield _row("rules of the provider broken", len(evidence.breaches))
    yield _row("violations found by the audit", len(evidence.violations))
    yield _row("rows not at rest", sum(evidence.not_at_rest.values()))


def _verdict(verdict: Verdict) -> Iterator[str]:
    yield ""
    for sentence in verdict.broken:
        yield f"BROKEN: {sentence}"
    for sentence in verdict.vacuous:
        yield f"PROVED NOTHING: {sentence}"
    if verdict.broken:
        yield "The drill found a broken promise."
    elif verdict.vacuous:
        yield "Every promise held, and the drill did not try hard enough to say so."
    else:
        yield "Every promise held."
