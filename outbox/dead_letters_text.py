"""Dead letters as text for a terminal, and as JSON for scripts. Secrets in payloads are masked."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from . import dead_letters, requeue_orders
from .choice import COUNTED_MAX
from .masking import masked
from .models import OutboxMessage, RequeueOrder

BAR_CHARACTERS = 30
ERROR_CHARACTERS = 110
NOTHING = "No dead message matches."
LINE = "{name:<12} {count:>9}  {first:<19}  {last:<19}  {what}"
EFFECT = "{destination:<45}{count:>9}{runs:>9}{handled:>9}{steps:>8}  {runs_at}"


def groups(found: dead_letters.Groups) -> str:
    """The groups as a table, each with where it happened under it."""
    if not found.shown:
        return NOTHING
    head = LINE.format(name="group", count="messages", first="first died (UTC)", last="last died (UTC)", what="error")
    lines = [head]
    for one in found.shown:
        lines.append(
            LINE.format(
                name=one.error_fingerprint or "not yet",
                count=f"{one.count:,}",
                first=_moment(one.first_seen),
                last=_moment(one.last_seen),
                what=one.pattern[:ERROR_CHARACTERS] or "no reason given",
            )
        )
        lines.append(f"{'':<66}at {', '.join(one.destinations)}")
    if more := found.in_all - len(found.shown):
        lines.append(f"and {more:,} smaller groups: --destination or --type shows theirs")
    return "\n".join(lines)


def group(one: dead_letters.Group) -> str:
    """One group: what they have in common, and an example."""
    return "\n".join(
        [
            f"{one.count:,} messages are dead of: {one.pattern or 'no reason given'}",
            f"first {_moment(one.first_seen)}, last {_moment(one.last_seen)} (UTC)",
            f"such as {one.example_key}: {one.example_error}",
            "",
        ]
    )


def effects(found: Sequence[dead_letters.Effect]) -> str:
    """What a requeue would run, by destination."""
    if not found:
        return NOTHING
    head = EFFECT.format(
        destination="destination",
        count="messages",
        runs="run",
        handled="dropped",
        steps="sagas'",
        runs_at="who gets them",
    )
    lines = [EFFECT.format(**one.as_dict()) for one in found]
    legend = "A requeue runs `run`; `dropped` are in the consumer's inbox already; those of sagas are left alone."
    more = [f"Only {COUNTED_MAX:,} were looked at: there may be more."] if dead_letters.is_cut(found) else []
    return "\n".join([head, *lines, legend, *more])


def told(row: OutboxMessage) -> dict[str, Any]:
    """One message for a script."""
    ahead, behind = dead_letters.ahead_of(row.key), dead_letters.waiting(row.key)
    return {
        "key": row.key,
        "message_id": row.message_id,
        "type": row.type,
        "destination": row.destination,
        "state": row.state,
        "attempts": row.attempts,
        "group": row.error_fingerprint,
        "last_error": row.last_error,
        "died_at": row.died_at,
        "aggregate": f"{row.aggregate_type} {row.aggregate_id}",
        "waits_behind": ahead.key if ahead else None,
        "waiting_behind_it": behind[0].behind if behind else 0,
        "in_the_inbox_of": dead_letters.handled_by(row.message_id),
        "payload": masked(row.payload),
    }


def message(one: dict[str, Any]) -> str:
    """One message for a person."""
    shown = {**one, "in_the_inbox_of": ", ".join(one["in_the_inbox_of"]) or "nobody"}
    return "\n".join(f"{name.replace('_', ' '):<18} {'' if value is None else value}" for name, value in shown.items())


def order_told(one: RequeueOrder) -> dict[str, Any]:
    """One requeue order for a script."""
    return {
        "id": one.pk,
        "what": str(one.choice),
        **one.choice.given(),
        "status": one.status,
        "found": one.found,
        "found_more": one.found_more,
        "requeued": one.requeued,
        "rate_per_second": one.rate_per_second,
        "ordered_at": one.ordered_at,
        "ended_at": one.ended_at,
        "reason": one.reason,
        "became": requeue_orders.outcome(one),
    }


def order(one: RequeueOrder) -> str:
    """One requeue order for a person."""
    became = requeue_orders.outcome(one)
    told_of = ", ".join(f"{count:,} {state}" for state, count in sorted(became.items())) or "none yet"
    looked_at = "of these" if sum(became.values()) < COUNTED_MAX else f"{COUNTED_MAX:,} of these, looked at,"
    lines = [
        f"Requeue order {one.pk}: {one.choice}",
        *([one.error_pattern] if one.error_pattern else []),
        f"{one.status}: {one.requeued:,} of {one.found_text} made due again, {one.rate_per_second:,} a second; "
        f"{looked_at} are now: {told_of}",
    ]
    return "\n".join(lines)


def bar(one: RequeueOrder) -> str:
    """How far an order is, on one line."""
    share = min(one.requeued / one.found, 1.0) if one.found else 1.0
    full = "█" * round(share * BAR_CHARACTERS)
    return f"[{full:<{BAR_CHARACTERS}}] {one.requeued:,} of {one.found_text} {one.status}   "


def _moment(moment: datetime | None) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S}" if moment else "unknown"
